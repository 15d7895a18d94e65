"""The version of the package, in a file that imports nothing, so that building reads it alone."""

__version__ = "0.1.0"
