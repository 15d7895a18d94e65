"""Whole songs: which are made, each one rendered and described, and many by several workers."""
