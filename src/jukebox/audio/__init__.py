"""Reading, writing and measuring sound."""
