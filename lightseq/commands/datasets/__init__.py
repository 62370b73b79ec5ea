"""The ``datasets`` command."""
