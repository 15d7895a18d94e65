"""Repeats and endings written out: the order in which the stretches of a score are played."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from recipes.songbook.scores.model import ScoreError
from recipes.songbook.scores.raw import RawScore

Item = TypeVar("Item")
LONGEST = 1000


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of the written score, played once.

    Attributes:
        start, end: as written, in quarter notes.
        shift: what is added to a written position to get the played one.
        turn: which time this is, from 0.
        turns: how often its section is played in all.
    """

    start: Fraction
    end: Fraction
    shift: Fraction
    turn: int
    turns: int


def unfold(score: RawScore, length: Fraction) -> list[Stretch]:
    """The stretches of `score` in the order of playing.

    Args:
        score: with its marks.
        length: end of the written score, in quarter notes.

    Returns:
        Stretches without gaps; one that spans everything where there are no repeats.
    """
    marks = {Fraction(0), length} | score.repeat_starts | set(score.repeat_ends)
    marks |= {edge for start, end, _ in score.endings for edge in (start, end)}
    edges = sorted(mark for mark in marks if 0 <= mark <= length)
    pieces = list(itertools.pairwise(edges))
    order = list(_walk(score, pieces))
    turns: dict[int, int] = {}
    for _, turn, section in order:
        turns[section] = max(turns.get(section, 0), turn)
    played, position = [], Fraction(0)
    for piece, turn, section in order:
        start, end = pieces[piece]
        played.append(Stretch(start, end, position - start, turn - 1, turns[section]))
        position += end - start
    return played


def _walk(score: RawScore, pieces: list[tuple[Fraction, Fraction]]) -> Iterator[tuple[int, int, int]]:
    """(piece, turn from 1, section) in the order of playing."""
    here, home, turn, section, steps = 0, 0, 1, 0, 0
    while here < len(pieces):
        steps += 1
        if steps > LONGEST:
            raise ScoreError("Its repeats never end: a repeat sign is without its beginning; correct the score.")
        start, end = pieces[here]
        if start in score.repeat_starts and here != home:
            home, turn, section = here, 1, section + 1
        ending = next((passes for a, b, passes in score.endings if a <= start < b), None)
        if ending is not None and turn not in ending:
            here += 1
            continue
        yield here, turn, section
        if end in score.repeat_ends and turn < _turns(score, home_start=pieces[home][0], piece=(start, end)):
            turn, here = turn + 1, home
            continue
        if end in score.repeat_ends or (ending is not None and not any(a == end for a, _, _ in score.endings)):
            home, turn, section = here + 1, 1, section + 1
        here += 1


def _turns(score: RawScore, home_start: Fraction, piece: tuple[Fraction, Fraction]) -> int:
    """How often the section that ends with this repeat sign is begun."""
    start, end = piece
    here = next((passes for a, b, passes in score.endings if a <= start < b), None)
    if here is None:
        return score.repeat_ends[end]
    earlier = any(home_start <= a and b <= start for a, b, _ in score.endings)
    follows = any(a == end for a, _, _ in score.endings)
    return max(here) if earlier and not follows else max(here) + 1


def played_times(
    items: Iterable[Item], start_of: Callable[[Item], Fraction], order: list[Stretch]
) -> Iterator[tuple[Item, Stretch]]:
    """Every item with each stretch in which it is played, in the order of playing."""
    listed = list(items)
    for stretch in order:
        for item in listed:
            if stretch.start <= start_of(item) < stretch.end:
                yield item, stretch
