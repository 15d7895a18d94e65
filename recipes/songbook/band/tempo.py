"""Quarter notes to seconds."""

from bisect import bisect_right
from fractions import Fraction

FERMATA_STRETCH = 1.6


class TempoMap:
    """Seconds of every position of a score.

    Args:
        tempos: (position, quarter notes a minute), the first at 0.
        factor: on all tempos.
        fermatas: (start, end) of stretches that last longer.
    """

    def __init__(
        self,
        tempos: tuple[tuple[Fraction, float], ...],
        factor: float,
        fermatas: tuple[tuple[Fraction, Fraction], ...],
    ) -> None:
        edges = sorted({place for place, _ in tempos} | {edge for held in fermatas for edge in held})
        self.edges = [float(edge) for edge in edges]
        self.pace: list[float] = []
        self.start_s = [0.0]
        changes = [place for place, _ in tempos]
        for index, edge in enumerate(edges):
            tempo = tempos[bisect_right(changes, edge) - 1][1] * factor
            held = any(start <= edge < end for start, end in fermatas)
            self.pace.append(60 / tempo * (FERMATA_STRETCH if held else 1.0))
            if index + 1 < len(edges):
                self.start_s.append(self.start_s[-1] + float(edges[index + 1] - edge) * self.pace[-1])

    def seconds(self, position: Fraction) -> float:
        """Seconds from the start of the score to a position in quarter notes."""
        index = max(0, bisect_right(self.edges, float(position)) - 1)
        return self.start_s[index] + (float(position) - self.edges[index]) * self.pace[index]
