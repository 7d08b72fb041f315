"""What a network costs before it ever runs: figures of the papers, from shapes and declarations alone."""
