"""Writing: what is written is read again, in one piece or in blocks, and a failure leaves nothing behind."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jukebox.audio.io import Tags, Writer, probe, read, write
from jukebox.errors import AudioError
from tests.audio.sounds import chord, sine

# Root mean square error of a second of the test chord: half a step for 24 bits, twice the measured otherwise.
TOLERANCES = {"wav": 2**-24, "flac": 2**-24, "ogg": 0.01, "mp3": 0.025}


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("suffix", TOLERANCES)
def test_round_trip(tmp_path: Path, suffix: str, channels: int) -> None:
    path, audio = tmp_path / f"a.{suffix}", chord(channels, 44_100 + 123)
    write(path, audio, 44_100, Tags(title="Song"))
    info = probe(path)
    assert (info.sample_rate, info.channels, info.samples) == (44_100, channels, 44_223)
    assert info.codec == {"ogg": "vorbis", "mp3": "mp3"}.get(suffix, "pcm_24")
    assert (read(path) - audio).square().mean().sqrt() <= TOLERANCES[suffix]
    assert list(tmp_path.iterdir()) == [path]


@settings(max_examples=25, deadline=None)
@given(suffix=st.sampled_from(list(TOLERANCES)), cuts=st.lists(st.integers(0, 20_000), max_size=5))
def test_blocks_give_the_same_file(tmp_path_factory: pytest.TempPathFactory, suffix: str, cuts: list[int]) -> None:
    folder, audio = tmp_path_factory.mktemp("blocks"), chord(2, 20_000)
    whole, parts = folder / f"whole.{suffix}", folder / f"parts.{suffix}"
    write(whole, audio, 44_100)
    edges = [0, *sorted(cuts), 20_000]
    with Writer(parts, channels=2, sample_rate=44_100) as writer:
        for start, end in pairwise(edges):
            writer.write(audio[:, start:end])
    assert writer.samples == 20_000
    assert torch.equal(read(parts), read(whole))


@pytest.mark.parametrize("suffix", TOLERANCES)
@pytest.mark.parametrize("sample_rate", [22_050, 48_000])
def test_other_sample_rates(tmp_path: Path, suffix: str, sample_rate: int) -> None:
    path = tmp_path / f"a.{suffix}"
    write(str(path), sine(440, sample_rate, sample_rate), sample_rate)
    assert (probe(path).sample_rate, probe(path).samples) == (sample_rate, sample_rate)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_precisions(tmp_path: Path, dtype: torch.dtype) -> None:
    audio = chord(1, 1000).to(dtype)
    write(tmp_path / "a.wav", audio, 44_100)
    assert (read(tmp_path / "a.wav") - audio.float()).abs().max() <= 2**-24


@pytest.mark.parametrize("suffix", TOLERANCES)
def test_beyond_full_scale(tmp_path: Path, suffix: str) -> None:
    path, audio = tmp_path / f"a.{suffix}", 3 * sine(440, 44_100, 44_100)
    with Writer(path, channels=1, sample_rate=44_100) as writer:
        writer.write(audio)
    peak = read(path)[:, 5_000:-5_000].abs().max()
    if suffix in ("wav", "flac"):
        assert writer.clipped == int((audio.abs() > 1).sum()) > 10_000
        assert peak == 1
    else:
        assert writer.clipped == 0
        assert peak == pytest.approx(1.5, abs=0.05)


def test_full_scale_itself_is_not_clipped(tmp_path: Path) -> None:
    with Writer(tmp_path / "a.wav", channels=1, sample_rate=44_100) as writer:
        writer.write(torch.tensor([[1.0, -1.0, 0.0]]))
    assert writer.clipped == 0
    assert torch.allclose(read(tmp_path / "a.wav"), torch.tensor([[1.0, -1.0, 0.0]]), atol=2**-23)


def test_a_long_vorbis_file_in_one_call(tmp_path: Path) -> None:
    """libsndfile itself ends the process here unless it is given blocks."""
    minutes = torch.zeros(1, 5 * 60 * 44_100)
    minutes[:, ::4_410] = 0.5
    write(tmp_path / "a.ogg", minutes, 44_100)
    assert probe(tmp_path / "a.ogg").duration_s == 300


@pytest.mark.parametrize("suffix", TOLERANCES)
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(b"what was there before")

    def fail() -> None:
        with Writer(path, channels=1, sample_rate=44_100, tags=Tags(title="Song")) as writer:
            writer.write(chord(1, 30_000))
            raise KeyError("the program's own error")

    with pytest.raises(KeyError, match="own error"):
        fail()
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"what was there before"
    write(path, chord(1, 1_000), 44_100)
    assert probe(path).samples == 1_000


@pytest.mark.parametrize(
    ("name", "channels", "sample_rate", "sentence"),
    [
        ("a.xyz", 1, 44_100, "does not end in the name of a format: choose one of .wav, .flac, .ogg, .mp3"),
        ("a", 1, 44_100, "does not end in the name of a format"),
        ("folder.wav", 1, 44_100, "is a folder"),
        ("no/a.wav", 1, 44_100, "does not exist: create it first"),
        ("a.wav", 3, 44_100, "cannot have 3 channels"),
        ("a.mp3", 1, 44_101, "MP3 has no sample rate of 44101 Hz: choose one of 8000, "),
        ("a.ogg", 1, 3_000_000, "cannot have a sample rate of 3000000 Hz"),
        ("a.wav", 1, 0, "cannot have a sample rate of 0 Hz"),
        ("a.flac", 1, 3_000_000, "cannot be written"),
    ],
)
def test_impossible_files(tmp_path: Path, name: str, channels: int, sample_rate: int, sentence: str) -> None:
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(AudioError, match=sentence):
        write(tmp_path / name, chord(channels, 1000), sample_rate)
    assert [path.name for path in tmp_path.iterdir()] == ["folder.wav"]


@pytest.mark.parametrize(
    ("audio", "sentence"),
    [
        (torch.full((1, 10), float("nan")), "NaN or infinite"),
        (torch.full((1, 10), float("inf")), "NaN or infinite"),
        (chord(2, 10), "has 1 channels: it cannot take 2"),
        (torch.zeros(1, 0), "no sound was written"),
    ],
)
def test_impossible_sound(tmp_path: Path, audio: torch.Tensor, sentence: str) -> None:
    def attempt() -> None:
        with Writer(tmp_path / "a.flac", channels=1, sample_rate=44_100) as writer:
            writer.write(audio)

    with pytest.raises(AudioError, match=sentence):
        attempt()
    assert list(tmp_path.iterdir()) == []
