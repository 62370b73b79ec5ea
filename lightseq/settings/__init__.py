"""Read and merge configuration files and command-line flags."""
