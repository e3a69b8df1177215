"""Where a run happens: this host now, other kernels as they are added.

Owns how a target is found, run, and turned into a record and a page. Knows no clause: the suites run in a process of their own.
"""
