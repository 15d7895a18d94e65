"""The measures of `check`: they find what is right, and they can fail."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recipes.songbook import tools
from recipes.songbook.check.report import Row, _voice_faults

LISTENING = pytest.mark.skipif(
    "flite" in tools.missing() or bool(tools.missing_modules(("pocketsphinx",))),
    reason="flite or pocketsphinx is missing",
)
WORDS = ["heaven", "morning", "children", "river", "glory", "shepherd", "evening", "mountain", "silver", "kingdom"]
GAP_S = 0.4


def row(voice: str, **changes: Any) -> Row:
    values: dict[str, Any] = dict(
        name="song", voice=voice, pitch_mean=4.0, pitch_95=12.0, note_mean=3.0, start_median=0.02, start_signed=0.0,
        right=90, asked=100, aligned=5, lines=5, loudness_lufs=-16.0, peak=0.8, clipped=0, silence_s=2.0,
    )  # fmt: skip
    return Row(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"pitch_mean": 11.0}, "off by 11.0 cents"),
        ({"start_median": 0.05}, "50 ms away"),
        ({"right": 50}, "50 of 100 words"),
        ({"clipped": 3}, "3 samples are clipped"),
        ({"silence_s": 20.0}, "silent for 20 s"),
        ({"pitch_mean": float("inf")}, "off by inf"),
    ],
)
def test_a_song_fails_by_each_gate(changes: dict[str, Any], part: str) -> None:
    assert not row("A").faults()
    assert part in "; ".join(row("A", **changes).faults())


def test_voices_fail_over_all_their_songs() -> None:
    good = [row(voice) for voice in "ABC"]
    assert _voice_faults(good) == []
    assert _voice_faults([*good, row("D", pitch_mean=9.0)]) == ["D is off by 9.0 cents"]
    assert _voice_faults([*good, row("D", right=55)]) == ["D has 0.55 of its words recognised"]
    assert "third best voice has 0.70" in _voice_faults([row("A"), row("B"), row("C", right=70)])[0]


def spoken(folder: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """The words spoken one after the other at 16 kHz, and an entry that says where."""
    import soundfile

    pieces, words, here = [np.zeros(8000)], [], 0.5
    for word in WORDS:
        tools.run(["flite", "-voice", "rms", "-t", word, "-o", str(folder / "word.wav")])
        wave, rate = soundfile.read(folder / "word.wav")
        assert rate == 16000
        loud = np.flatnonzero(np.abs(wave) > 0.02)
        words.append([here + loud[0] / rate, here + loud[-1] / rate, word])
        pieces += [wave, np.zeros(int(GAP_S * rate))]
        here += (len(wave) + int(GAP_S * rate)) / rate
    line = [words[0][0], words[-1][1], " ".join(WORDS)]
    return np.concatenate(pieces), {"lyrics_words": words, "lyrics_lines": [line]}


@LISTENING
def test_the_listener_knows_spoken_words_and_not_noise(tmp_path: Path) -> None:
    from recipes.songbook.check.listen import Listener

    sound, entry = spoken(tmp_path)
    listener = Listener()
    heard = listener.hear(sound, entry, WORDS, seed=1)
    assert heard.asked == len(WORDS)
    assert heard.right >= 9
    assert np.median(np.abs(heard.start_errors_s)) < 0.06
    noise = 0.1 * np.random.default_rng(0).standard_normal(len(sound))
    assert listener.hear(noise, entry, WORDS, seed=1).right <= 4
    names = list(itertools.islice(itertools.cycle(WORDS[3:] + WORDS[:3]), len(WORDS)))
    exchanged = [[a, b, name] for (a, b, _), name in zip(entry["lyrics_words"], names, strict=True)]
    wrong = entry | {"lyrics_words": exchanged}
    assert listener.hear(sound, wrong, WORDS, seed=1).right <= 3


@LISTENING
def test_words_that_share_a_note_do_not_shift_the_others(tmp_path: Path) -> None:
    """Here all ten stand in one line, and the first two are one entry."""
    from recipes.songbook.check.listen import Listener

    sound, entry = spoken(tmp_path)
    first, second, *rest = entry["lyrics_words"]
    entry["lyrics_words"] = [[first[0], second[1], f"{first[2]} {second[2]}"], *rest]
    heard = Listener().hear(sound, entry, WORDS, seed=1)
    assert (heard.asked, heard.aligned) == (8, 1)
    assert max(np.abs(heard.start_errors_s)) < 0.3


def test_pitch_errors_see_a_wrong_note() -> None:
    pytest.importorskip("pyworld")
    from recipes.songbook.check.measure import pitch_errors

    rate, seconds = 44100, 2.0
    times = np.arange(int(rate * seconds)) / rate
    phase = 2 * np.pi * 220 * times
    sound = np.sum([np.sin(k * phase) / k for k in range(1, 8)], axis=0)
    count = int(seconds / 0.01)
    entry = {"pitch_step_s": 0.01, "notes": [[0.0, seconds, 57]], "pitch_cents": [5700] * count}
    right = pitch_errors(sound, rate, entry)
    assert right.curve_cents.mean() < 1
    assert right.gross_share == 0
    off = pitch_errors(sound, rate, entry | {"pitch_cents": [5720] * count})
    assert off.curve_cents.mean() == pytest.approx(20, abs=1)
    assert pitch_errors(sound, rate, entry | {"pitch_cents": [6900] * count}).gross_share > 0.9
