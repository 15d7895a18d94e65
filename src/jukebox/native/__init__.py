"""The steps of a prior in C, compiled for the processor that they run on, where it has a compiler."""
