"""Configurations: frozen dataclasses that check themselves when built, to and from JSON.

A configuration is saved beside the weights and is all that is needed to build a model. Standard library only.
"""

from jukebox.config.base import Config
from jukebox.config.prior import (
    ConditionDropout,
    LabelConfig,
    LyricsConfig,
    PriorConfig,
    TransformerConfig,
    UpsamplerConfig,
)
from jukebox.config.vqvae import CodebookConfig, LossConfig, VqvaeConfig, dilations

__all__ = [
    "CodebookConfig",
    "ConditionDropout",
    "Config",
    "LabelConfig",
    "LossConfig",
    "LyricsConfig",
    "PriorConfig",
    "TransformerConfig",
    "UpsamplerConfig",
    "VqvaeConfig",
    "dilations",
]
