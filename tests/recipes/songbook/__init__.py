"""The songbook."""
