"""A prior's windows: the codes of their songs, aligned with those above, with the labels of their place."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from jukebox.checkpoints.load import load_vqvae
from jukebox.data.collection import timed_texts
from jukebox.data.crops import AudioCrops, CropConfig
from jukebox.data.dataset import Dataset
from jukebox.data.shards import Tokens
from jukebox.data.tokenize import TokenizeConfig, tokenize
from jukebox.data.windows import EncodedCrops, TokenCrops, Window, suitable
from jukebox.errors import DataError, LabelError
from jukebox.labels.labels import LabelEncoder, LabelTokens
from jukebox.labels.timing import SongSpan, TimeGrid
from jukebox.labels.vocabulary import Vocabulary
from jukebox.prior.label_conditioner import label_tensors
from tests.data.collections import RATE, dataset, save_tiny, some_song
from tests.training.small import PRIOR_CONFIG

CONFIG = CropConfig(seed=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("windows")
    save_tiny(path / "model")
    tokenize(dataset(path), path / "tokens", TokenizeConfig(model=str(path / "model")))
    return path


def int64(codes: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(codes.astype(np.int64))


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
        assert torch.equal(crop.codes, int64(tokens.codes(crop.song, level)[start : start + 32]))
        assert len(crop.labels.lyric_tokens) == 8
        if level == 2:
            assert crop.codes_above is None
        else:
            assert start % 4 == 0
            above = tokens.codes(crop.song, level + 1)[start // 4 : start // 4 + 8]
            assert torch.equal(crop.codes_above, int64(above))


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
    config = CropConfig(seed=3, blend="mean", length_samples=512 * 8)
    crops = EncodedCrops(AudioCrops(songs, config, None, encoder=songs.label_encoder(4)), model, 0)
    many = crops.take_many([0, 1, 2])
    for index, crop in enumerate(many):
        alone = crops.take(index)
        assert torch.equal(alone.codes, crop.codes)
        assert alone.labels == crop.labels
        assert len(crop.labels.lyric_tokens) == 4
        assert crop.labels.span.total_length_samples == crop.song.length_samples // 128 * 128
        sound = songs.audio(crop.song, crop.labels.span.offset_samples, 512 * 8).mean(0, keepdim=True)
        codes = model.encode(sound[None])
        assert torch.equal(crop.codes, codes[0][0])
        assert torch.equal(crop.codes_above, codes[1][0])


def test_sound_that_does_not_suit_the_model_is_refused(folder: Path) -> None:
    crops = AudioCrops(Dataset.open(folder / "dataset"), CropConfig(length_samples=40), None)
    with pytest.raises(DataError, match="8000 Hz, the model one of 44100 Hz: prepare the data with --sample-rate"):
        EncodedCrops(crops, load_vqvae("tiny"), 2)
    with pytest.raises(DataError, match="are no whole number of codes: give a multiple of 32 samples"):
        EncodedCrops(crops, load_vqvae(folder / "model"), 0)


def test_a_prior_is_told_numbers_of_its_own_names(folder: Path) -> None:
    tokens, window = Tokens.open(folder / "tokens"), Window(level=2, context=16)
    names = Vocabulary.from_songs([("AAA", "aaa"), ("Artist 1", "tests")])
    encoder = LabelEncoder(vocabulary=names, alphabet=tokens.alphabet, lyric_window=6, unknown_is_zero=True)
    crops = TokenCrops(tokens, CONFIG, None, window, encoder=encoder, songs=lambda song: song.artist != "Artist 2")
    seen = {(crop.song.artist, crop.labels.artist_id) for crop in map(crops.take, range(len(crops)))}
    assert seen == {("Artist 0", 0), ("Artist 1", 2)}
    assert len(crops.take(0).labels.lyric_tokens) == 6


@pytest.mark.parametrize("encoded", [False, True])
def test_windows_know_which_word_is_sung_at_each_code(folder: Path, encoded: bool) -> None:
    """Planted times: 'la' from 0.3 to 0.7 s, 'dum' from 1.0 to 1.9 s, of all songs with lyrics."""
    timed = timed_texts([(0.3, 0.7, "la"), (1.0, 1.9, "dum")])
    if encoded:
        sound = Dataset.open(folder / "dataset")
        sound = replace(sound, songs=tuple(replace(s, lyric_times=timed) if s.lyrics else s for s in sound.songs))
        audio = AudioCrops(sound, replace(CONFIG, length_samples=64 * 128), None, encoder=sound.label_encoder(16))
        crops, alphabet = EncodedCrops(audio, load_vqvae(folder / "model"), 2), sound.alphabet
    else:
        tokens = Tokens.open(folder / "tokens")
        tokens = replace(tokens, songs=tuple(replace(s, lyric_times=timed) if s.lyrics else s for s in tokens.songs))
        crops, alphabet = (
            TokenCrops(tokens, CONFIG, None, Window(level=2, context=64, lyric_window=16)),
            tokens.alphabet,
        )
    heard = 0
    for crop in map(crops.take, range(len(crops))):
        assert crop.sung.shape == (64, 2)
        for code, (first, end) in enumerate(crop.sung.tolist()):
            second = (crop.labels.span.offset_samples + (code + 0.5) * 128) / RATE
            word = next((w.text for w in timed if crop.song.lyrics and w.start_s <= second < w.end_s), "")
            assert alphabet.decode(crop.labels.lyric_tokens[first:end]) == word if word else first == end == -1
            heard += bool(word)
    assert heard


def test_windows_that_the_codes_do_not_have(folder: Path) -> None:
    tokens = Tokens.open(folder / "tokens")
    with pytest.raises(DataError, match="no multiple of 4, one code above"):
        TokenCrops(tokens, CONFIG, None, Window(level=0, context=30))
    with pytest.raises(DataError, match="There is no level 3: these codes have the levels 0 to 2"):
        TokenCrops(tokens, CONFIG, None, Window(level=3, context=30))
    with pytest.raises(DataError, match=r"has no crop of 16\.00 s"):
        TokenCrops(tokens, CONFIG, None, Window(level=2, context=1000))


@pytest.mark.parametrize("bound_s", [1.0, 10.0])
def test_songs_are_suitable_whose_length_a_prior_can_be_told(bound_s: float) -> None:
    """Whole codes count: around both bounds the rule is that of the prior's own conditioner."""
    grid, labels = TimeGrid(sample_rate=1000, hops=(8, 32, 128)), PRIOR_CONFIG.labels
    assert labels is not None
    verdicts = set()
    for length in range(int(1000 * bound_s) - 130, int(1000 * bound_s) + 260, 13):
        whole = grid.whole_tokens_samples(length)
        span = SongSpan(total_length_samples=whole, offset_samples=0, window_length_samples=128)
        try:
            label_tensors([LabelTokens(span=span, artist_id=0, genre_ids=(0, 0), lyric_tokens=())], labels)
            told = True
        except LabelError:
            told = False
        assert suitable(PRIOR_CONFIG, grid)(replace(some_song(), length_samples=length)) == told
        verdicts.add(told)
    assert verdicts == {False, True}
    assert suitable(replace(PRIOR_CONFIG, labels=None), grid)(some_song())
