"""The ``fit``, ``validate``, ``test`` and ``predict`` commands."""
