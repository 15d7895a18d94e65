"""ABC notation's signs: one line of music cut into tokens, and the small grammars of lengths, keys, meters, tempos."""

import re
from fractions import Fraction

from recipes.songbook.scores.model import ScoreError

STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
SHARPS = "FCGDAEB"
ACCIDENTALS = {"^": 1, "^^": 2, "_": -1, "__": -2, "=": 0}
TONICS = {"C": 0, "G": 1, "D": 2, "A": 3, "E": 4, "B": 5, "F": -1}
MODES = {"maj": 0, "ion": 0, "": 0, "m": -3, "min": -3, "aeo": -3, "dor": -2, "phr": -4, "lyd": 1, "mix": -1, "loc": -5}

TOKEN = re.compile(
    r"""
    (?P<inline>\[[A-Za-z]:[^\]]*\])
  | (?P<decoration>![^!|\s]*!|\+[A-Za-z.]+\+)
  | (?P<annotation>"[^"]*")
  | (?P<grace>\{[^}]*\})
  | (?P<tuplet>\(\d(?::\d*){0,2})
  | (?P<bar>:*\|[|\]:]*(?:\s*\[?(?:"[\d,\s-]+"|\d[\d,-]*))?|::+|\[\||\[\d[\d,-]*|\["[\d,\s-]+")
  | (?P<chord>\[(?P<inside>[^\]:|]*)\](?P<chordlength>[\d/]*)(?P<chordtie>-?))
  | (?P<note>(?P<accidental>\^\^|\^|__|_|=)?(?P<letter>[A-Ga-g])(?P<octave>[,']*)(?P<length>[\d/]*)(?P<tie>-?))
  | (?P<rest>[zx](?P<restlength>[\d/]*))
  | (?P<barrest>[ZX](?P<restbars>\d*))
  | (?P<broken><+|>+)
  | (?P<latetie>-)
  | (?P<slur>[()])
  | (?P<mark>[HJLMOPRSTuv~.])
  | (?P<space>[\s\\`y*]+|!)
  | (?P<other>.)""",
    re.X,
)
CHORD_NOTE = re.compile(r"(\^\^|\^|__|_|=)?([A-Ga-g])([,']*)([\d/]*)(-?)")


def length(text: str) -> Fraction:
    """A note's length in units: "3/2", "/", "//", "2" or nothing for 1."""
    match = re.fullmatch(r"(\d*)(/*)(\d*)", text)
    if match is None or match[3] == "0":
        raise ScoreError(f"The note length {text!r} is not a number or a fraction: correct the ABC file.")
    upper = int(match[1] or 1)
    lower = (int(match[3]) if match[3] else 2 ** len(match[2])) if match[2] else 1
    return Fraction(upper, lower)


def key(text: str) -> tuple[int, bool, dict[str, int]]:
    """A K: field.

    Returns:
        Sharps (flats negative), whether the mode is a minor one, and the alteration of each letter.
    """
    bare = text.split("%")[0].strip()
    if bare.lower().startswith("none") or not bare or "=" in bare.split()[0]:
        return 0, False, {}
    match = re.match(r"([A-G])([b#]?)\s*([A-Za-z]*)((?:\s+(?:\^\^|\^|__|_|=)[A-Ga-g])*)", bare)
    if match is None:
        raise ScoreError(f"The key {bare!r} is not known; write for example K:Eb, K:F#m or K:D dor.")
    mode = match[3].lower()
    mode = mode if mode == "m" else mode[:3]
    if mode not in MODES:
        mode = ""  # a clef or another word of the field
    fifths = TONICS[match[1]] + {"": 0, "#": 7, "b": -7}[match[2]] + MODES[mode]
    altered = dict.fromkeys(SHARPS[:fifths] if fifths > 0 else [], 1)
    altered |= dict.fromkeys(SHARPS[::-1][:-fifths] if fifths < 0 else [], -1)
    for sign, letter in re.findall(r"(\^\^|\^|__|_|=)([A-Ga-g])", match[4]):
        altered[letter.upper()] = ACCIDENTALS[sign]
    return fifths, mode in ("m", "min", "aeo", "dor", "phr"), altered


def meter(text: str) -> Fraction | None:
    """A bar's length in quarter notes by an M: field, None for free meter."""
    bare = text.split("%")[0].strip()
    if bare in ("C", "C|"):
        return Fraction(4)
    match = re.match(r"\(?([\d+ ]+)\)?/(\d+)", bare)
    if match is None:
        if bare.lower() in ("none", ""):
            return None
        raise ScoreError(f"The meter {bare!r} is not known; write for example M:3/4, M:C or M:none.")
    return Fraction(4 * sum(int(part) for part in match[1].split("+")), int(match[2]))


def unit(text: str) -> Fraction:
    """The unit note length of an L: field, in quarter notes."""
    match = re.match(r"\s*(\d+)/(\d+)", text)
    if match is None or int(match[2]) == 0:
        raise ScoreError(f"The unit length {text!r} is not known; write for example L:1/8.")
    return Fraction(4 * int(match[1]), int(match[2]))


def tempo(text: str, unit_length: Fraction) -> float | None:
    """Quarter notes a minute by a Q: field, None where it has only words."""
    bare = re.sub(r'"[^"]*"', "", text).split("%")[0].strip()
    if not bare:
        return None
    match = re.fullmatch(r"((?:\d+/\d+\s*)+)=\s*(\d+(?:\.\d+)?)", bare)
    if match:
        beat = sum((unit(part) for part in match[1].split()), Fraction(0))
        return float(match[2]) * float(beat)
    match = re.fullmatch(r"(?:C\d*\s*=\s*)?(\d+(?:\.\d+)?)", bare)
    if match is None or float(match[1]) == 0:
        raise ScoreError(f"The tempo {bare!r} is not known; write for example Q:1/4=100.")
    return float(match[1]) * float(unit_length)


def ending(text: str) -> frozenset[int]:
    """The passes that a bar sign such as `|1`, `["2-9"` or `:|2,3` begins; empty for one without numbers."""
    passes: set[int] = set()
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", text):
        passes |= set(range(int(first), int(last or first) + 1))
    return frozenset(passes)
