"""Reads ABC notation (version 2.1): several voices, words under notes, repeats, ties, tuplets, chord symbols, dynamics.

Grace notes and ornaments are left out, since nothing that sings here could follow them.
"""

import re
from dataclasses import dataclass, field
from fractions import Fraction

from recipes.songbook.scores import abc_lexer, abc_words
from recipes.songbook.scores.dynamics import VELOCITIES
from recipes.songbook.scores.model import ScoreError
from recipes.songbook.scores.raw import RawNote, RawScore, RawVoice

FERMATAS = {"fermata", "ferm", "invertedfermata", "H"}
JUMPS = {"D.C.", "D.S.", "dacoda", "dacapo", "fine", "D.C.alfine", "D.S.alfine", "D.C.alcoda", "D.S.alcoda"}
TUPLET_TIME = {2: 3, 3: 2, 4: 3, 6: 2, 8: 3}


@dataclass(slots=True)
class _State:
    """Where one voice is while it is read."""

    voice: RawVoice
    unit: Fraction
    bar_length: Fraction | None
    altered: dict[str, int]
    here: Fraction = Fraction(0)
    bar: int = 0
    accidentals: dict[int, int] = field(default_factory=dict)
    tied: dict[int, int] = field(default_factory=dict)
    tuplet: tuple[Fraction, int] = (Fraction(1), 0)
    broken: str = ""
    fermata: bool = False
    ending: tuple[Fraction, frozenset[int]] | None = None
    line: list[tuple[RawNote, int]] = field(default_factory=list)
    word_lines: int = 0


def read_abc(text: str) -> list[RawScore | ScoreError]:
    """Read every tune of an ABC file.

    Args:
        text: of the file.

    Returns:
        For each tune what was read, or why it cannot be.
    """
    tunes: list[RawScore | ScoreError] = []
    for lines in _tunes(text):
        try:
            tunes.append(_Reader().read(lines))
        except ScoreError as error:
            tunes.append(error)
    return tunes


def _tunes(text: str) -> list[list[tuple[int, str]]]:
    """The numbered lines of each tune: it begins with X: and ends with an empty line after its music."""
    tunes: list[list[tuple[int, str]]] = []
    in_text, in_tune, in_body = False, False, False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("%%begin"):
            in_text = True
        elif line.startswith("%%end"):
            in_text = False
        elif re.match(r"X:\s*\d*", line):
            tunes.append([])
            in_tune, in_body = True, False
        elif in_tune and in_body and not line.strip():
            in_tune = False
        if in_tune and not in_text and line.strip() and not line.startswith("%"):
            tunes[-1].append((number, line.rstrip()))
            in_body = in_body or line.startswith("K:")
    return tunes


class _Reader:
    """Reads one tune; what is read so far stands in `score`."""

    def __init__(self) -> None:
        self.score = RawScore()
        self.states: dict[str, _State] = {}
        self.unit: Fraction | None = None
        self.bar_length: Fraction | None = Fraction(4)
        self.altered: dict[str, int] = {}
        self.tempo_text: str | None = None
        self.current = "1"

    def read(self, lines: list[tuple[int, str]]) -> RawScore:
        """Read the lines of one tune."""
        for number, line in lines:
            try:
                self._line(line)
            except ScoreError as error:
                raise ScoreError(f"Line {number}: {error}") from None
        self.score.voices = [state.voice for state in self.states.values() if state.voice.notes]
        for state in self.states.values():
            self._close_ending(state)
            state.voice.end = state.here
        return self.score

    def _line(self, line: str) -> None:
        head = re.match(r"([A-Za-z+]):(?![|:])(.*)", line)
        if head is None:
            self._music_line(line)
        elif head[1] == "w":
            self._words(head[2])
        elif head[1] == "V":
            self._choose(head[2])
        elif head[1] in "MLKQ" and self.states and any(s.here > 0 for s in self.states.values()):
            self._inline(self._state(), head[1], head[2].strip())
        else:
            self._header(head[1], head[2].strip())

    def _header(self, name: str, value: str) -> None:
        bare = value.split("%")[0].strip()
        if name == "T" and not self.score.title:
            self.score.title = bare
        elif name == "C" and bare:
            self.score.credits.append(bare)
            if re.match(r"copyright:\s*public domain", bare, re.I):
                self.score.licence = "Public domain"
        elif name == "M":
            self.bar_length = abc_lexer.meter(value)
            self.score.bar_length = self.bar_length or Fraction(4)
        elif name == "L":
            self.unit = abc_lexer.unit(value)
        elif name == "Q":
            self.tempo_text = value
        elif name == "K":
            self.score.fifths, self.score.minor, self.altered = abc_lexer.key(value)
            for state in self.states.values():
                state.altered, state.unit, state.bar_length = dict(self.altered), self._unit(), self.bar_length
            if self.tempo_text is not None:
                self._tempo(Fraction(0), self.tempo_text, self._unit())

    def _unit(self) -> Fraction:
        if self.unit is not None:
            return self.unit
        short = self.bar_length is not None and self.bar_length < 3  # the standard's rule: below 3/4, a sixteenth
        return Fraction(1, 4) if short else Fraction(1, 2)

    def _tempo(self, position: Fraction, text: str, unit: Fraction) -> None:
        tempo = abc_lexer.tempo(text, unit)
        if tempo is not None:
            self.score.tempos.append((position, tempo))

    def _choose(self, text: str) -> _State:
        name = text.split()[0] if text.split() else "1"
        self.current = name
        return self._state()

    def _state(self) -> _State:
        if self.current not in self.states:
            voice = RawVoice(self.current)
            self.states[self.current] = _State(voice, self._unit(), self.bar_length, dict(self.altered))
        return self.states[self.current]

    def _words(self, text: str) -> None:
        state = self._state()
        line = abc_words.read_line(text)
        wrong = abc_words.lay_under(line.items, state.line, state.word_lines)
        if wrong:
            first = next((w.text for w in line.items if not isinstance(w, str) and w.text), "")
            self.score.remarks.append(f"Verse line {state.word_lines + 1} at {first!r}: {wrong}.")
            for note, _ in state.line:  # a line that does not fit would put every later word on a wrong note
                note.words.pop(state.word_lines, None)
                note.words[state.word_lines] = abc_words.Word("silent", "?")
        state.word_lines += 1

    def _music_line(self, line: str) -> None:
        voice = re.match(r"\s*\[V:\s*([^\]]*)\]", line)
        if voice:
            self._choose(voice[1])
            line = line[voice.end() :]
        state = self._state()
        state.line, state.word_lines = [], 0
        for match in abc_lexer.TOKEN.finditer(re.sub(r"(?<!\\)%.*", "", line)):
            self._token(state, match)

    def _token(self, state: _State, token: re.Match[str]) -> None:
        kind = next(name for name in abc_lexer.TOKEN.groupindex if token[name] is not None)
        text = token[kind]
        if kind == "inline":
            self._inline(state, text[1], text[3:-1].strip())
        elif kind in ("decoration", "mark"):
            self._decorate(state, text.strip("!+"))
        elif kind == "annotation" and re.match(r'"\(?[A-G][b#]?[^"]*"$', text):
            self.score.chords.append((state.here, text.strip('"()')))
        elif kind == "bar":
            self._bar(state, text)
        elif kind == "tuplet":
            p, q, r = ([int(x) if x else 0 for x in text[1:].split(":")] + [0, 0])[:3]
            time = q or TUPLET_TIME.get(p) or (3 if state.bar_length and state.bar_length % 3 == 0 else 2)
            state.tuplet = (Fraction(time, p), r or p) if p else state.tuplet
        elif kind == "note":
            tied = bool(token["tie"])
            pitch = self._pitch(state, token["accidental"], token["letter"], token["octave"])
            self._add(state, [pitch], abc_lexer.length(token["length"]), [pitch] if tied else [])
        elif kind == "chord":
            self._chord(state, token)
        elif kind == "rest":
            self._add(state, [], abc_lexer.length(token["restlength"]), [])
        elif kind == "barrest":
            state.here += int(token["restbars"] or 1) * (state.bar_length or Fraction(4))
        elif kind == "latetie" and state.voice.notes:
            state.voice.notes[-1].ties = frozenset(state.voice.notes[-1].pitches)
        elif kind == "broken" and state.voice.notes:
            state.broken = text
        elif kind == "other":
            raise ScoreError(
                "Two voices are written in one with '&': give each a V: of its own."
                if text == "&"
                else f"The sign {text!r} is not known in ABC music: correct or remove it."
            )

    def _inline(self, state: _State, name: str, value: str) -> None:
        if name == "Q":
            self._tempo(state.here, value, state.unit)
        elif name == "M":
            state.bar_length = abc_lexer.meter(value)
        elif name == "L":
            state.unit = abc_lexer.unit(value)
        elif name == "K":
            state.altered = abc_lexer.key(value)[2]

    def _decorate(self, state: _State, name: str) -> None:
        if name in FERMATAS:
            state.fermata = True
        elif name in VELOCITIES:
            self.score.dynamics.append((state.here, VELOCITIES[name]))
        elif name in JUMPS:
            raise ScoreError(f"It jumps by {name!r}, which is not followed: write the repeat out.")

    def _bar(self, state: _State, text: str) -> None:
        state.accidentals = {}
        state.bar += 1
        self.score.bars.add(state.here)
        passes = abc_lexer.ending(text)
        sign = re.sub(r'[\d",\s-]', "", text)
        if sign.startswith(":"):
            self.score.repeat_ends[state.here] = 2
        if sign.endswith(":"):
            self.score.repeat_starts.add(state.here)
        if passes or (state.ending and sign != "|"):
            self._close_ending(state)
        if passes:
            state.ending = (state.here, passes)

    def _close_ending(self, state: _State) -> None:
        if state.ending and state.here > state.ending[0]:
            self.score.endings.append((state.ending[0], state.here, state.ending[1]))
            state.ending = None

    def _pitch(self, state: _State, accidental: str | None, letter: str, octave: str) -> tuple[int, int]:
        """The pitch without its alteration, and the alteration that holds here."""
        natural = 60 + abc_lexer.STEPS[letter.upper()] + (12 if letter.islower() else 0)
        natural += 12 * (octave.count("'") - octave.count(","))
        if accidental:
            state.accidentals[natural] = abc_lexer.ACCIDENTALS[accidental]
        elif natural in state.tied:  # a tie over a bar line keeps its accidental
            return natural, state.tied[natural]
        return natural, state.accidentals.get(natural, state.altered.get(letter.upper(), 0))

    def _chord(self, state: _State, token: re.Match[str]) -> None:
        pitches, lengths, tied = [], [], []
        for accidental, letter, octave, length, tie in abc_lexer.CHORD_NOTE.findall(token["inside"]):
            pitches.append(self._pitch(state, accidental or None, letter, octave))
            lengths.append(abc_lexer.length(length))
            tied += [pitches[-1]] if tie or token["chordtie"] else []
        if not pitches:
            raise ScoreError(f"The chord [{token['inside']}] has no notes: correct or remove it.")
        self._add(state, pitches, lengths[0] * abc_lexer.length(token["chordlength"]), tied)

    def _add(self, state: _State, pitches: list[tuple[int, int]], units: Fraction, tied: list[tuple[int, int]]) -> None:
        duration = units * state.unit
        ratio, left = state.tuplet
        if left:
            duration *= ratio
            state.tuplet = (ratio, left - 1)
        if state.broken and state.voice.notes:
            before = state.voice.notes[-1]
            short = Fraction(1, 2 ** len(state.broken))
            longer, shorter = 2 - short, short
            first, second = (longer, shorter) if state.broken[0] == ">" else (shorter, longer)
            state.here += before.duration * (first - 1)
            before.duration *= first
            duration *= second
            state.broken = ""
        ties = frozenset(natural + alteration for natural, alteration in tied)
        note = RawNote(state.here, duration, [n + a for n, a in pitches], ties=ties, fermata=state.fermata)
        state.tied = dict(tied)
        state.fermata = False
        state.voice.notes.append(note)
        if pitches:
            state.line.append((note, state.bar))
        state.here = note.end
