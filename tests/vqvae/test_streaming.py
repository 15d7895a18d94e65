"""A file of any length, chunk by chunk: the same codes and the same sound as at once."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jukebox.config import CodebookConfig, VqvaeConfig
from jukebox.nn.conv_stream import Chain
from jukebox.vqvae.streaming import decode_stream, encode_stream, rechunk
from jukebox.vqvae.vqvae import VQVAE

# Measured 2e-7 on sound of order 0.3: products of chunks sum in another order than a convolution.
AUDIO_TOLERANCE = 1e-6

CONFIG = VqvaeConfig(width=8, depth=3, multipliers=(2, 1, 1), embedding_width=8, codebook=CodebookConfig(size=64))
LEVELS = (0, 1, 2)


def build() -> VQVAE:
    torch.manual_seed(0)
    model = VQVAE(CONFIG).eval()
    random = torch.Generator().manual_seed(0)
    for parameter in model.encoders.parameters():  # latents that differ: torch's own start makes them nearly constant
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter, generator=random)
    sound = 0.3 * torch.randn(1, 1, 32768, generator=random)
    with torch.no_grad():
        for level in LEVELS:  # vectors among the latents, so that many codes occur
            latents = model.latents(sound, level)[0]
            model.vectors(level).copy_(latents[torch.randperm(len(latents), generator=random)[:64]])
    return model


MODEL = build()


def encode(blocks: list[torch.Tensor], chunk_samples: int = 2048) -> dict[int, torch.Tensor]:
    pieces = list(encode_stream(MODEL, blocks, LEVELS, chunk_samples))
    return {level: torch.cat([piece[level] for piece in pieces]) for level in LEVELS}


def decode(codes: list[torch.Tensor], level: int, chunk_samples: int = 2048) -> torch.Tensor:
    return torch.cat(list(decode_stream(MODEL, codes, level, chunk_samples)), 1)


def noise(samples: int, seed: int = 1) -> torch.Tensor:
    return 0.3 * torch.randn(1, samples, generator=torch.Generator().manual_seed(seed))


def test_codes_are_those_of_the_whole_file() -> None:
    sound = noise(128 * 100)
    with torch.no_grad():
        whole = MODEL.encode(sound[None])
    for chunk in (1000, 4096, 10**6):
        streamed = encode([sound], chunk)
        assert [int((streamed[level] != whole[level][0]).sum()) for level in LEVELS] == [0, 0, 0]
    assert min(len(codes.unique()) for codes in streamed.values()) > 20


def test_sound_is_that_of_the_whole_file() -> None:
    codes = encode([noise(128 * 100)])
    for level in LEVELS:
        with torch.no_grad():
            whole = MODEL.decode(codes[level][None], level)[0]
        for chunk in (1000, 10**6):
            scale = whole.abs().max()  # random weights are loud: the tolerance is of full scale
            streamed = decode([codes[level]], level, chunk)
            torch.testing.assert_close(streamed / scale, whole / scale, atol=AUDIO_TOLERANCE, rtol=0)


@settings(max_examples=10, deadline=None)
@given(lengths=st.lists(st.integers(0, 4000), min_size=1, max_size=6).filter(any))
def test_the_bytes_do_not_depend_on_how_the_sound_arrives(lengths: list[int]) -> None:
    sound = noise(sum(lengths))
    whole, pieces = encode([sound]), encode(list(sound.split(lengths, 1)))
    assert all(torch.equal(whole[level], pieces[level]) for level in LEVELS)
    codes = whole[0]
    cut = [min(len(codes), length // 8) for length in lengths]
    cut[-1] = len(codes) - sum(cut[:-1])
    assert torch.equal(decode([codes], 0), decode(list(codes.split(cut)), 0))


@settings(max_examples=10, deadline=None)
@given(samples=st.integers(1, 700))
def test_any_length_has_codes_for_its_last_samples(samples: int) -> None:
    """The last partial hop is completed by silence, at every level to the coarsest hop."""
    sound = noise(samples)
    whole = -(-samples // 128) * 128
    codes = encode([sound])
    assert [len(codes[level]) for level in LEVELS] == [whole // 8, whole // 32, whole // 128]
    padded = encode([torch.nn.functional.pad(sound, (0, whole - samples))])
    assert all(torch.equal(codes[level], padded[level]) for level in LEVELS)
    assert decode([codes[2]], 2).shape == (1, whole)


def test_one_level_alone_gives_the_same_codes() -> None:
    sound = noise(5000)
    alone = torch.cat([piece[1] for piece in encode_stream(MODEL, [sound], (1,), 2048)])
    assert torch.equal(alone, encode([sound])[1])


def test_memory_does_not_grow_with_the_length(monkeypatch) -> None:
    """What the chains hold after a minute is what they held after ten seconds."""
    chains: list[Chain] = []
    original = Chain.__init__

    def recording(self: Chain, *arguments) -> None:
        original(self, *arguments)
        chains.append(self)

    monkeypatch.setattr(Chain, "__init__", recording)

    def held() -> int:
        return sum(layer.window.rows.numel() for chain in chains for layer in chain.layers)

    sizes = []
    for index, _ in enumerate(encode_stream(MODEL, (noise(4096, seed) for seed in range(120)), LEVELS, 4096)):
        if index in (20, 119):
            sizes.append(held())
    assert sizes[0] == sizes[1] > 0


@given(lengths=st.lists(st.integers(0, 30), max_size=8), size=st.integers(1, 20))
def test_rechunking_keeps_the_entries(lengths: list[int], size: int) -> None:
    whole = torch.arange(sum(lengths))
    pieces = list(rechunk(whole.split(lengths) if lengths else [], size))
    assert torch.equal(torch.cat([*pieces, whole[:0]]), whole)
    assert all(len(piece) == size for piece in pieces[:-1])
    assert all(0 < len(piece) <= size for piece in pieces[-1:])


def test_channels_that_the_model_does_not_take() -> None:
    import pytest

    from jukebox.errors import AudioError

    with pytest.raises(AudioError, match="2 channels; the model takes 1"):
        list(encode_stream(MODEL, [torch.zeros(2, 1000)], LEVELS))
