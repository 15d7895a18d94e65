"""Triton kernels of one step of sampling; they need the extra `jukebox[gpu]` and are imported by `fused` alone."""
