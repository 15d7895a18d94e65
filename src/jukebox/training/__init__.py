"""One training loop and two tasks."""
