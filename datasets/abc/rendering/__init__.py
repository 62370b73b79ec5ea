"""Turn tunes into sound, piano rolls and scores."""
