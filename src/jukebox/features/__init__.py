"""Features: what the layers of a prior make of recordings, frame by frame, for other programs to learn from."""
