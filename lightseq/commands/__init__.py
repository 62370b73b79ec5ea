"""One file a verb. Each has a ``run(arguments)`` and is imported only when it is called."""
