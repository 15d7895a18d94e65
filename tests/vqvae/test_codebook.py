"""Vector quantisation: the nearest vector, and what flows back through the choice."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jukebox.vqvae.codebook import look_up, nearest_codes, rotation_trick, straight_through


@settings(max_examples=40, deadline=None)
@given(size=st.integers(2, 130), width=st.integers(1, 9), rows=st.integers(1, 70), block=st.integers(1, 80))
def test_the_nearest_code_is_the_nearest(size: int, width: int, rows: int, block: int) -> None:
    torch.manual_seed(size * width * rows)
    # Whole numbers: distances are exact, so that equals are equal and the first of them is asked for.
    latents, vectors = torch.randint(-3, 4, (rows, width)).float(), torch.randint(-3, 4, (size, width)).float()
    distances = (latents[:, None] - vectors).square().sum(2)
    assert torch.equal(nearest_codes(latents, vectors, block), distances.argmin(1))


def test_codes_keep_the_shape_and_find_themselves() -> None:
    torch.manual_seed(0)
    vectors = torch.randn(64, 8)
    codes = torch.randint(0, 64, (2, 3, 5))
    assert torch.equal(nearest_codes(look_up(codes, vectors), vectors), codes)


@pytest.mark.parametrize("trick", [straight_through, rotation_trick])
def test_the_value_is_the_quantised_one(trick) -> None:
    torch.manual_seed(0)
    latents, quantised = torch.randn(10, 8), torch.randn(10, 8)
    torch.testing.assert_close(trick(latents, quantised), quantised, atol=1e-5, rtol=1e-5)


def test_straight_through_passes_the_gradient_on() -> None:
    latents = torch.randn(4, 8, requires_grad=True)
    gradient = torch.randn(4, 8)
    straight_through(latents, torch.randn(4, 8)).backward(gradient)
    assert torch.equal(latents.grad, gradient)


def test_the_rotation_keeps_the_angle_to_the_gradient() -> None:
    """The angle of the gradient to the chosen vector becomes its angle to the latent; its length is scaled."""
    torch.manual_seed(0)
    latents = torch.randn(50, 8, requires_grad=True)
    quantised, gradient = torch.randn(50, 8), torch.randn(50, 8)
    rotation_trick(latents, quantised).backward(gradient)
    cosine = torch.nn.functional.cosine_similarity
    torch.testing.assert_close(
        cosine(latents.grad, latents.detach()), cosine(gradient, quantised), atol=1e-5, rtol=1e-5
    )
    scale = quantised.norm(dim=1) / latents.detach().norm(dim=1)
    torch.testing.assert_close(latents.grad.norm(dim=1), gradient.norm(dim=1) * scale)


def test_no_gradient_reaches_the_quantised_side() -> None:
    for trick in (straight_through, rotation_trick):
        quantised = torch.randn(4, 8, requires_grad=True)
        latents = torch.randn(4, 8, requires_grad=True)
        trick(latents, quantised).sum().backward()
        assert quantised.grad is None
