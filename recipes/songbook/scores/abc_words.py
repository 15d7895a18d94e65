"""ABC's w: lines: cut into syllables and laid under the notes of the music line before them."""

import re
from dataclasses import dataclass

from recipes.songbook.scores.raw import RawNote, Word

LABEL = re.compile(r"^\s*(\d+)\s*(?:\([^)]*\))?\s*(?:[.,:)]\s*|\s+)")
"""A verse's number before its first word, as in `1.~A-`."""


@dataclass(slots=True)
class WordLine:
    """A w: line: its items, "|" for a bar line, and the verse's number if it begins with one."""

    items: list[Word | str]
    label: str | None


def read_line(text: str) -> WordLine:
    """Cut a w: line.

    Args:
        text: after `w:`; `-` parts syllables, `_` and `*` hold, `~` is a space, `|` waits for the next bar.

    Returns:
        The items in order.
    """
    text = re.sub(r"(?<!\\)%.*", "", text)
    items: list[Word | str] = []
    label = None
    for piece in re.findall(r"(?:\\-|[^\s_*|-])+|[-_*|]|\s+", text):
        last = items[-1] if items else None
        if piece == "-":
            if isinstance(last, Word) and last.kind == "syllable" and not last.joined:
                last.joined = True
            elif isinstance(last, Word):
                items.append(Word("hold"))
        elif piece in ("_", "*"):
            items.append(Word("hold"))
        elif piece == "|":
            items.append("|")
        elif not piece.isspace():
            spoken = piece.replace("\\-", "-").replace("~", " ")
            number = LABEL.match(spoken) if not items else None
            if number:
                label, spoken = number[1], spoken[number.end() :]
            if spoken.strip():
                items.append(Word("syllable", spoken.strip()))
    return WordLine(items, label)


def lay_under(items: list[Word | str], notes: list[tuple[RawNote, int]], line: int) -> str | None:
    """Put a line's items under notes.

    Args:
        items: of `read_line`.
        notes: those of the music line with the number of the bar each is in; rests left out.
        line: the verse line's number, from 0.

    Returns:
        None, or what does not fit; then the rest of the notes stay without words.
    """
    here = 0
    for item in items:
        if isinstance(item, str):
            bar = notes[here - 1][1] if here else None
            while 0 < here < len(notes) and notes[here][1] == bar:
                notes[here][0].words[line] = Word("hold")
                here += 1
            continue
        if here == len(notes):
            wanted = sum(isinstance(i, Word) for i in items)
            return f"{wanted} syllables and holds stand under {len(notes)} notes"
        notes[here][0].words[line] = Word(item.kind, item.text, item.joined)
        here += 1
    if items and here < len(notes):
        return f"{here} syllables and holds stand under {len(notes)} notes"
    return None
