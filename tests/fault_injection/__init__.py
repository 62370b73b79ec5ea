"""Inject faults into runs: for the tests and for ``benchmarks/faults.py``."""
