"""Harm to runs, for ``faults.py`` and the tests."""
