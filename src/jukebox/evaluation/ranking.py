"""Takes of a song, the best first; what was measured is kept in the session's folder, take by take.

A score says how a take stands among the others of its song: the mean of the shares of them that it is better than, in
each of `COUNTED`. `bench/rank.py` shows what that is worth.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jukebox.checkpoints.files import replacing
from jukebox.data.display import Display, unseen
from jukebox.errors import CheckpointError, JukeboxError
from jukebox.evaluation.takes import Take, TakeMeasures, measure, takes_of
from jukebox.prior.prior import Prior
from jukebox.sampling.model import SongModel
from jukebox.sampling.session import Session

RANK = "rank.json"
"""What was measured of the takes of a session, in its folder."""

COUNTED = ("sung", "variety")
"""Measures that count: more is better. The others are shown."""

_SHORTER = 0.1


def standings(takes: Sequence[TakeMeasures], counted: Sequence[str] = COUNTED) -> list[float]:
    """The score of each of some takes of one song, 0 (the worst in everything) to 1; 0.5 for one alone.

    What a model does not say of all of them is left out; where two are as good, each is better than half of the other.
    """
    columns = [[getattr(take, name) for take in takes] for name in counted]
    columns = [column for column in columns if None not in column]
    shares = ([_beaten(column, place) for column in columns] for place in range(len(takes)))
    return [round(sum(share) / len(share), 6) if share else 0.5 for share in shares]  # rounded: ties are ties


def _beaten(column: Sequence[float], place: int) -> float:
    """The share of the others that are below the value at a place."""
    if len(column) < 2:
        return 0.5
    value = column[place]
    return (sum((value > other) + (value == other) / 2 for other in column) - 0.5) / (len(column) - 1)


def same_length(takes: Sequence[TakeMeasures]) -> list[list[int]]:
    """Places of some takes of one song, in groups of about the same length; the longest group first.

    Takes of other lengths have come to other words, and loops begin late. Each of a group is at most a tenth shorter
    than its longest: the last tenth moves a mean over pieces, or a share of what is due, by about as much at most.
    """
    groups = list[list[int]]()
    for place in sorted(range(len(takes)), key=lambda place: -takes[place].seconds):
        if groups and takes[place].seconds >= (1 - _SHORTER) * takes[groups[-1][0]].seconds:
            groups[-1].append(place)
        else:
            groups.append([place])
    return [sorted(group) for group in groups]


def measured(
    session: Session,
    model: SongModel,
    fingerprint: str,
    prior: Callable[[], Prior],
    display: Display = unseen,
    unkept: Callable[[JukeboxError], None] | None = None,
) -> list[tuple[Take, TakeMeasures]]:
    """The takes of a session that are begun, measured; what was measured before, of the same codes, is read.

    Args:
        session: finished or not.
        model: that wrote it.
        fingerprint: of the model: other weights measure otherwise.
        prior: loads its prior of the top level, where something is to be measured.
        display: shows how far it has come.
        unkept: told, at most once, why the measures cannot be kept in the folder; they are given all the same.

    Raises:
        DataError: nothing of the top level is there.
        CheckpointError: the measures cannot be kept, and nobody is told.
    """
    path, loaded, found = session.folder / RANK, list[Prior](), list[tuple[Take, TakeMeasures]]()
    known, failed = _read(path), None
    takes = takes_of(session, model)
    with display("measuring", len(takes), "takes") as advance:
        for take in takes:
            name, of = take.item.name, _digest(take, fingerprint)
            if known.get(name, {}).get("of") != of:
                loaded = loaded or [prior()]
                known[name] = {"of": of} | dataclasses.asdict(measure(loaded[0], model, take))
                try:
                    with replacing(path) as temporary:
                        temporary.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
                except CheckpointError as error:
                    if unkept is None:
                        raise
                    failed = failed or error
            values = {name: value for name, value in known[name].items() if name != "of"}
            found.append((take, TakeMeasures(**values)))
            advance(1)
    if failed is not None and unkept is not None:
        unkept(failed)
    return found


def _digest(take: Take, fingerprint: str) -> str:
    """What decides the measures of a take: its codes, what it is told, and the model."""
    item = take.item
    told = (fingerprint, take.codes.tolist(), take.tokens, item.follows, item.total_samples, item.offset_samples)
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """What was measured before; nothing where the file is missing, damaged or of another version."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        names = {field.name for field in dataclasses.fields(TakeMeasures)} | {"of"}
        return {name: values for name, values in found.items() if values.keys() == names and _numbers(values)}
    except (OSError, ValueError, AttributeError):
        return {}


def _numbers(values: dict[str, Any]) -> bool:
    """Whether all measures are numbers, or not known where they may be."""
    known = [value for name, value in values.items() if name != "of" and (name, value) != ("sung", None)]
    return all(isinstance(value, float | int) for value in known)
