"""What a description says that the music is not: "without drums", "no vocals", "not sad or slow"."""

import re
from collections.abc import Iterator

# How far each reaches: nouns end where the sentence goes on about the music, adjectives only where it turns.
_TURNS = "but|with|yet|though|although|just|only|and (?:an?|the|some|lots|plenty|more|much|many|very|with)"
_PLACES = f"{_TURNS}|in|on|at|for|over|under|to|while"
_NEGATIONS = {
    "without|lacking|free of|except|minus|instead of|rather than|anything but": f"{_PLACES}|by|from|like|an?|the",
    "no|nothing|neither|nor": _PLACES,
    r"not|never|\w+n['’]t": _TURNS,
}
# "not only", "nothing but" and "not without" say what it is.
_AFFIRMED = r"(?:not|never|\w+n['’]t) (?:only|just|merely|simply|without|lacking)|nothing but|no less"

# Of a row without "or" or "and"; what comes then is about something else.
_MOST_WORDS = 4
_JOINING = ("or", "and", "nor")
_SLIGHT = frozenset(
    re.findall(r"\w+", "a an the any all at too so very really that this of by like from it is be being have has want")
)


def _pattern(words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{words})\b".replace(" ", r"\s+"), re.IGNORECASE)


_START = _pattern(f"(?P<affirmed>{_AFFIRMED})|" + "|".join(f"({words})" for words in _NEGATIONS))
_ENDS = [_pattern(words) for words in _NEGATIONS.values()]
_WORD = re.compile(r"[\w'’&]+")
_PAUSE = re.compile(r"[.;:!?()\n–—]|,(?!(?:\s*[\w'’&]+,)*\s*[\w'’&]+,?\s+n?or\b)")  # not in "drums, bass or flutes"


def denied(text: str) -> Iterator[tuple[int, int]]:
    """Where a text says what is not meant: from each negation to the end of what it negates."""
    place = 0
    while found := _START.search(text, place):
        place = found.end()
        if found["affirmed"] is None:
            assert found.lastindex is not None
            place = _end(text, place, _ENDS[found.lastindex - 2])  # the first group is what is affirmed
            yield found.start(), place


def _end(text: str, place: int, turn: re.Pattern[str]) -> int:
    """Where what is negated from a place on ends: after four words, or more that are joined; before a turn."""
    count, end = 0, place
    for word in _WORD.finditer(text, place):
        pause = _PAUSE.search(text, end)
        joining = word[0].lower() in _JOINING or "," in text[end : word.start()]
        if (pause is not None and pause.start() < word.start()) or (count and turn.match(text, word.start())):
            break
        if count == _MOST_WORDS and not joining:
            break
        count = 0 if joining else count + (word[0].lower() not in _SLIGHT)
        end = word.end()
    return end


def split_denied(text: str) -> tuple[str, str]:
    """What a text says of the music, and what it denies."""
    said, not_said, place = "", "", 0
    for start, end in denied(text):
        said, not_said, place = f"{said}{text[place:start]} ", f"{not_said}{text[start:end]} ", end
    return said + text[place:], not_said
