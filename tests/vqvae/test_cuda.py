"""The VQ-VAE on a GPU is the one on the CPU, to float32's rounding."""

import pytest
import torch

from jukebox.vqvae.streaming import decode_stream, encode_stream
from tests.vqvae.test_streaming import MODEL, noise

LEVELS = (0, 1, 2)
# Another order of summation: a code whose two nearest vectors are equally far may flip, once in some ten thousand here.
FLIPS = 1e-3

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


def test_codes_and_sound_are_those_of_the_cpu() -> None:
    torch.backends.cudnn.allow_tf32 = False
    sound = noise(128 * 300)
    model = MODEL.to("cuda")
    try:
        pieces = list(encode_stream(model, [sound.cuda()], LEVELS))
        codes = {level: torch.cat([piece[level] for piece in pieces]) for level in LEVELS}
        decoded = {level: torch.cat(list(decode_stream(model, [codes[level]], level)), 1).cpu() for level in LEVELS}
    finally:
        model = MODEL.to("cpu")
    with torch.no_grad():
        expected = model.encode(sound[None])
        for level in LEVELS:
            differing = (codes[level].cpu() != expected[level][0]).float().mean()
            assert float(differing) <= FLIPS
            whole = model.decode(codes[level].cpu()[None], level)[0]
            scale = whole.abs().max()
            torch.testing.assert_close(decoded[level] / scale, whole / scale, atol=1e-5, rtol=0)
