"""Tables of codes that begin as features of the codebooks."""

import pytest
import torch

from jukebox.prior.codebook_features import codebook_features, embed_codebooks
from jukebox.prior.initialise import new_prior
from tests.prior import models


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def codebook(size: int = 256, embedding: int = 16, directions: int = 3) -> torch.Tensor:
    """Vectors in a few directions of their space, with noise far below, off the origin."""
    points = torch.randn(size, directions, generator=generator(1)) @ torch.randn(
        directions, embedding, generator=generator(2)
    )
    return points + 5 + 1e-4 * torch.randn(size, embedding, generator=generator(3))


def test_they_have_mean_zero_and_variance_one() -> None:
    found = codebook_features(codebook(), 64, generator())
    assert found.shape == (256, 64)
    torch.testing.assert_close(found.mean(0), torch.zeros(64), atol=1e-5, rtol=0)
    assert float(found.square().mean()) == pytest.approx(1, abs=1e-5)


def test_near_vectors_have_near_rows() -> None:
    """The product of two rows falls with the distance of their vectors, whatever is drawn."""
    vectors = codebook()
    near, far = [], []
    for seed in range(3):
        rows = codebook_features(vectors, 512, generator(seed))
        products = rows @ rows.T / 512
        order = torch.cdist(vectors, vectors).argsort(1)
        near.append(float(products.gather(1, order[:, 1:4]).mean()))
        far.append(float(products.gather(1, order[:, 128:]).mean()))
    assert min(near) > 0.4
    assert max(far) < 0.0


def test_scale_and_place_of_the_vectors_do_not_matter() -> None:
    vectors = codebook()
    found = codebook_features(vectors, 64, generator())
    torch.testing.assert_close(codebook_features(100 * vectors - 3, 64, generator()), found, atol=2e-2, rtol=0)


@pytest.mark.parametrize("name", models.ALL)
def test_only_the_tables_of_codes_and_the_loudness_beside_them_change(name: str) -> None:
    config = models.ALL[name]
    plain, prior = new_prior(config, generator()), new_prior(config, generator())
    size, width = config.codebook_size, config.transformer.width
    vectors, above = codebook(size), codebook(size, directions=5)
    embed_codebooks(prior, vectors, above if config.upsampler else None, 0.3, generator(7))
    before, after = plain.state_dict(), prior.state_dict()
    changed = {key for key in after if not torch.equal(before[key], after[key])}
    upsampler = {"upsampler.token_embedding.weight", "upsampler.norm.weight"}
    assert changed == {"token_embedding.weight"} | (upsampler if config.upsampler else set())
    found = prior.token_embedding.weight
    torch.testing.assert_close(found[-size:], 0.3 * codebook_features(vectors, width, generator(7)))
    assert torch.equal(found[:-size], plain.token_embedding.weight[:-size])
