"""The ``sample`` command."""
