"""The record of a run, and all that is made of it: HTML, totals and the machine-readable forms.

Everything here is a pure function of records: same records, same bytes. Knows neither the lab nor the kernel, and
imports neither `suites` nor `native`: a record carries its clauses.
"""
