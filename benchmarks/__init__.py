"""Side-by-side runs of the console commands against peers and against merely reading the data."""
