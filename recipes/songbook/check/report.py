"""The command `check`: a sample of songs measured, a report with pictures, and the gates that a song must pass."""

import hashlib
import json
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jukebox.checkpoints.files import replacing
from jukebox.cli.progress import progress
from jukebox.errors import DataError
from recipes.songbook.check.listen import HEARING_RATE, Heard, Listener, vocabulary
from recipes.songbook.check.measure import levels, pitch_errors, read_mono
from recipes.songbook.check.picture import picture
from recipes.songbook.songs.render import FOLDERS
from recipes.songbook.songs.run import read_metadata

PITCH_CENTS, START_S, WORDS = 10.0, 0.04, 0.6
"""Gates of one song: mean pitch error, median word start, words among ten."""
VOICE_PITCH_CENTS, VOICE_START_S, VOICE_WORDS = 8.0, 0.03, 0.6
"""Gates of a voice over its songs; the third best voice is to have more words than the others need."""
BEST, BEST_WORDS = 3, 0.85
ENOUGH_SONG, ENOUGH_VOICE = 10, 60
"""Words asked for, below which a share says nothing about a song or a voice."""
SILENCE_S = 12.0
PICTURES = 4


@dataclass(frozen=True, slots=True)
class Row:
    """One song's numbers; times in seconds, pitch in cents."""

    name: str
    voice: str
    pitch_mean: float
    pitch_95: float
    note_mean: float
    start_median: float
    start_signed: float
    right: int
    asked: int
    aligned: int
    lines: int
    loudness_lufs: float
    peak: float
    clipped: int
    silence_s: float

    def faults(self) -> list[str]:
        """What does not pass."""
        found = []
        if not self.pitch_mean < PITCH_CENTS:
            found.append(f"pitch is off by {self.pitch_mean:.1f} cents")
        if self.aligned and not self.start_median < START_S:
            found.append(f"words start {1000 * self.start_median:.0f} ms away")
        if self.asked >= ENOUGH_SONG and self.right < WORDS * self.asked:
            found.append(f"{self.right} of {self.asked} words are recognised")
        if self.clipped:
            found.append(f"{self.clipped} samples are clipped")
        if self.silence_s > SILENCE_S:
            found.append(f"it is silent for {self.silence_s:.0f} s")
        return found


def check(out: Path, count: int, seed: int) -> int:
    """Measure a sample and write `check/report.md`, `check/songs.jsonl` and pictures.

    Args:
        out: the folder of a run.
        count: songs to measure, spread evenly over the voices.
        seed: of the choice.

    Returns:
        0, or 1 when a song or a voice does not pass.
    """
    if count < 1:
        raise DataError(f"{count} songs are to be measured; at least 1 is needed.")
    entries = read_metadata(out)
    chosen = _sample(entries, count, seed)
    listener = Listener()
    words = vocabulary(entries, listener)
    rows = []
    folder = out / "check"
    folder.mkdir(exist_ok=True)
    with progress("checking", len(chosen), "songs") as advance:
        for index, entry in enumerate(chosen):
            row, stem = _row(out, entry, listener, words, seed)
            rows.append(row)
            if index < PICTURES:
                picture(folder / f"{row.name}.png", stem, entry)
            advance(1)
    twins = _duplicates(out, entries)
    text = _report(rows, len(entries), twins)
    with replacing(folder / "songs.jsonl") as path:
        path.write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows))
    with replacing(folder / "report.md") as path:
        path.write_text(text)
    print(text)
    return 1 if twins or _voice_faults(rows) or any(row.faults() for row in rows) else 0


def _voice_faults(rows: list[Row]) -> list[str]:
    """What does not pass of the voices, each over all its songs."""
    found, shares = [], []
    for voice in sorted({row.voice for row in rows}):
        own = [row for row in rows if row.voice == voice]
        pitch = float(np.mean([row.pitch_mean for row in own]))
        if not pitch < VOICE_PITCH_CENTS:
            found.append(f"{voice} is off by {pitch:.1f} cents")
        starts = [row.start_median for row in own if row.aligned]
        if starts and not np.median(starts) < VOICE_START_S:
            found.append(f"{voice} begins words {1000 * float(np.median(starts)):.0f} ms away")
        asked = sum(row.asked for row in own)
        if asked >= ENOUGH_VOICE:
            shares.append((sum(row.right for row in own) / asked, voice))
    found += [f"{voice} has {share:.2f} of its words recognised" for share, voice in shares if share < VOICE_WORDS]
    if len(shares) >= BEST and sorted(shares)[-BEST][0] < BEST_WORDS:
        found.append(f"the third best voice has {sorted(shares)[-BEST][0]:.2f} of its words recognised")
    return found


def _sample(entries: list[dict[str, Any]], count: int, seed: int) -> list[dict[str, Any]]:
    """Songs drawn from every voice in turn."""
    by_voice: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for index in np.random.default_rng(seed).permutation(len(entries)):
        by_voice[entries[int(index)]["arrangement"]["voice"]].append(entries[int(index)])
    chosen: list[dict[str, Any]] = []
    while len(chosen) < min(count, len(entries)):
        for voice in sorted(by_voice):
            if by_voice[voice] and len(chosen) < count:
                chosen.append(by_voice[voice].pop())
    return chosen


def _row(out: Path, entry: dict[str, Any], listener: Listener, words: list[str], seed: int) -> tuple[Row, np.ndarray]:
    import soxr

    stem, rate = read_mono(out / FOLDERS["mix"] / entry["stem"])
    mixed, mix_rate = read_mono(out / FOLDERS["mix"] / entry["path"])
    pitch = pitch_errors(stem, rate, entry)
    heard: Heard = listener.hear(soxr.resample(stem, rate, HEARING_RATE), entry, words, seed)
    found = levels(mixed, mix_rate)
    starts = np.array(heard.start_errors_s)
    row = Row(
        name=Path(entry["path"]).stem,
        voice=entry["arrangement"]["voice"],
        pitch_mean=_mean(pitch.curve_cents),
        pitch_95=float(np.percentile(pitch.curve_cents, 95)) if len(pitch.curve_cents) else float("inf"),
        note_mean=_mean(pitch.note_cents),
        start_median=float(np.median(np.abs(starts))) if len(starts) else float("inf"),
        start_signed=float(np.median(starts)) if len(starts) else float("inf"),
        right=heard.right,
        asked=heard.asked,
        aligned=heard.aligned,
        lines=heard.lines,
        **asdict(found),
    )
    return row, stem


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("inf")


def _duplicates(out: Path, entries: list[dict[str, Any]]) -> list[str]:
    """Songs whose mix has the same bytes as another's."""
    seen: dict[str, str] = {}
    twins = []
    for entry in entries:
        mark = hashlib.sha256((out / FOLDERS["mix"] / entry["path"]).read_bytes()).hexdigest()
        if mark in seen:
            twins.append(f"{entry['path']} and {seen[mark]} are the same")
        seen.setdefault(mark, entry["path"])
    return twins


def _report(rows: list[Row], total: int, twins: list[str]) -> str:
    lines = ["# Songs checked", "", f"{len(rows)} of {total} songs.", ""]
    lines += ["| voice | songs | pitch, cents | 95 % | notes, cents | word start, ms | words of ten | LUFS |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- | --- |"]
    voices = sorted({row.voice for row in rows})
    lines += [_summary(voice, [row for row in rows if row.voice == voice]) for voice in voices]
    lines += [_summary("all", rows), ""]
    lines += [f"- {row.name}: {'; '.join(row.faults())}." for row in rows if row.faults()]
    lines += [f"- {fault}." for fault in [*_voice_faults(rows), *twins]]
    if not twins and not _voice_faults(rows) and not any(row.faults() for row in rows):
        lines += ["Every song and every voice passes."]
    lines += ["", *(f"![{row.name}]({row.name}.png)" for row in rows[:PICTURES])]
    return "\n".join(lines) + "\n"


def _summary(name: str, rows: list[Row]) -> str:
    def mean(field: str) -> float:
        values = [getattr(row, field) for row in rows if np.isfinite(getattr(row, field))]
        return float(np.mean(values)) if values else float("nan")

    asked = sum(row.asked for row in rows)
    share = sum(row.right for row in rows) / asked if asked else float("nan")
    return (
        f"| {name} | {len(rows)} | {mean('pitch_mean'):.1f} | {mean('pitch_95'):.1f} | {mean('note_mean'):.1f} "
        f"| {1000 * mean('start_median'):.0f} | {share:.2f} of {asked} | {mean('loudness_lufs'):.1f} |"
    )
