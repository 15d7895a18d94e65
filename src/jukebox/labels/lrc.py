"""LRC files: lyrics with the time of each line, as players show them, perhaps with the time of each word.

[ti:Title]
[00:12.00]A line
[00:17.20][00:45.10]A line that is sung twice
[00:21.00]<00:21.10>word <00:21.60>by <00:21.90>word
"""

import re
from itertools import pairwise

from jukebox.errors import DataError
from jukebox.labels.lyric_times import TimedText

_TIME = r"(\d+):(\d{1,2}(?:[.:]\d+)?)"
_LINE_TIMES = re.compile(rf"\s*((?:\[{_TIME}\]\s*)+)(.*)")
_LINE_TIME, _WORD_TIME = re.compile(rf"\[{_TIME}\]"), re.compile(rf"<{_TIME}>")
_METADATA = re.compile(r"\s*\[\s*(?:[^\W\d][\w ]*|#)\s*:.*\]\s*")  # as in [ar:Somebody]; offset is one of them
_OFFSET = re.compile(r"\s*\[offset:\s*([+-]?\d+)\s*\]", re.IGNORECASE)

# How long the last line or word is thought to last where nothing follows it.
_LAST_S = 4.0


def is_lrc(text: str) -> bool:
    """Whether a text has a line with a time, as in an LRC file."""
    return any(_LINE_TIMES.fullmatch(line) for line in text.splitlines())


def untimed_line(text: str) -> tuple[int, str] | None:
    """The first line, counted from 1, whose words `parse_lrc` leaves out since it can read no time before them."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not _LINE_TIMES.fullmatch(line) and not _METADATA.fullmatch(line):
            return number, line.strip()
    return None


def parse_lrc(text: str) -> tuple[str, tuple[TimedText, ...]]:
    """The lyrics of an LRC file, and when they are sung: word by word where every line says so, else line by line.

    A line lasts until the next one; lines without text only end the one before. Lines without a time are left out:
    `untimed_line` finds them.

    Raises:
        DataError: no line has a time.
    """
    shift_s, lines = 0.0, []
    for line in text.splitlines():
        if found := _OFFSET.match(line):
            shift_s = int(found[1]) / 1000  # positive: earlier
        elif found := _LINE_TIMES.fullmatch(line):
            times = [_seconds(*match.groups()) for match in _LINE_TIME.finditer(found[1])]
            lines += [(time_s, found.groups()[-1].strip()) for time_s in times]
    lines.sort(key=lambda line: line[0])
    sung = [line for line in lines if _WORD_TIME.sub("", line[1]).strip()]
    if not sung:
        raise DataError("it has no line with a time such as [01:23.45]")
    lyrics = "\n".join(" ".join(_WORD_TIME.sub(" ", line).split()) for _, line in sung)
    pieces = [piece for line in lines for piece in _words(*line)] if _is_by_word(sung) else lines
    moments_s = [max(0.0, time_s - shift_s) for time_s, _ in pieces]
    ends_s = [*(later for _, later in pairwise(moments_s)), moments_s[-1] + _LAST_S]
    timed = (
        TimedText(start_s=start_s, end_s=end_s, text=" ".join(piece.split()))
        for start_s, end_s, (_, piece) in zip(moments_s, ends_s, pieces, strict=True)
    )
    return lyrics, tuple(item for item in timed if item.text)


def _is_by_word(lines: list[tuple[float, str]]) -> bool:
    return all(_WORD_TIME.search(line) for _, line in lines)


def _words(line_s: float, line: str) -> list[tuple[float, str]]:
    """The words of a line with their times; a time after the last word ends it."""
    parts = _WORD_TIME.split(line)  # text, minutes, seconds, text, minutes, seconds, text, ...
    words = [(line_s, parts[0].strip())] if parts[0].strip() or len(parts) == 1 else []
    return words + [(_seconds(parts[i], parts[i + 1]), parts[i + 2].strip()) for i in range(1, len(parts), 3)]


def _seconds(minutes: str, seconds: str) -> float:
    return 60 * int(minutes) + float(seconds.replace(":", "."))
