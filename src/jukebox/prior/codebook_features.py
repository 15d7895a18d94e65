"""Tables of codes that begin as features of what the codes stand for, instead of at random.

Codes whose vectors are near get rows that are alike, so a prior knows from its first step which codes are nearly the
same, as what it reads and as what it answers. The features are random cosines of the vectors (Rahimi and Recht 2007),
whose inner products approximate a kernel of the vectors' distance: a mixture of Gaussians of several widths, from the
distance of neighbours to that of the whole codebook.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from jukebox.prior.prior import Prior

WIDTHS = (0.2, 0.45, 1.2, 3.0)
"""Of the Gaussians, in units of the codebook's root mean square radius."""

_LEAST_SHARE = 1e-3
"""Directions with less than this part of the vectors' variance are noise."""


def codebook_features(
    vectors: Float[Tensor, "size embedding"], features: int, generator: torch.Generator
) -> Float[Tensor, "size features"]:
    """Features of each vector with mean 0 over the codebook and variance 1 in all.

    Args:
        vectors: of a codebook, on the generator's device.
        features: how many; a table's width.
        generator: of the random cosines.
    """
    centred = vectors.float() - vectors.float().mean(0)
    _, lengths, directions = torch.linalg.svd(centred, full_matrices=False)
    kept = int((lengths.square() > _LEAST_SHARE * lengths.square().sum()).sum())
    points = centred @ directions[:kept].T
    points = points / (points.square().mean(0) * kept).sqrt()  # each direction counts alike, their radius is 1
    drawn = {"generator": generator, "device": generator.device}
    widths = torch.tensor(WIDTHS, device=generator.device).repeat_interleave(-(-features // len(WIDTHS)))[:features]
    frequencies = torch.randn(kept, features, **drawn) / widths
    phases = 2 * torch.pi * torch.rand(features, **drawn)
    found = torch.cos(points @ frequencies + phases)
    found = found - found.mean(0)
    return found / found.square().mean().sqrt()


@torch.no_grad()
def embed_codebooks(
    prior: Prior,
    vectors: Float[Tensor, "size embedding"],
    vectors_above: Float[Tensor, "size embedding"] | None,
    deviation: float,
    generator: torch.Generator,
) -> None:
    """Begin a prior's tables of codes as features of the codebooks.

    An upsampler's conditioning begins as loud as the tables: at its usual 1 it drowns them, and most early steps are
    spent on that.

    Args:
        prior: with random weights.
        vectors: of the prior's own level.
        vectors_above: of the level above, for an upsampler.
        deviation: the tables' standard deviation.
        generator: of the random cosines.
    """
    width = prior.config.transformer.width
    prior.token_embedding.weight[prior.layout.shift :] = deviation * codebook_features(vectors, width, generator)
    if prior.upsampler is not None:
        assert vectors_above is not None
        prior.upsampler.token_embedding.weight.copy_(deviation * codebook_features(vectors_above, width, generator))
        prior.upsampler.norm.weight.fill_(deviation)
