"""Vector quantisation as pure functions: nearest code, look-up, gradients through the choice (facts 2.4)."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

Latents = Float[Tensor, "*shape embedding"]
Vectors = Float[Tensor, "size embedding"]
Codes = Int64[Tensor, "*shape"]

# Codes are searched in groups of this size: a maximum without its place is ten times faster on a CPU than with it.
_GROUP = 32


@torch.no_grad()
def nearest_codes(latents: Latents, vectors: Vectors, block_rows: int = 8192) -> Codes:
    """Index of the nearest vector by squared Euclidean distance, the first of equals.

    Distances of `block_rows` latents are held at once: 8192 x 2048 float32 is 64 MiB.
    """
    flat = latents.reshape(-1, latents.shape[-1])
    # |x - v|^2 = |x|^2 - 2 x.v + |v|^2, and |x|^2 is the same for every vector.
    offsets = vectors.square().sum(1) * -0.5
    columns = vectors.t().contiguous()
    codes = [_first_maximum(torch.addmm(offsets, rows, columns)) for rows in flat.split(block_rows)]
    return torch.cat(codes).reshape(latents.shape[:-1])


def _first_maximum(scores: Float[Tensor, "rows size"]) -> Int64[Tensor, " rows"]:
    if scores.shape[1] % _GROUP:
        return scores.argmax(1)
    groups = scores.unflatten(1, (-1, _GROUP))
    group = groups.amax(2).argmax(1)
    winners = groups[torch.arange(len(scores), device=scores.device), group]
    return group * _GROUP + winners.argmax(1)


def look_up(codes: Codes, vectors: Vectors) -> Latents:
    """The vector of every code."""
    return torch.nn.functional.embedding(codes, vectors)


def straight_through(latents: Latents, quantised: Latents) -> Latents:
    """`quantised`, with the gradient of the identity to `latents`."""
    return latents + (quantised - latents).detach()


def rotation_trick(latents: Latents, quantised: Latents) -> Latents:
    """`quantised`, with the gradient of the rotation and scaling that carries `latents` onto it.

    The rotation is held constant, so that the angle between a gradient and the chosen vector is kept (Fifty et al.
    2024, "Restructuring vector quantization with the rotation trick").
    """
    target, source = quantised.detach(), latents.detach()
    target_norm = target.norm(dim=-1, keepdim=True)
    source_norm = source.norm(dim=-1, keepdim=True).clamp_min(1e-8)
    unit_target = target / target_norm.clamp_min(1e-8)
    unit_source = source / source_norm
    bisector = torch.nn.functional.normalize(unit_target + unit_source, dim=-1)
    mirrored = latents - 2 * (latents * bisector).sum(-1, keepdim=True) * bisector
    rotated = mirrored + 2 * (latents * unit_source).sum(-1, keepdim=True) * unit_target
    return rotated * (target_norm / source_norm)
