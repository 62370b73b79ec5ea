"""Read and check tunes in ABC notation."""
