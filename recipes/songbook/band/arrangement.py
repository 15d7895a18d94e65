"""What is drawn by chance for one song: voice, key, tempo, verses, accompaniment; by seed, score and take."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from recipes.songbook.band.tempo import TempoMap
from recipes.songbook.band.timbres import SPARSE, TIMBRES, WRITTEN
from recipes.songbook.scores.model import Score
from recipes.songbook.voice.voices import VOICES, Voice

A_CAPPELLA_SHARE, SPARSE_SHARE = 1 / 6, 1 / 6
"""A third of all songs leaves the voice almost alone, where its words are easiest to learn."""
PERCUSSION_SHARE = 0.2
KEY_SPREAD = 3
TEMPO_SPREAD = (0.9, 1.15)
SLOWEST_SYLLABLE_S = 0.62
"""The median syllable may not last longer; slow singing costs words."""
LONGEST_S = 200.0
CHOIR_SHARE = 0.7
"""Where fewer of the other voices' notes begin together with one of the melody, they are an accompaniment by itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrangement:
    """One way to perform a score.

    Attributes:
        voice: a name of `VOICES`.
        voice_shift: semitones from the score to the sung pitch.
        key_shift: semitones from the score to the accompaniment; differs from `voice_shift` by octaves.
        tempo: factor on the score's tempo.
        formants: factor on the voice's formants.
        verses: indices of the verses that are sung.
        timbre, figure: of the accompaniment, or None for a cappella.
        percussion: light drums beside it.
        intro: the accompaniment plays the last bars first.
        voice_db: level of the voice over the accompaniment.
        reverb_s, wet: of the room.
        seed: of everything else.
    """

    voice: str
    voice_shift: int
    key_shift: int
    tempo: float
    formants: float
    verses: tuple[int, ...]
    timbre: str | None
    figure: str | None
    percussion: bool
    intro: bool
    voice_db: float
    reverb_s: float
    wet: float
    seed: int

    def artist(self) -> str:
        """Voice and accompaniment, as the label of the song."""
        return self.voice if self.timbre is None else f"{self.voice} with {self.timbre}"


def song_seed(seed: int, key: str, take: int) -> int:
    """The seed of one song: whatever else is rendered, in whatever order, it stays the same."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{key}/{take}".encode()).digest()[:8], "big")


def draw(score: Score, take: int, seed: int, voices: tuple[str, ...] = tuple(VOICES)) -> Arrangement:
    """Draw an arrangement.

    Args:
        score: what is sung.
        take: how often this score has been drawn before.
        seed: of the whole run.
        voices: names to choose from.

    Returns:
        The same for the same arguments.
    """
    own = song_seed(seed, score.key, take)
    rng = np.random.default_rng(own)
    shares = np.array([VOICES[name].share for name in voices])
    voice = VOICES[voices[int(rng.choice(len(voices), p=shares / shares.sum()))]]
    voice_shift, key_shift = _keys(score, voice, int(rng.integers(-KEY_SPREAD, KEY_SPREAD + 1)))
    tempo = _tempo(score, float(rng.uniform(*TEMPO_SPREAD)))
    kind = float(rng.random())
    arrangement = Arrangement(
        voice=voice.name,
        voice_shift=voice_shift,
        key_shift=key_shift,
        tempo=round(tempo, 4),
        formants=round(float(rng.uniform(0.97, 1.03)), 4),
        verses=_verses(score, take, tempo, rng),
        timbre=None,
        figure=None,
        percussion=False,
        intro=False,
        voice_db=round(float(rng.uniform(2, 6)), 2),
        reverb_s=round(float(rng.uniform(0.6, 1.8)), 3),
        wet=round(float(rng.uniform(0.01, 0.04)), 3),
        seed=own,
    )
    if kind < A_CAPPELLA_SHARE:
        return arrangement
    if kind < A_CAPPELLA_SHARE + SPARSE_SHARE:
        timbre, figure = SPARSE[int(rng.integers(len(SPARSE)))]
        louder = round(arrangement.voice_db + 4, 2)
        return replace(arrangement, timbre=timbre, figure=figure, voice_db=louder)
    if is_written_out(score):
        timbre = WRITTEN[int(rng.choice(len(WRITTEN), p=(0.6, 0.1, 0.1, 0.1, 0.1)))]
        return replace(arrangement, timbre=timbre, figure="accompaniment")
    timbre = tuple(TIMBRES)[int(rng.integers(len(TIMBRES)))]
    figures = TIMBRES[timbre].figures
    figure = figures[int(rng.integers(len(figures)))]
    drums = bool(rng.random() < PERCUSSION_SHARE) and score.bar_length in (3, 4, 6)
    return replace(arrangement, timbre=timbre, figure=figure, percussion=drums, intro=bool(rng.random() < 0.7))


def is_written_out(score: Score) -> bool:
    """Whether the other voices are an accompaniment of its own, and not a choir with the melody's rhythm."""
    beats = {note.start for note in score.melody}
    others = [note.start in beats for part in score.parts for note in part]
    return bool(others) and sum(others) < CHOIR_SHARE * len(others)


def _keys(score: Score, voice: Voice, wanted: int) -> tuple[int, int]:
    """The shift that brings the melody into the voice's range, with the key near to what was drawn."""
    pitches = [note.pitch for verse in score.verses for s in verse.syllables for note in s.notes]
    low, high = min(pitches), max(pitches)

    def cost(shift: int) -> float:
        outside = max(0, voice.lowest - low - shift) + max(0, high + shift - voice.highest)
        middle = abs((low + high) / 2 + shift - (voice.lowest + voice.highest) / 2)
        return 10 * outside + 0.25 * middle + 0.5 * abs(_key(shift) - wanted)

    shift = min(range(-36, 25), key=lambda s: (cost(s), abs(s)))
    return shift, _key(shift)


def _key(shift: int) -> int:
    return (shift + 6) % 12 - 6


def _tempo(score: Score, factor: float) -> float:
    plain = TempoMap(score.tempos, factor, ())
    lengths = [plain.seconds(s.end) - plain.seconds(s.start) for v in score.verses for s in v.syllables]
    return factor * max(1.0, float(np.median(lengths)) / SLOWEST_SYLLABLE_S)


def _verses(score: Score, take: int, tempo: float, rng: np.random.Generator) -> tuple[int, ...]:
    """One to three verses in a row, another beginning for each take, within the longest length of a song."""
    count = len(score.verses)
    one = TempoMap(score.tempos, tempo, score.fermatas).seconds(score.length)
    fits = max(1, int(LONGEST_S / max(one, 1.0)))
    wanted = min(count, fits, int(rng.integers(1, 4)))
    first = (take + int(rng.integers(count))) % count
    return tuple((first + i) % count for i in range(wanted))
