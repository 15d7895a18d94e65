"""Wherever the work on a recording ends, it goes on to the same bytes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jukebox.audio.io import write
from jukebox.errors import DataError
from jukebox.features.extractor import FeatureExtractor
from jukebox.features.parts import Extraction
from jukebox.features.recordings import Recording, recordings_of
from jukebox.features.store import FeatureFolder
from tests.features.cases import RATE, extractor, sound

KINDS: dict[str, dict[str, Any]] = {
    "frames": {},
    "half": {"store": "float16"},
    "mean": {"mean": True},
    "rate": {"rate_hz": 30.0, "store": "float16"},
}
WINDOWS = 3


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    """Three windows of the top, the last moved back."""
    path = tmp_path_factory.mktemp("sound") / "song.flac"
    write(path, sound(13.5 * 128 / RATE), RATE)
    return Recording(name="song.flac", path=path)


def extract(found: FeatureExtractor, output: Path, recording: Recording, *, stop: int | None = None) -> int:
    """Read so many windows, then end without a word; without a number, all. Gives those that were there."""
    with FeatureFolder(output, found.description()) as folder:
        extraction = Extraction(found, folder, recording, found.reading(recording.path))
        there = extraction.windows_done
        for _, _ in zip(range(WINDOWS if stop is None else stop), extraction.run(), strict=False):
            pass
        if stop is not None:
            raise KeyboardInterrupt
        extraction.finish()
    return there


def content(output: Path) -> dict[str, bytes]:
    """Every file but the lock."""
    files = (path for path in output.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(output).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_extraction_ends_with_the_same_bytes(
    model: Path, tmp_path: Path, recording: Recording, kind: str
) -> None:
    found = extractor(model, layers=(3, 1), **KINDS[kind])
    assert extract(found, tmp_path / "whole", recording) == 0
    whole = content(tmp_path / "whole")
    assert set(whole) == {"features.json", "recordings.jsonl", "layer_1/song.flac.npy", "layer_3/song.flac.npy"}
    for stop in range(WINDOWS + 1):
        output = tmp_path / f"after-{stop}"
        with pytest.raises(KeyboardInterrupt):
            extract(found, output, recording, stop=stop)
        assert not list(output.glob("layer_*"))
        # Killed while it wrote: rows of one layer, half a row.
        (part,) = (output / ".parts").glob("*/layer_1")
        with part.open("ab") as file:
            file.write(b"\1" * 13)
        assert extract(found, output, recording) == stop
        assert content(output) == whole
    for layer, frames in found(recording.path).items():
        kept = np.load(tmp_path / "whole" / f"layer_{layer}" / "song.flac.npy", mmap_mode="r")
        assert kept.dtype == np.dtype(found.config.store)
        assert np.array_equal(kept, frames.numpy())


@pytest.mark.parametrize("kind", ["frames", "mean", "rate"])
def test_what_half_precision_cannot_hold_is_float32_wherever_it_ends(
    model: Path, tmp_path: Path, recording: Recording, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = extractor(model, layers=(3, 1), **(KINDS[kind] | {"store": "float16"}))
    usual = found.read

    def loud(reading: Any, first: int = 0) -> Any:
        """One number of the last window is far beyond half precision."""
        for window, frames in enumerate(usual(reading, first), first):
            frames[3][-1, 5] += 1e9 * (window == WINDOWS - 1)
            yield frames

    monkeypatch.setattr(found, "read", loud)
    with pytest.raises(KeyboardInterrupt):
        extract(found, tmp_path / "out", recording, stop=2)
    extract(found, tmp_path / "out", recording)
    expected = found(recording.path)
    for layer, dtype in ((3, np.float32), (1, np.float16)):
        kept = np.load(tmp_path / "out" / f"layer_{layer}" / "song.flac.npy")
        assert kept.dtype == dtype
        assert np.array_equal(kept, expected[layer].numpy())
        assert np.isfinite(kept).all()
    (entry,) = map(json.loads, (tmp_path / "out" / "recordings.jsonl").read_text().splitlines())
    assert entry["float32_layers"] == [3]
    extract(found, tmp_path / "whole", recording)
    assert content(tmp_path / "whole") == content(tmp_path / "out")


def test_how_far_the_encoding_is_is_told(model: Path, recording: Recording) -> None:
    shown: list[tuple[str, float, list[float]]] = []

    @contextmanager
    def show(text: str, seconds: float) -> Iterator[Any]:
        shown.append((text, seconds, []))
        yield shown[-1][2].append

    for windows in (None, 1):
        extractor(model, windows=windows).reading(recording.path, show)
    whole_s = round(13.5 * 128) / RATE
    assert [(text, seconds) for text, seconds, _ in shown] == [
        ("peak of song.flac", pytest.approx(whole_s)),
        ("encoding song.flac", pytest.approx(whole_s)),
        ("peak of song.flac", pytest.approx(whole_s)),
        ("encoding song.flac", pytest.approx(8 * 128 / RATE)),
    ]
    assert all(sum(told) == pytest.approx(whole_s) for _, _, told in shown[:3])


def test_another_recording_does_not_go_on_with_this_one(model: Path, tmp_path: Path, recording: Recording) -> None:
    found = extractor(model)
    with pytest.raises(KeyboardInterrupt):
        extract(found, tmp_path / "out", recording, stop=2)
    changed = tmp_path / "song.flac"
    write(changed, sound(13.5 * 128 / RATE).flip(1), RATE)
    other = Recording(name="song.flac", path=changed)
    assert extract(found, tmp_path / "out", other) == 0
    with FeatureFolder(tmp_path / "out", found.description()) as folder:
        assert folder.has(other)
        assert not folder.has(recording)


def test_a_folder_is_of_one_kind_and_of_one_process(model: Path, tmp_path: Path, recording: Recording) -> None:
    found = extractor(model)
    with pytest.raises(KeyboardInterrupt):
        extract(found, tmp_path / "out", recording, stop=1)
    with FeatureFolder(tmp_path / "other", found.description()):
        with pytest.raises(DataError, match="in use by another process"), FeatureFolder(tmp_path / "other", {}):
            pass
        with pytest.raises(DataError, match="is not empty and holds no features"), FeatureFolder(tmp_path, {}):
            pass
    other = extractor(model, layers=(1,), hop_fraction=0.25).description()
    with (
        pytest.raises(DataError, match=r"holds other features \(hop 4, not 2; layers \[2\], not \[1\]; hop_fraction"),
        FeatureFolder(tmp_path / "out", other),
    ):
        pass


def test_names_are_those_of_files_and_do_not_collide(tmp_path: Path) -> None:
    for name in ("a.mp3", "a.wav", "b.codes", "in/a.wav", ".hidden/c.wav", "out/d.wav", "note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = recordings_of([tmp_path, tmp_path / "a.wav"], tmp_path / "out")
    assert [recording.name for recording in found] == ["a.mp3", "a.wav", "b.codes", "in/a.wav"]
    with pytest.raises(DataError, match=r"would both have their features under a\.wav"):
        recordings_of([tmp_path, tmp_path / "in"], tmp_path / "out")
    (tmp_path / "in" / "empty").mkdir()
    with pytest.raises(DataError, match="holds no sound files"):
        recordings_of([tmp_path / "in" / "empty"], tmp_path / "out")
