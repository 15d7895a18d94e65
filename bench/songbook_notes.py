"""Whether the songbook reads the same notes as parsers that other people wrote.

ABC is compared with abc2midi (Debian package abcmidi), MusicXML with partitura (from pip; for this script alone).
Every score that the songbook accepts is compared note for note, in all voices and with repeats written out: where a
note starts, its pitch, and how long it lasts, ties joined. Grace notes are left out on both sides; the songbook also
leaves out cue notes without words.

    python bench/songbook_notes.py SCORES...
"""

import argparse
import importlib
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from jukebox.errors import DataError, JukeboxError
from recipes.songbook.scores.library import read_all
from recipes.songbook.scores.model import Score

Key = tuple[Fraction, int, Fraction]
LATE_TICKS = 1
"""abc2midi starts every note one tick late, and ends it in time."""
ROLL = Fraction(10, 480)
GRID = 480
"""Places and lengths are compared in 480ths of a quarter note, which is what abc2midi writes."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scores", nargs="+", type=Path)
    arguments = parser.parse_args(argv)
    total: Counter[str] = Counter()
    try:
        for reading in read_all(arguments.scores):
            if reading.score is None:
                total["refused"] += 1
                continue
            is_abc = reading.path.suffix.lower() == ".abc"
            own = _own(reading.score)
            try:
                other = (_abc2midi if is_abc else _partitura)(reading.path)
            except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
                print(f"{reading.path.name}: the other parser fails ({type(error).__name__}: {error})")
                total["abc cannot" if is_abc else "xml cannot"] += 1
                continue
            _compare(reading.path.name, own, other, total, "abc" if is_abc else "xml")
    except JukeboxError as error:
        print(f"songbook_notes: {error}", file=sys.stderr)
        return 2
    for kind in ("abc", "xml"):
        if total[f"{kind} scores"]:
            print(
                f"{kind}: {total[f'{kind} equal']} of {total[f'{kind} scores']} scores equal note for note; "
                f"of {total[f'{kind} notes']} notes, {total[f'{kind} missing']} are missing here and "
                f"{total[f'{kind} extra']} missing there; {total[f'{kind} cannot']} scores the other could not read."
            )
    return 0


def _compare(name: str, own: Counter[Key], other: Counter[Key], total: Counter[str], kind: str) -> None:
    missing, extra = other - own, own - other
    for start, pitch, length in sorted(missing):  # abc2midi rolls chords of a voice a little
        twin = next((key for key in extra if key[1] == pitch and 0 < start - key[0] <= ROLL), None)
        if twin is not None and twin[0] + twin[2] == start + length:
            missing, extra = missing - Counter([(start, pitch, length)]), extra - Counter([twin])
    total[f"{kind} scores"] += 1
    total[f"{kind} notes"] += sum(own.values())
    total[f"{kind} missing"] += sum(missing.values())
    total[f"{kind} extra"] += sum(extra.values())
    total[f"{kind} equal"] += not missing and not extra
    if missing or extra:
        print(f"{name}: missing here {_first(missing)}; missing there {_first(extra)}")


def _first(notes: Counter[Key]) -> str:
    shown = ", ".join(f"{p} at {float(s):g} for {float(d):g}" for s, p, d in sorted(notes)[:3])
    return f"{sum(notes.values())} ({shown})" if shown else "none"


def _own(score: Score) -> Counter[Key]:
    notes = [note for part in (score.melody, *score.parts) for note in part]
    return Counter(_key(note.start, note.pitch, note.duration) for note in notes)


def _key(start: Fraction | float, pitch: int, duration: Fraction | float) -> Key:
    end = round(GRID * (start + duration))
    begin = round(GRID * start)
    return Fraction(begin, GRID), pitch, Fraction(end - begin, GRID)


def _abc2midi(path: Path) -> Counter[Key]:
    import mido

    if shutil.which("abc2midi") is None:
        raise DataError("abc2midi is missing: install the Debian package abcmidi.")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "tune.mid"
        words = ["abc2midi", str(path), "1", "-o", str(target), "-NFER", "-NGRA", "-NGUI", "-silent"]
        subprocess.run(words, capture_output=True, check=False)
        file = mido.MidiFile(target)
    notes: Counter[Key] = Counter()
    for track in file.tracks:
        tick, sounding = 0, {}
        for message in track:
            tick += message.time
            if message.type in ("note_on", "note_off"):
                begun = sounding.pop((message.channel, message.note), None)
                if begun is not None:
                    begin = Fraction(begun - LATE_TICKS, file.ticks_per_beat)
                    notes[_key(begin, message.note, Fraction(tick, file.ticks_per_beat) - begin)] += 1
                if message.type == "note_on" and message.velocity:
                    sounding[message.channel, message.note] = tick
    return notes


def _partitura(path: Path) -> Counter[Key]:
    try:
        partitura = importlib.import_module("partitura")
    except ImportError:
        raise DataError("partitura is missing: `pip install partitura`, for this comparison alone.") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        score = partitura.load_musicxml(str(path))
        notes: Counter[Key] = Counter()
        for part in score.parts:
            unfolded = partitura.score.unfold_part_maximal(part, update_ids=False)
            first = float(min(0, unfolded.quarter_map(unfolded.first_point.t)))
            for note in unfolded.notes_tied:
                if isinstance(note, partitura.score.GraceNote):
                    continue
                begin, end = unfolded.quarter_map([note.start.t, note.end_tied.t])
                notes[_key(float(begin) - first, note.midi_pitch, float(end - begin))] += 1
    return notes


if __name__ == "__main__":
    sys.exit(main())
