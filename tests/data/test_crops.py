"""Crops of sound: a function of seed and index alone, exact, never silent."""

import dataclasses
from pathlib import Path

import pytest
import torch

from jukebox.data.crops import AudioCrops, CropConfig
from jukebox.data.dataset import Dataset
from jukebox.errors import ConfigError, DataError
from tests.data.collections import RATE, dataset, originals


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("crops")
    dataset(path)
    return path


@pytest.fixture(scope="module")
def songs(folder: Path) -> Dataset:
    return Dataset.open(folder / "dataset")


def test_any_range_of_a_song_is_exact(folder: Path, songs: Dataset) -> None:
    for song in songs.songs:
        whole = originals(folder, song.key)
        assert torch.equal(songs.audio(song), (whole * 2**15).round() / 2**15)
        assert (song.channels, song.length_samples) == whole.shape
        for start, length in ((0, 1), (4095, 2), (5000, 4096), (song.length_samples - 7, 7), (3, 0)):
            assert torch.equal(songs.audio(song, start, length), songs.audio(song)[:, start : start + length])
    with pytest.raises(DataError, match="are not inside it"):
        songs.audio(songs.songs[0], songs.songs[0].length_samples - 3, 4)


def test_a_crop_depends_on_seed_and_index_alone(songs: Dataset) -> None:
    config = CropConfig(length_samples=3000, seed=5)
    first, second = AudioCrops(songs, config, None), AudioCrops(songs, config, None)
    indices = list(range(2 * len(first)))
    forwards = [first.take(index) for index in indices]
    backwards = [second.take(index) for index in reversed(indices)][::-1]
    for a, b in zip(forwards, backwards, strict=True):
        assert (a.song, a.start_samples) == (b.song, b.start_samples)
        assert torch.equal(a.sound, b.sound)
        assert a.sound.shape == (1, 3000)
        assert a.sound.abs().max() > 1e-3  # song 1 is silent for longer than a crop
    other = AudioCrops(songs, CropConfig(length_samples=3000, seed=6), None)
    assert any(not torch.equal(other.take(i).sound, forwards[i].sound) for i in range(4))


def test_a_share_of_crops_begins_where_something_is_first_heard(songs: Dataset) -> None:
    config = CropConfig(length_samples=3000, seed=5)
    plain = AudioCrops(songs, config, None)
    firsts = {}
    for crop in (plain.take(index) for index in range(40 * len(plain))):
        firsts[crop.song.key] = min(crop.start_samples, firsts.get(crop.song.key, crop.start_samples))
    always = AudioCrops(songs, dataclasses.replace(config, beginnings=1.0), None)
    epoch = [always.take(index) for index in range(len(always))]
    assert {crop.song.key for crop in epoch} == set(firsts)
    # Forty draws of every slot come near the first start of each, but not before it.
    assert all(crop.start_samples <= firsts[crop.song.key] <= crop.start_samples + 1000 for crop in epoch)
    assert all(crop.sound.abs().max() > 1e-3 for crop in epoch)
    some = AudioCrops(songs, dataclasses.replace(config, beginnings=0.5), None)
    starts = {crop.song.key: crop.start_samples for crop in epoch}
    drawn = [some.take(index) for index in range(10 * len(some))]
    share = sum(crop.start_samples == starts[crop.song.key] for crop in drawn) / len(drawn)
    assert 0.35 < share < 0.65
    with pytest.raises(ConfigError, match=r"beginnings is 1\.5; expected a share"):
        CropConfig(beginnings=1.5)


def test_an_epoch_has_every_slot_once_in_a_new_order(songs: Dataset) -> None:
    crops = AudioCrops(songs, CropConfig(length_samples=3000, shift=False), None)
    epochs = [
        [(c.song.key, c.start_samples) for c in map(crops.take, range(e * len(crops), (e + 1) * len(crops)))]
        for e in range(2)
    ]
    assert sorted(epochs[0]) == sorted(epochs[1])
    assert len(set(epochs[0])) == len(crops)
    assert epochs[0] != epochs[1]
    assert all(start % 3000 == 0 for _, start in epochs[0])


def test_crops_are_pieces_of_their_songs_mixed_down(folder: Path, songs: Dataset) -> None:
    even = AudioCrops(songs, CropConfig(length_samples=2000, blend="mean", shuffle=False), None)
    blended = AudioCrops(songs, CropConfig(length_samples=2000, shuffle=False), None)
    for index in range(len(even)):
        crop, other = even.take(index), blended.take(index)
        piece = songs.audio(crop.song, crop.start_samples, 2000)
        assert torch.allclose(crop.sound, piece.mean(0, keepdim=True), atol=1e-6)
        assert other.start_samples == crop.start_samples
        assert torch.equal(other.sound, crop.sound) == (crop.song.channels == 1)


def test_loudness_is_brought_to_its_target_without_clipping(songs: Dataset) -> None:
    crops = AudioCrops(songs, CropConfig(length_samples=2000, loudness_lufs=-30.0, blend="mean"), None)
    plain = AudioCrops(songs, CropConfig(length_samples=2000, blend="mean"), None)
    song = crops.take(0).song
    assert song.loudness_lufs is not None
    expected = plain.take(0).sound * 10 ** ((-30 - song.loudness_lufs) / 20)
    assert torch.allclose(crops.take(0).sound, expected, atol=1e-6)
    assert song.gain(0.0) == pytest.approx(1 / song.peak)


def test_the_splits_are_songs(songs: Dataset) -> None:
    sides = {
        s: {song.key for song in AudioCrops(songs, CropConfig(length_samples=2000), s).songs}
        for s in ("train", "validation")
    }
    assert sides["train"]
    assert sides["validation"]
    assert sides["train"] | sides["validation"] == {song.key for song in songs.songs}
    assert not sides["train"] & sides["validation"]


def test_what_cannot_be_cropped_is_said(songs: Dataset) -> None:
    with pytest.raises(DataError, match=r"has no crop of 12\.50 s in its 6 songs for everything, the longest of which"):
        AudioCrops(songs, CropConfig(length_samples=100_000), None)
    assert [s.key for s in AudioCrops(songs, CropConfig(length_samples=3 * RATE), None).too_short]
    with pytest.raises(ConfigError, match="loudness_lufs"):
        CropConfig(loudness_lufs=3.0)
