"""A prior's windows: the codes of their songs, aligned with those above, with the labels of their place."""

import dataclasses
from pathlib import Path

import pytest
import torch

from jukebox.checkpoints.load import load_vqvae
from jukebox.data.crops import CropConfig
from jukebox.data.dataset import Dataset
from jukebox.data.shards import Tokens
from jukebox.data.tokenize import TokenizeConfig, tokenize
from jukebox.data.windows import EncodedCrops, TokenCrops, Window
from jukebox.errors import DataError
from tests.data.collections import dataset, save_tiny

CONFIG = CropConfig(seed=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("windows")
    save_tiny(path / "model")
    tokenize(dataset(path), path / "tokens", TokenizeConfig(model=str(path / "model")))
    return path


@pytest.mark.parametrize("level", [0, 1, 2])
def test_windows_are_pieces_of_their_songs(folder: Path, level: int) -> None:
    tokens = Tokens.open(folder / "tokens")
    window = Window(level=level, context=32, lyric_window=8)
    crops = TokenCrops(tokens, CONFIG, None, window)
    hop = tokens.hops[level]
    for index in range(len(crops) + 3):
        crop = crops.take(index)
        span = crop.labels.span
        start = span.offset_samples // hop
        assert span.offset_samples % hop == 0
        assert span.window_length_samples == 32 * hop
        assert span.total_length_samples == crop.song.length_samples // 128 * 128
        assert torch.equal(crop.codes, torch.from_numpy(tokens.codes(crop.song, level)[start : start + 32]).long())
        assert len(crop.labels.lyric_tokens) == 8
        if level == 2:
            assert crop.codes_above is None
        else:
            assert start % 4 == 0
            above = tokens.codes(crop.song, level + 1)[start // 4 : start // 4 + 8]
            assert torch.equal(crop.codes_above, torch.from_numpy(above).long())


def test_windows_depend_on_seed_and_index_alone(folder: Path) -> None:
    tokens, window = Tokens.open(folder / "tokens"), Window(level=1, context=16)
    first, second = TokenCrops(tokens, CONFIG, None, window), TokenCrops(tokens, CONFIG, None, window)
    indices = range(2 * len(first))
    backwards = [second.take(index) for index in reversed(indices)][::-1]
    assert all(torch.equal(first.take(i).codes, backwards[i].codes) for i in indices)
    assert all(first.take(i).labels == backwards[i].labels for i in indices)
    epochs = [sorted(first.take(i).song.key for i in indices if i // len(first) == epoch) for epoch in (0, 1)]
    assert epochs[0] == epochs[1]


def test_encoding_sound_gives_the_codes_of_that_sound(folder: Path) -> None:
    songs, model = Dataset.open(folder / "dataset"), load_vqvae(folder / "model")
    window = Window(level=0, context=512, lyric_window=4)
    crops = EncodedCrops(songs, dataclasses.replace(CONFIG, blend="mean"), None, window, model)
    many = crops.take_many([0, 1, 2])
    for index, crop in enumerate(many):
        alone = crops.take(index)
        assert torch.equal(alone.codes, crop.codes)
        assert alone.labels == crop.labels
        start = crop.labels.span.offset_samples
        sound = songs.audio(crop.song, start, 512 * 8).mean(0, keepdim=True)
        codes = model.encode(sound[None])
        assert torch.equal(crop.codes, codes[0][0])
        assert torch.equal(crop.codes_above, codes[1][0])


def test_a_model_of_another_rate_is_refused(folder: Path) -> None:
    songs = Dataset.open(folder / "dataset")
    with pytest.raises(DataError, match="8000 Hz, the model one of 44100 Hz: prepare the data with --sample-rate"):
        EncodedCrops(songs, CONFIG, None, Window(level=2, context=16), load_vqvae("tiny"))


def test_windows_that_the_codes_do_not_have(folder: Path) -> None:
    tokens = Tokens.open(folder / "tokens")
    with pytest.raises(DataError, match="no multiple of 4, one code above"):
        TokenCrops(tokens, CONFIG, None, Window(level=0, context=30))
    with pytest.raises(DataError, match="There is no level 3: these codes have the levels 0 to 2"):
        TokenCrops(tokens, CONFIG, None, Window(level=3, context=30))
    with pytest.raises(DataError, match=r"has no crop of 16\.00 s"):
        TokenCrops(tokens, CONFIG, None, Window(level=2, context=1000))
