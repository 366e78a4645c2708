"""The benchmark: the messenger, its peers and floors, measured in turns and compared as ratios."""
