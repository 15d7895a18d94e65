"""Features are the prior's hidden states: of windows by themselves, whatever else is asked for or was loaded."""

from pathlib import Path

import pytest
import torch

from jukebox.audio.io import read, write
from jukebox.checkpoints.codes import CodesFile, CodesHeader, codebook_fingerprint, save_codes
from jukebox.checkpoints.load import load_prior
from jukebox.errors import ConfigError, DataError, DeviceError, LabelError
from jukebox.features.extractor import FeatureExtractor
from jukebox.prior.conditions import Conditions
from jukebox.prior.label_conditioner import LabelTensors
from jukebox.prior.transformer import Wanted
from jukebox.vqvae.streaming import encode_stream
from tests.features.cases import RATE, extractor, sound

# Measured: 4e-7 between a mean of sums in float64 and one of the frames in float32, for values up to 4.
MEAN = 4e-6


def encoded(found: FeatureExtractor, samples: torch.Tensor, *, peak: bool = True) -> dict[int, torch.Tensor]:
    """All levels of a mono mix."""
    mono = 0.5 * samples[:1] + 0.5 * samples[1:] if len(samples) == 2 else samples
    mono = mono / mono.abs().max() if peak else mono
    pieces = list(encode_stream(found.model.vqvae, [mono], (0, 1, 2)))
    return {level: torch.cat([piece[level] for piece in pieces]) for level in (0, 1, 2)}


def told(found: FeatureExtractor, total: int, offset: int, window: int) -> LabelTensors:
    """Nobody's music, somewhere in a song."""
    labels = found.model.level(found.level).config.labels
    assert labels is not None
    return LabelTensors(
        total_length_samples=torch.tensor([total]),
        offset_samples=torch.tensor([offset]),
        window_length_samples=torch.tensor([window]),
        artist_ids=torch.tensor([0]),
        genre_ids=torch.tensor([[0] + [-1] * (labels.genre_slots - 1)]),
    )


@pytest.mark.parametrize(("level", "context", "ratio"), [(2, 8, 1), (1, 16, 4), (0, 32, 4)])
def test_features_are_hidden_states_of_the_complete_prior(model: Path, level: int, context: int, ratio: int) -> None:
    depth = load_prior(model, level).config.transformer.depth
    layers = tuple(range(depth, -1, -1))
    found = extractor(model, level=level, layers=layers, windows=1)
    frames = found(sound(0.1))
    codes = encoded(found, sound(0.1))
    prior = load_prior(model, level)
    config = prior.config
    conditions = Conditions(
        # 62 seconds, cut to whole codes of the top.
        labels=told(found, 62 * RATE // 128 * 128, 0, context * 128 // 4 ** (2 - level)),
        lyrics=torch.zeros(1, config.lyrics.tokens, dtype=torch.int64) if config.lyrics else None,
        codes_above=codes[level + 1][None, : context // ratio] if config.upsampler else None,
    )
    wanted = Wanted(layers=frozenset(range(depth)))
    with torch.no_grad():
        whole = prior(codes[level][None, :context], conditions, wanted=wanted).layers
    assert tuple(frames) == layers
    for layer in layers:
        assert frames[layer].shape == (context, config.transformer.width)
        if layer:
            assert torch.equal(frames[layer], whole[layer - 1][0, -context:]), layer
    assert not torch.equal(frames[0], frames[1])


def test_a_layer_is_the_same_whatever_else_is_asked_for(model: Path) -> None:
    depth = load_prior(model).config.transformer.depth
    together = extractor(model, layers=tuple(range(depth + 1)))(sound(0.05))
    for layer in range(depth + 1):
        found = extractor(model, layers=(layer,))
        assert len(found.prior.transformer.layers) == layer
        assert torch.equal(found(sound(0.05))[layer], together[layer])
    assert tuple(extractor(model)(sound(0.05))) == (depth // 2,)


@pytest.mark.parametrize(("level", "hop"), [(2, 0.5), (2, 1.0), (2, 0.1), (1, 0.3), (0, 0.5)])
def test_windows_of_a_long_recording_are_windows_by_themselves(model: Path, level: int, hop: float) -> None:
    found = extractor(model, level=level, layers=(1,), hop_fraction=hop)
    codes = {each: all_codes[: 40 * 4 ** (2 - each)] for each, all_codes in encoded(found, sound(0.2)).items()}
    frames = found(_file(found, codes))[1]
    context, unit = found.context, found.model.unit(level)
    assert len(frames) == len(codes[level])
    assert found.hop % unit == 0
    alone = extractor(model, level=level, layers=(1,), windows=1)
    written, start = 0, 0
    while written < len(frames):
        start = min(start, len(frames) - context)
        first = start * found.model.grid.hops[level]
        part = {each: kept[first // found.model.grid.hops[each] :] for each, kept in codes.items()}
        window = alone(_file(found, part))[1]
        assert torch.equal(frames[written : start + context], window[written - start :])
        assert written == 0 or written - start >= context - found.hop
        written, start = start + context, start + found.hop


def _file(found: FeatureExtractor, codes: dict[int, torch.Tensor]) -> CodesFile:
    grid = found.model.grid
    header = CodesHeader(
        fingerprint=codebook_fingerprint(found.model.vqvae),
        model="test",
        sample_rate=grid.sample_rate,
        length_samples=min(len(each) * grid.hops[level] for level, each in codes.items()),
        hops=grid.hops,
    )
    return CodesFile(header=header, codes={level: each.to(torch.uint16) for level, each in codes.items()})


@pytest.mark.parametrize("level", [1, 2])
def test_files_sound_and_codes_are_the_same(model: Path, tmp_path: Path, level: int) -> None:
    path, codes = tmp_path / "a.flac", tmp_path / "a.codes"
    write(path, sound(0.12), RATE)
    found = extractor(model, level=level)
    layer = found.config.layers[0]
    heard = read(path)
    whole = found(path)[layer]
    assert torch.equal(whole, found(heard)[layer])
    save_codes(codes, _file(found, encoded(found, heard)))
    assert torch.equal(whole, found(codes)[layer])
    assert torch.equal(whole, extractor(model, level=level)(heard * 0.25)[layer])
    loud = extractor(model, level=level, normalise=False)
    save_codes(codes, _file(found, encoded(found, heard, peak=False)))
    assert torch.equal(loud(path)[layer], found(codes)[layer])
    # A part is that of the recording, whose own peak counts.
    part = {"level": level, "start_s": 0.05, "duration_s": 0.05}
    cut = extractor(model, **part)
    inner = heard[:, round(0.05 * RATE) : round(0.1 * RATE)]
    assert torch.equal(cut(path)[layer], found(inner)[layer])
    assert torch.equal(cut(path)[layer], cut(heard)[layer])


@pytest.mark.parametrize("level", [0, 2])
def test_the_first_windows_are_those_of_the_whole(model: Path, level: int) -> None:
    # Longer than what is encoded at once: the encoder stops early.
    long = sound(1.5)
    whole = extractor(model, level=level, windows=40)(long)
    some = extractor(model, level=level, windows=3)
    (layer,) = some.config.layers
    frames = some(long)[layer]
    assert len(frames) == some.context + 2 * some.hop
    assert torch.equal(frames, whole[layer][: len(frames)])


def test_a_frame_has_seen_the_codes_before_it(model: Path) -> None:
    found = extractor(model, layers=(1, 2), windows=1)
    codes = {2: torch.arange(8)}
    changed = {2: torch.where(torch.arange(8) == 5, 9, codes[2])}
    before, after = found(_file(found, codes)), found(_file(found, changed))
    for layer in (1, 2):
        moved = (before[layer] - after[layer]).abs().amax(1) > 0
        assert not moved[:6].any()
        assert moved[6:].any()


def test_the_mean_is_that_of_all_frames(model: Path) -> None:
    for seconds in (0.01, 0.2):
        frames = extractor(model, layers=(2, 1))(sound(seconds))
        means = extractor(model, layers=(2, 1), mean=True)(sound(seconds))
        for layer in (1, 2):
            torch.testing.assert_close(means[layer], frames[layer].double().mean(0).float(), rtol=0, atol=MEAN)


def test_what_the_prior_is_told_matters(model: Path) -> None:
    heard = sound(2.0)[:, : 2 * RATE]
    usual = extractor(model, windows=2)(heard)
    other = {
        "artist": extractor(model, windows=2, artist="Bo"),
        "genre": extractor(model, windows=2, genre="march"),
        "timing": extractor(model, windows=2, timing="recording"),
    }
    for name, found in other.items():
        (layer,) = found.config.layers
        assert not torch.equal(found(heard)[layer], usual[layer]), name
    with pytest.raises(LabelError, match="Cy"):
        extractor(model, artist="Cy")


def test_the_timing_of_a_recording_is_its_own(model: Path) -> None:
    found = extractor(model, layers=(1,), timing="recording", start_s=1.0)
    reading = found.reading(sound(2.0))
    spans = [found._span(reading, window.start) for window in reading.windows]
    assert {span.total_length_samples for span in spans} == {2 * RATE // 128 * 128}
    assert [span.offset_samples for span in spans[:3]] == [RATE, RATE + 4 * 128, RATE + 8 * 128]
    with pytest.raises(DataError, match=r"is 0.50 s long, of which the prior cannot be told"):
        extractor(model, timing="recording")(sound(0.5))


def test_what_half_precision_cannot_hold_stays_in_float32(model: Path) -> None:
    found = extractor(model, layers=(0,), store="float16")
    frames = found(sound(0.05))[0]
    assert frames.dtype == torch.float16
    assert torch.equal(frames, extractor(model, layers=(0,))(sound(0.05))[0].half())
    found.prior.token_embedding.weight.data.mul_(1e6)
    assert found(sound(0.05))[0].dtype == torch.float32


def test_settings_that_cannot_be(model: Path) -> None:
    refusals = {
        "layers of the features is .*each layer once": {"layers": (1, 1)},
        "layers 1 to 4, and 0": {"layers": (5,)},
        "no prior of level 3": {"level": 3},
        "rate_hz of the features is 30.0; expected none with mean": {"mean": True, "rate_hz": 30.0},
        "rate_hz of the features is 0.0": {"rate_hz": 0.0},
        "hop_fraction of the features is 0.0": {"hop_fraction": 0.0},
        "windows of the features is 0": {"windows": 0},
    }
    for sentence, settings in refusals.items():
        with pytest.raises(ConfigError, match=sentence):
            extractor(model, **settings)


def test_reduced_precision_is_near(model: Path) -> None:
    exact = extractor(model, layers=(2,))(sound(0.1))[2]
    near = extractor(model, layers=(2,), precision="bfloat16")(sound(0.1))[2]
    assert 0 < float((exact - near).abs().max() / exact.abs().max()) < 0.05  # measured: 0.006


def test_memory_is_known_before_anything_is_loaded(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jukebox.features.room.free_host_bytes", lambda: 1 << 29)
    monkeypatch.setattr("jukebox.features.extractor.first_layers", None)
    with pytest.raises(DeviceError, match=r"need 1\.\d+ GB of memory, and 0\.54 GB are free: close other programs"):
        extractor(model)
