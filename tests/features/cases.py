"""Extractors and sound that several tests of features use."""

from functools import cache
from pathlib import Path
from typing import Any

import torch

from jukebox.features.extractor import FeatureExtractor
from jukebox.features.settings import FeatureConfig
from jukebox.models import Parts, find

RATE = 44_100


@cache
def _found(folder: Path) -> Parts:
    return find(str(folder))


def extractor(folder: Path, **settings: Any) -> FeatureExtractor:
    """Of a small random model in a folder: windows of 8 codes after a prefix of lyrics at the top, 16 and 32 below."""
    return FeatureExtractor(_found(folder), FeatureConfig(**settings))


def sound(seconds: float, channels: int = 2) -> torch.Tensor:
    """Noise, not at full scale."""
    generator = torch.Generator().manual_seed(5)
    return 0.3 * torch.randn(channels, round(seconds * RATE), generator=generator).clamp(-3, 3)
