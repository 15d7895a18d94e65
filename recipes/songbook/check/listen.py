"""A small recogniser as listener: where words begin, by forced alignment, and which of ten words was sung."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recipes.songbook.voice.frontend import respell

HEARING_RATE = 16000
FRAME_S = 0.01
LINE_MARGIN_S = 0.25
WORD_MARGIN_S = 0.05
CHOICES = 10
LEVEL = 0.6
"""Peak of what the listener hears, of full scale."""
SHORTEST_WORD = 3
"""Letters: `a` and `of` are decided by chance even when spoken."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What the listener made of a song.

    Attributes:
        start_errors_s: heard minus written start of each aligned word.
        right, asked: words recognised among ten, and words asked for.
        lines, aligned: lines in all, and those whose words the recogniser's dictionary has.
    """

    start_errors_s: list[float]
    right: int
    asked: int
    lines: int
    aligned: int


class Listener:
    """Pocketsphinx with its own English model."""

    def __init__(self) -> None:
        import pocketsphinx

        quiet = {"samprate": HEARING_RATE, "lm": None, "loglevel": "FATAL"}
        self._aligner = pocketsphinx.Decoder(**quiet)
        # A second pass through the lattice answers "silence" for short words, and narrow beams drop long vowels.
        self._chooser = pocketsphinx.Decoder(**quiet, bestpath=False, beam=1e-120, wbeam=1e-100, pbeam=1e-120)

    def knows(self, word: str) -> bool:
        """Whether the dictionary has a word, in lower case."""
        return self._aligner.lookup_word(word) is not None

    def hear(self, stem: NDArray[np.float64], entry: dict[str, Any], others: list[str], seed: int) -> Heard:
        """Listen to a song's stem.

        Args:
            stem: [samples] at `HEARING_RATE`.
            entry: of `metadata.jsonl`.
            others: words to choose wrong answers from.
            seed: of the choice.

        Returns:
            What was heard.
        """
        rng = np.random.default_rng(seed)
        heard_stem = np.asarray(stem / max(float(np.abs(stem).max(initial=0.0)), 1e-6) * LEVEL * 32767, dtype=np.int16)
        mean = self._mean(heard_stem)
        errors: list[float] = []
        right = asked = aligned = 0
        for start, end, _ in entry["lyrics_lines"]:
            # By time: two words that share a note are one entry.
            line = [word for word in entry["lyrics_words"] if start <= word[0] and word[1] <= end]
            heard = self._align(_cut(heard_stem, start, end, LINE_MARGIN_S), [respell(w[2], "") for w in line])
            if heard is not None:
                aligned += 1
                first = max(0.0, start - LINE_MARGIN_S)
                errors += [first + moment - word[0] for moment, word in zip(heard, line, strict=True)]
            for word_start, word_end, word in line:
                spoken = respell(word, "")
                if len(spoken) == 1 and len(spoken[0]) >= SHORTEST_WORD and self.knows(spoken[0]):
                    asked += 1
                    self._chooser.set_cmn(mean)
                    piece = _cut(heard_stem, word_start, word_end, WORD_MARGIN_S)
                    right += self._choose(piece, spoken[0], others, rng)
        return Heard(errors, right, asked, len(entry["lyrics_lines"]), aligned)

    def _align(self, sound: NDArray[np.int16], line: list[list[str]]) -> list[float] | None:
        """Start of each word in seconds; None where the dictionary lacks one or no path was found."""
        spoken = [part for word in line for part in word]
        if not all(self.knows(part) for part in spoken):
            return None
        try:
            self._aligner.set_align_text(" ".join(spoken))
            self._decode(self._aligner, sound, whole=True)
            found = [s for s in self._aligner.seg() or [] if not s.word.startswith(("<", "[", "("))]
        except RuntimeError:
            return None
        if len(found) != len(spoken):
            return None
        starts, here = [], 0
        for word in line:
            starts.append(found[here].start_frame * FRAME_S)
            here += len(word)
        return starts

    def _choose(self, sound: NDArray[np.int16], word: str, others: list[str], rng: np.random.Generator) -> bool:
        wrong = [w for w in rng.permutation(others).tolist() if w != word][: CHOICES - 1]
        grammar = f"#JSGF V1.0; grammar g; public <w> = {' | '.join(sorted([word, *wrong]))};"
        try:
            self._chooser.add_jsgf_string("words", grammar)
            self._chooser.activate_search("words")
            self._decode(self._chooser, sound, whole=False)
        except RuntimeError:
            return False
        hypothesis = self._chooser.hyp()
        return hypothesis is not None and hypothesis.hypstr.split("(")[0].strip() == word

    def _mean(self, stem: NDArray[np.int16]) -> str:
        """The voice's mean cepstrum: that of one word says more about its vowel than about the voice."""
        self._chooser.add_jsgf_string("words", "#JSGF V1.0; grammar g; public <w> = the;")
        self._chooser.activate_search("words")
        self._chooser.start_utt()
        self._chooser.process_raw(stem.tobytes(), no_search=True, full_utt=True)
        self._chooser.end_utt()
        return self._chooser.get_cmn(False)

    @staticmethod
    def _decode(decoder: Any, sound: NDArray[np.int16], whole: bool) -> None:
        """Decode; `whole` takes the mean from the sound itself, otherwise it is the decoder's."""
        decoder.start_utt()
        decoder.process_raw(sound.tobytes(), no_search=False, full_utt=whole)
        decoder.end_utt()


def vocabulary(entries: list[dict[str, Any]], listener: Listener) -> list[str]:
    """The words of songs that can be asked for, sorted."""
    spoken = {part for entry in entries for word in entry["lyrics_words"] for part in respell(word[2], "")}
    return sorted(word for word in spoken if len(word) >= SHORTEST_WORD and listener.knows(word))


def _cut(stem: NDArray[np.int16], start_s: float, end_s: float, margin_s: float) -> NDArray[np.int16]:
    return stem[max(0, int((start_s - margin_s) * HEARING_RATE)) : int((end_s + margin_s) * HEARING_RATE)]
