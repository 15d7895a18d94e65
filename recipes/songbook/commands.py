"""The commands `render` and `inspect`: what they print."""

import argparse
import os
import sys
from collections.abc import Iterator

from jukebox.errors import ConfigError
from recipes.songbook.scores.library import Reading, find, read_all
from recipes.songbook.scores.model import Score
from recipes.songbook.voice.voices import VOICES, voice_named

PITCH_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


def render(arguments: argparse.Namespace) -> int:
    """Read scores and render songs of them.

    Returns:
        0, or 1 when some songs failed.
    """
    from recipes.songbook.songs.run import Settings
    from recipes.songbook.songs.run import render as run

    voices = tuple(voice_named(name).name for name in arguments.voice or VOICES)
    workers = arguments.workers if arguments.workers is not None else os.cpu_count() or 1
    if workers < 1:
        raise ConfigError(f"There are {workers} workers; at least 1 is needed.")
    scores: list[Score] = []
    for reading in read_all(arguments.scores):
        if reading.score is None:
            print(f"{reading.path}: {reading.reason}", file=sys.stderr)
        else:
            scores.append(reading.score)
    hours = arguments.hours if arguments.hours is not None else _once(scores, arguments.seed, voices)
    outcome = run(
        scores,
        Settings(
            out=arguments.out,
            hours=hours,
            seed=arguments.seed,
            voices=voices,
            sound_format=arguments.format,
            workers=workers,
        ),
    )
    for name, sentence in outcome.failures:
        print(f"{name}: {sentence}", file=sys.stderr)
    kept = outcome.songs - outcome.made - len(outcome.failures)
    print(
        f"{outcome.made} songs rendered, {kept} were there, {len(outcome.failures)} failed: "
        f"{outcome.duration_s / 3600:.2f} hours in {arguments.out}."
    )
    return 1 if outcome.failures else 0


def _once(scores: list[Score], seed: int, voices: tuple[str, ...]) -> float:
    """Hours in which every score is sung once."""
    from recipes.songbook.band.arrangement import draw
    from recipes.songbook.band.performance import perform

    seconds = sum(perform(score, draw(score, 0, seed, voices)).length_s for score in scores)
    return max(seconds - 0.001, 0.001) / 3600


def inspect(arguments: argparse.Namespace) -> int:
    """Print what was read, or why not.

    Returns:
        0, or 1 when some scores cannot be sung.
    """
    several = len(find(arguments.scores)) > 1
    readings = list(read_all(arguments.scores))
    for reading in readings:
        print("\n".join(_short(reading) if several else _long(reading, arguments.notes)))
    refused = sum(reading.score is None for reading in readings)
    verses = sum(len(reading.score.verses) for reading in readings if reading.score)
    if several:
        print(f"{len(readings) - refused} scores with {verses} verses can be sung, {refused} cannot.")
    return 1 if refused else 0


def _short(reading: Reading) -> Iterator[str]:
    score = reading.score
    if score is None:
        yield f"{reading.path.name}: REFUSED. {reading.reason}"
    else:
        yield f"{reading.path.name}: {score.title}, {len(score.verses)} verses, {len(score.parts) + 1} voices."
        yield from (f"    {remark}" for remark in score.remarks)


def _long(reading: Reading, notes: bool) -> Iterator[str]:
    score = reading.score
    if score is None:
        yield f"{reading.path}: {reading.reason}"
        return
    pitches = [note.pitch for note in score.melody]
    yield f"{score.title}  ({score.key})"
    yield from (f"  {credit}" for credit in score.credits)
    yield f"  licence   {score.licence or 'not stated'}"
    yield f"  key       {score.fifths:+d} sharps, {'minor' if score.minor else 'major'}"
    yield f"  tempo     {', '.join(f'{t:g}' for _, t in score.tempos[:6])} quarter notes a minute"
    yield f"  bar       {float(score.bar_length):g} quarter notes, {float(score.pickup()):g} before the first"
    yield f"  length    {float(score.length):g} quarter notes with repeats"
    yield f"  voices    {len(score.parts) + 1}, the sung one from {_name(min(pitches))} to {_name(max(pitches))}"
    yield f"  marks     {len(score.fermatas)} fermatas, {len(score.dynamics)} of loudness, {len(score.chords)} chords"
    yield from (f"  note      {remark}" for remark in score.remarks)
    for verse in score.verses:
        yield f"\n  verse {verse.label}: {verse.text()}"
        for syllable in verse.syllables if notes else ():
            places = ", ".join(
                f"{_name(n.pitch)} at {float(n.start):g} for {float(n.duration):g}" for n in syllable.notes
            )
            yield f"    {syllable.text}{'-' if syllable.joined else ' '}  {places}"


def _name(pitch: int) -> str:
    return f"{PITCH_NAMES[pitch % 12]}{pitch // 12 - 1}"
