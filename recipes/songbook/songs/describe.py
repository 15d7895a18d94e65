"""What is known about a song, as an entry that `jukebox data prepare` reads, and its lyrics as an LRC file."""

from dataclasses import asdict
from typing import Any

import numpy as np

from recipes.songbook.songs.plan import Song
from recipes.songbook.voice.sing import SungPhrase
from recipes.songbook.voice.timing import TimedPhrase
from recipes.songbook.voice.vocoder import FRAME_S
from recipes.songbook.voice.voices import VOICES

PITCH_STEP_S = 0.01
HYMN, ART_SONG, SONG = "hymn", "art song", "song"


def describe(
    song: Song, phrases: list[TimedPhrase], sung: list[SungPhrase], files: dict[str, str], family: str, held_out: bool
) -> dict[str, Any]:
    """A song's entry.

    Args:
        song: of the plan.
        phrases, sung: what was sung and when.
        files: mix, stem and, unless it is a cappella, accompaniment, relative to the run's folder.
        family: songs of one family stay on one side of the split.
        held_out: for validation.

    Returns:
        Values of JSON. All times are seconds from the start of the song, `notes` are [start, end, MIDI pitch],
        `pitch_cents` has 100 times the MIDI pitch every 10 ms and 0 where there is no voice.
    """
    score, arrangement = song.score, song.arrangement
    lines = [_line(phrase) for phrase in phrases]
    words = [word for phrase in phrases for word in phrase.words]
    folder = files["mix"].split("/")[0]
    entry: dict[str, Any] = {
        "path": files["mix"].removeprefix(f"{folder}/"),
        "stem": f"../{files['stem']}",
        "accompaniment": f"../{files['accompaniment']}" if "accompaniment" in files else None,
        "title": score.title,
        "artist": arrangement.artist(),
        "genre": genre(song),
        "licence": score.licence,
        "credits": list(score.credits),
        "voice_licence": VOICES[arrangement.voice].licence,
        "score": score.key,
        "take": song.take,
        "group": family,
        "split": "validation" if held_out else "train",
        "held_out": held_out,
        "duration_s": round(song.duration_s, 6),
        "arrangement": asdict(arrangement),
        "lyrics": "\n".join(text for _, _, text in lines),
        "lyrics_lines": lines,
        "lyrics_words": [[_s(w.start_s), _s(w.end_s), w.text] for w in words],
        "syllables": [[_s(s.start_s), _s(s.end_s), s.text] for phrase in phrases for s in phrase.syllables],
        "notes": [[_s(n.start_s), _s(n.end_s), n.pitch] for phrase in phrases for n in phrase.notes],
        "pitch_step_s": PITCH_STEP_S,
        "pitch_cents": pitch_cents(sung, song.duration_s),
    }
    return entry


def genre(song: Song) -> str:
    """By what the score is: four voices are a hymn, an accompaniment of its own an art song."""
    from recipes.songbook.band.arrangement import is_written_out

    if not song.score.parts:
        return SONG
    return ART_SONG if is_written_out(song.score) else HYMN


def pitch_cents(sung: list[SungPhrase], length_s: float) -> list[int]:
    """The sung pitch on one grid for the whole song."""
    grid = np.zeros(int(length_s / PITCH_STEP_S) + 1)
    for phrase in sung:
        times = np.arange(len(grid)) * PITCH_STEP_S - phrase.start_s
        frames = np.round(times / FRAME_S).astype(int)
        inside = (frames >= 0) & (frames < len(phrase.pitch_hz))
        hertz = phrase.pitch_hz[frames[inside]]
        values = np.where(hertz > 0, 6900 + 1200 * np.log2(np.maximum(hertz, 1.0) / 440), 0.0)
        grid[inside] = np.where(values > 0, values, grid[inside])
    return [round(value) for value in grid.tolist()]


def lrc(entry: dict[str, Any]) -> str:
    """An LRC file: a time for each line, and an empty line where the voice rests for longer than two seconds."""
    rows = [f"[ti:{entry['title']}]", f"[ar:{entry['artist']}]"]
    lines = entry["lyrics_lines"]
    for (start, end, text), after in zip(lines, [*lines[1:], None], strict=True):
        rows.append(f"{_stamp(start)}{text}")
        if after is None or after[0] - end > 2:
            rows.append(_stamp(end))
    return "\n".join(rows) + "\n"


def _line(phrase: TimedPhrase) -> list[Any]:
    text = " ".join(word.text for word in phrase.words)
    return [_s(phrase.words[0].start_s), _s(phrase.words[-1].end_s), text]


def _s(seconds: float) -> float:
    return round(max(0.0, seconds), 3)


def _stamp(seconds: float) -> str:
    hundredths = round(seconds * 100)
    return f"[{hundredths // 6000:02d}:{hundredths // 100 % 60:02d}.{hundredths % 100:02d}]"
