"""Draw pictures for TensorBoard."""
