"""Lightning callbacks, each a leaf: nothing in the core but the command line imports them."""
