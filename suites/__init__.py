"""The specification, the cases that drive it, the lab that they work with, and the judge.

Owns what sockwake claims about Linux and how that is put in front of a kernel. Knows nothing of reports and targets.
"""
