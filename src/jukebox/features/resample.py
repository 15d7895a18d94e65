"""Fourier resampling along time, in blocks of columns: memory does not grow with the width."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Float64

# Numbers in a block, in float64; their spectrum and the result are as large.
_BLOCK_NUMBERS = 1 << 23


def resampled(
    frames: Float[np.ndarray, "frames width"], count: int
) -> Iterator[tuple[slice, Float64[np.ndarray, "count columns"]]]:
    """The frames as `count` others that last as long, some columns after others; computed in float64.

    The spectrum is cut, or continued with zeros, as `scipy.signal.resample` does; a recording is taken for one period.

    Args:
        frames: of a whole recording, at least one; may be memory-mapped.
        count: at least 1.
    """
    length, width = frames.shape
    columns = max(1, _BLOCK_NUMBERS // max(length, count))
    for first in range(0, width, columns):
        part = slice(first, min(first + columns, width))
        spectrum = np.fft.rfft(frames[:, part].astype(np.float64), axis=0)
        least = min(length, count)
        kept = spectrum[: least // 2 + 1]
        if least % 2 == 0 and count != length:
            # The frequency of half the rate stands for two, of which one is there: folded together, or shared out.
            kept[-1] *= 2.0 if count < length else 0.5
        yield part, np.fft.irfft(kept, count, axis=0) * (count / length)
