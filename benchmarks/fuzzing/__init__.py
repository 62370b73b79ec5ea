"""Mutated inputs of lightseq's commands: how they are made, and the processes that they are tried in."""
