"""Reads MusicXML, plain or compressed: parts and voices, lyrics by verse, repeats and endings, tempo, loudness."""

import re
import xml.etree.ElementTree as ElementTree
import zipfile
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from xml.etree.ElementTree import Element

from recipes.songbook.scores.abc_lexer import STEPS
from recipes.songbook.scores.dynamics import VELOCITIES
from recipes.songbook.scores.model import ScoreError
from recipes.songbook.scores.raw import RawNote, RawScore, RawVoice, Word

JUMPS = ("dacapo", "dalsegno", "tocoda")
BEATS = {"whole": 4, "half": 2, "quarter": 1, "eighth": Fraction(1, 2), "16th": Fraction(1, 4)}
HARMONIES = {"minor": "m", "dominant": "7", "major-seventh": "maj7", "minor-seventh": "m7", "diminished": "dim"}


def read_musicxml(path: Path) -> RawScore:
    """Read a .mxl, .musicxml or .xml file.

    Raises:
        ScoreError: it is not MusicXML, or uses what is not followed.
    """
    root = _root(path)
    if root.tag != "score-partwise":
        raise ScoreError(f"It is a {root.tag!r} document: expected MusicXML in parts (score-partwise).")
    score = RawScore(title=_title(root))
    for creator in root.iterfind("identification/creator"):
        score.credits.append(f"{(creator.get('type') or 'creator').capitalize()}: {(creator.text or '').strip()}")
    rights = root.findtext("identification/rights")
    score.licence = rights.strip() if rights else None
    names = {p.get("id"): (p.findtext("part-name") or "").strip() for p in root.iter("score-part")}
    parts = [
        _Part(score, names.get(p.get("id")) or p.get("id") or "part", list(p.iter("measure")))
        for p in root.iter("part")
    ]
    position = Fraction(0)
    for number in range(max((len(part.measures) for part in parts), default=0)):
        score.bars.add(position)
        position += max(part.read(number, position) for part in parts if number < len(part.measures))
    for part in parts:
        part.finish(position)
        score.voices += part.voices.values()
    return score


def _root(path: Path) -> Element:
    try:
        if path.suffix.lower() != ".mxl":
            return ElementTree.parse(path).getroot()
        with zipfile.ZipFile(path) as archive:
            container = ElementTree.fromstring(archive.read("META-INF/container.xml"))
            inside = next(e.get("full-path") for e in container.iter() if e.tag.endswith("rootfile"))
            return ElementTree.fromstring(archive.read(inside or ""))
    except (ElementTree.ParseError, zipfile.BadZipFile, KeyError, StopIteration) as error:
        raise ScoreError(f"It is damaged or not MusicXML ({error}): export it again.") from None


def _title(root: Element) -> str:
    for place in ("work/work-title", "movement-title", "credit/credit-words"):
        text = root.findtext(place)
        if text and text.strip():
            return re.sub(r"\s+", " ", text.strip())
    return ""


@dataclass
class _Part:
    """One part while it is read, measure by measure."""

    score: RawScore
    name: str
    measures: list[Element]
    voices: dict[str, RawVoice] = field(default_factory=dict)
    divisions: int = 1
    transpose: int = 0
    bar_length: Fraction = Fraction(4)
    hairpin: tuple[Fraction, int] | None = None
    ending: tuple[Fraction, frozenset[int]] | None = None
    here: Fraction = Fraction(0)
    onset: Fraction = Fraction(0)

    def read(self, number: int, start: Fraction) -> Fraction:
        """Read a measure that starts at `start`; how long it is."""
        self.here = self.onset = furthest = start
        first = {name: len(voice.notes) for name, voice in self.voices.items()}
        for element in self.measures[number]:
            if element.tag == "attributes":
                self._attributes(element)
            elif element.tag in ("backup", "forward"):
                self.here += self._duration(element) * (1 if element.tag == "forward" else -1)
            elif element.tag == "note":
                self._note(element)
            elif element.tag in ("direction", "sound"):
                self._direction(element)
            elif element.tag == "harmony":
                self._harmony(element)
            elif element.tag == "barline":
                self._barline(element, start)
            furthest = max(furthest, self.here)
        for name, voice in self.voices.items():
            self._fill_lines(voice.notes[first.get(name, 0) :])
        length = furthest - start or self.bar_length
        for barline in self.measures[number].iterfind("barline"):
            self._barline_end(barline, start + length)
        return length

    def finish(self, end: Fraction) -> None:
        """All voices last to the end: measures keep them together."""
        self._gather_ties()
        for voice in self.voices.values():
            voice.end = end
            voice.notes.sort(key=lambda note: note.start)

    def _gather_ties(self) -> None:
        """Bring the second half of a tie into the voice of its first half: notation programs number voices by bar."""
        starting: dict[tuple[Fraction, int], list[tuple[str, RawNote]]] = {}
        for name, voice in self.voices.items():
            for note in voice.notes:
                for pitch in note.pitches:
                    starting.setdefault((note.start, pitch), []).append((name, note))
        for start, pitch in sorted(starting):
            for name, note in starting[start, pitch]:
                goes_on = starting.get((note.end, pitch), []) if pitch in note.ties else []
                if goes_on and all(owner != name and not after.words for owner, after in goes_on):
                    _, after = goes_on[0]
                    after.pitches.remove(pitch)
                    moved = RawNote(after.start, after.duration, [pitch], ties=after.ties & {pitch}, otherwise="hold")
                    self.voices[name].notes.append(moved)
                    goes_on[0] = (name, moved)

    @staticmethod
    def _fill_lines(notes: list[RawNote]) -> None:
        """Inside a measure, a note that lacks a verse which its neighbours have is that verse's melisma."""
        lines = {line for note in notes for line in note.words}
        for note in notes:
            for line in lines - set(note.words):
                note.words[line] = Word("hold")

    def _duration(self, element: Element) -> Fraction:
        return Fraction(element.findtext("duration") or 0) / self.divisions

    def _attributes(self, element: Element) -> None:
        self.divisions = int(element.findtext("divisions") or self.divisions)
        transpose = element.find("transpose")
        if transpose is not None:
            octaves = int(transpose.findtext("octave-change") or 0)
            self.transpose = int(transpose.findtext("chromatic") or 0) + 12 * octaves
        fifths = element.findtext("key/fifths")
        if fifths is not None and self.here == 0:
            self.score.fifths, self.score.minor = int(fifths), element.findtext("key/mode") == "minor"
        beats, kind = element.findtext("time/beats"), element.findtext("time/beat-type")
        if beats and kind:
            self.bar_length = Fraction(4 * sum(int(b) for b in beats.split("+")), int(kind))
            if self.here == 0:
                self.score.bar_length = self.bar_length

    def _note(self, element: Element) -> None:
        if element.find("grace") is not None:
            return
        duration = self._duration(element)
        chord = element.find("chord") is not None
        if not chord:
            self.onset = self.here
            self.here += duration
        step = element.findtext("pitch/step")
        only_a_cue = element.find("cue") is not None and element.find("lyric") is None
        if step is None or only_a_cue:
            return
        alter = round(float(element.findtext("pitch/alter") or 0))
        pitch = 12 * (int(element.findtext("pitch/octave") or 4) + 1) + STEPS[step] + alter + self.transpose
        voice = self._voice(element)
        ties = frozenset({pitch} if any(t.get("type") == "start" for t in element.iterfind("tie")) else ())
        fermata = element.find("notations/fermata") is not None
        before = voice.notes[-1] if voice.notes else None
        if chord and before is not None and before.start == self.onset:
            before.pitches.append(pitch)
            before.ties |= ties
            before.fermata = before.fermata or fermata
            before.words |= self._lyrics(element)
            return
        note = RawNote(self.onset, duration, [pitch], self._lyrics(element), ties, fermata, otherwise="hold")
        voice.notes.append(note)

    def _voice(self, element: Element) -> RawVoice:
        name = element.findtext("voice") or "1"
        if name not in self.voices:
            self.voices[name] = RawVoice(self.name if name == "1" else f"{self.name}, voice {name}")
        return self.voices[name]

    @staticmethod
    def _lyrics(element: Element) -> dict[int, Word]:
        words = {}
        for order, lyric in enumerate(element.iterfind("lyric")):
            texts = [
                (part.text or "") if part.tag == "text" else " " for part in lyric if part.tag in ("text", "elision")
            ]
            number = re.search(r"\d+", lyric.get("number") or "")
            text = re.sub(r"\s+", " ", "".join(texts)).strip()
            label = re.match(r"\d+\.?\s+", text)
            text = text[label.end() :] if label else text
            if text and not re.fullmatch(r"[\W\d_]+", text):
                syllabic = lyric.findtext("syllabic") or "single"
                line = int(number[0]) - 1 if number else order
                words[max(0, line)] = Word(
                    "syllable", text, syllabic in ("begin", "middle"), syllabic in ("middle", "end")
                )
        return words

    def _direction(self, element: Element) -> None:
        offset = Fraction(element.findtext("offset") or 0) / self.divisions
        place = max(Fraction(0), self.here + offset)
        sound = element if element.tag == "sound" else element.find("sound")
        if sound is not None:
            jump = next((name for name in JUMPS if sound.get(name)), None)
            if jump:
                raise ScoreError(f"It jumps by {jump!r}, which is not followed: write the repeat out.")
            if sound.get("tempo"):
                self.score.tempos.append((place, float(sound.get("tempo") or 0)))
        metronome = element.find("direction-type/metronome")
        if metronome is not None and (sound is None or not sound.get("tempo")):
            beat, rate = BEATS.get(metronome.findtext("beat-unit") or ""), metronome.findtext("per-minute") or ""
            number = re.search(r"\d+(\.\d+)?", rate)
            if beat and number:
                dotted = Fraction(3, 2) if metronome.find("beat-unit-dot") is not None else 1
                self.score.tempos.append((place, float(number[0]) * float(beat * dotted)))
        for mark in element.iterfind("direction-type/dynamics/*"):
            if mark.tag in VELOCITIES:
                self.score.dynamics.append((place, VELOCITIES[mark.tag]))
        for wedge in element.iterfind("direction-type/wedge"):
            if wedge.get("type") in ("crescendo", "diminuendo"):
                self.hairpin = (place, 1 if wedge.get("type") == "crescendo" else -1)
            elif self.hairpin and place > self.hairpin[0]:
                self.score.hairpins.append((self.hairpin[0], place, self.hairpin[1]))
                self.hairpin = None

    def _harmony(self, element: Element) -> None:
        step = element.findtext("root/root-step")
        if step:
            sign = {1: "#", -1: "b"}.get(round(float(element.findtext("root/root-alter") or 0)), "")
            self.score.chords.append((self.here, step + sign + HARMONIES.get(element.findtext("kind") or "", "")))

    def _barline(self, element: Element, start: Fraction) -> None:
        repeat, ending = element.find("repeat"), element.find("ending")
        if repeat is not None and repeat.get("direction") == "forward":
            self.score.repeat_starts.add(start)
        if ending is not None and ending.get("type") == "start":
            passes = frozenset(int(n) for n in re.findall(r"\d+", ending.get("number") or "1"))
            self.ending = (start, passes)

    def _barline_end(self, element: Element, end: Fraction) -> None:
        repeat, ending = element.find("repeat"), element.find("ending")
        if repeat is not None and repeat.get("direction") == "backward":
            self.score.repeat_ends[end] = int(repeat.get("times") or 2)
        if ending is not None and ending.get("type") in ("stop", "discontinue") and self.ending:
            entry = (self.ending[0], end, self.ending[1])
            if entry not in self.score.endings:
                self.score.endings.append(entry)
            self.ending = None
