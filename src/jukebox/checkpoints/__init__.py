"""Weights on disk: our format, the published formats, and the way between them."""
