"""Loudness marks: what each means as a MIDI velocity, and hairpins as straight lines."""

from bisect import bisect_right
from fractions import Fraction

VELOCITIES = {"ppp": 30, "pp": 40, "p": 52, "mp": 64, "mf": 76, "f": 90, "ff": 104, "fff": 116, "sf": 96, "sfz": 96}
PLAIN = 72
"""Where a score says nothing."""
HAIRPIN = 14


def velocity_at(dynamics: tuple[tuple[Fraction, int], ...], position: Fraction) -> float:
    """The velocity at a position.

    Args:
        dynamics: breakpoints in the order of time; two at one position are a step.
        position: in quarter notes.

    Returns:
        A value between the breakpoints around it; `PLAIN` before the first.
    """
    places = [place for place, _ in dynamics]
    after = bisect_right(places, position)
    if after == 0:
        return PLAIN
    left, low = dynamics[after - 1]
    if after == len(dynamics):
        return low
    right, high = dynamics[after]
    return low + (high - low) * float((position - left) / (right - left))


def breakpoints(
    marks: list[tuple[Fraction, int]], hairpins: list[tuple[Fraction, Fraction, int]]
) -> list[tuple[Fraction, int]]:
    """Marks and hairpins as breakpoints.

    Args:
        marks: (position, velocity) from which it holds.
        hairpins: (start, end, +1 for a crescendo or -1).

    Returns:
        For `velocity_at`.
    """
    points: list[tuple[Fraction, int]] = []
    level = PLAIN
    events = [(place, 1, value, place) for place, value in marks] + [(a, 0, sign, b) for a, b, sign in hairpins]
    for place, is_mark, value, end in sorted(events):
        points.append((place, level))
        if is_mark:
            level = value
            points.append((place, level))
        else:
            target = next((v for at, v in sorted(marks) if end <= at <= end + 1), level + value * HAIRPIN)
            level = min(116, max(30, target if (target - level) * value > 0 else level + value * HAIRPIN))
            points.append((max(place, end), level))
    return sorted(points, key=lambda point: point[0])
