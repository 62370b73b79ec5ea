"""The recipes that ``--config NAME`` finds; data only."""
