"""Takes of one song side by side; takes of others are refused."""

from pathlib import Path

import pytest
import torch

from jukebox.audio.io import read, read_tags
from jukebox.cli.main import main
from jukebox.stereo import panned
from tests.commands import refused


@pytest.fixture(scope="module")
def wide(short_windows: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three takes of the finer levels of one sketch, and two sketches, which are different songs."""
    place = tmp_path_factory.mktemp("wide")
    tiny = ["--model", "tiny-random", "--device", "cpu", "--parallel-windows", "1"]
    sketch = [*tiny, "--seconds", "0.05", "--lowest-level", "2", "--artist", "nobody"]
    assert main(["generate", *sketch, "-o", str(place / "sketch")]) == 0
    assert main(["generate", *sketch, "--takes", "2", "-o", str(place / "others")]) == 0
    three = ["--takes", "3", "--lowest-level", "1", "-o", str(place / "wide")]
    assert main(["upsample", str(place / "sketch"), *tiny, *three]) == 0
    return place


def test_two_takes_are_left_and_right(wide: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stereo", str(wide / "wide"), "--takes", "song_take_0,song_take_2"]) == 0
    assert "song_stereo.flac" in capsys.readouterr().out
    found = read(wide / "wide/song_stereo.flac")
    assert torch.equal(found[0], read(wide / "wide/song_take_0.flac")[0])
    assert torch.equal(found[1], read(wide / "wide/song_take_2.flac")[0])
    assert not torch.equal(found[0], found[1])
    assert read_tags(wide / "wide/song_stereo.flac").artist == "nobody"


def test_three_takes_have_one_in_the_middle_and_nothing_is_clipped(wide: Path, tmp_path: Path) -> None:
    assert main(["stereo", str(wide / "wide"), "-o", str(tmp_path / "song.wav")]) == 0
    left, centre, right = (read(wide / f"wide/song_take_{take}.flac")[0] for take in range(3))
    share = 0.5**0.5
    expected = torch.stack([left + share * centre, right + share * centre]) / (1 + share)
    torch.testing.assert_close(read(tmp_path / "song.wav"), expected, atol=2**-23, rtol=0)
    loud = [iter([torch.ones(1, 4)]) for _ in range(3)]
    (block,) = panned(loud)
    torch.testing.assert_close(block, torch.ones(2, 4))


def test_what_is_no_stereo_is_a_sentence(wide: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    last = wide / "wide/song_take_2.flac"
    sound = last.read_bytes()
    for words, sentence in (
        ((wide / "others",), "not the same song"),
        ((wide / "sketch",), "two or three different takes"),
        ((wide / "wide", "--takes", "song_take_0,song_take_0"), "two or three different takes"),
        ((wide / "wide", "--takes", "song_take_7"), "no song 'song_take_7'"),
        ((wide / "wide", "-o", tmp_path / "a.txt"), "ends in .flac"),
        ((wide / "wide", "-o", tmp_path / "none" / "a.wav"), "none"),
        ((wide / "wide", "--takes", f"song_take_0,{last.stem}", "-o", last), "one of the takes themselves"),
        ((tmp_path,), "no session"),
    ):
        assert sentence in refused(capsys, "stereo", *words)
    assert last.read_bytes() == sound
    assert not (wide / "others/song_stereo.flac").exists()
    assert list(tmp_path.iterdir()) == []
