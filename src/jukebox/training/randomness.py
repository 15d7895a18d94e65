"""Everything that training draws is a function of the seed and of what it is for: there is no state to save."""

import hashlib

import torch


def generator_for(seed: int, purpose: str, *numbers: int) -> torch.Generator:
    """A CPU generator for one purpose, as in ("restart", step, level): independent of all others, always the same."""
    text = "/".join(map(str, (seed, purpose, *numbers)))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)
