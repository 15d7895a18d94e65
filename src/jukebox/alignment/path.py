"""The one way through an attention matrix that never goes back in the lyrics."""

import numpy as np
from jaxtyping import Float32, Int64

LEAST_WEIGHT = 1e-6
"""Less attention than this counts as this much, so that one code cannot forbid a path."""


def monotonic_path(weights: Float32[np.ndarray, "codes characters"]) -> Int64[np.ndarray, " codes"]:
    """Which character each code sings: the path that does not descend and has the largest product of weights.

    It may begin and end at any character and pass over some, as a part of a song does. Where two are as good, the
    later character is taken.

    Args:
        weights: attention, 0 to 1, with at least one character.
    """
    codes, characters = weights.shape
    best = np.zeros(characters)
    # Of the characters that a step may come from only the records so far matter: a bit for each, not a number.
    records = np.zeros((codes, -(-characters // 8)), np.uint8)
    for code in range(codes):
        reached = np.maximum.accumulate(best)
        records[code] = np.packbits(best == reached)
        best = reached + np.log(np.maximum(weights[code].astype(np.float64), LEAST_WEIGHT))
    path = np.zeros(codes, np.int64)
    place = characters - 1 - int(np.argmax(best[::-1]))
    for code in range(codes - 1, -1, -1):
        path[code] = place
        if code > 0:
            place = int(np.flatnonzero(np.unpackbits(records[code])[: place + 1])[-1])
    return path
