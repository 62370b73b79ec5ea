"""Find, check, load and write checkpoints."""
