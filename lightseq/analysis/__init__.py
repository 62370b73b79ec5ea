"""Look at models and texts: step by step, by context length, beside n-grams, for copies."""
