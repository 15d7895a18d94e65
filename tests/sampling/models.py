"""`tiny-random` with short windows."""

from dataclasses import replace

from jukebox import presets


def _short(level: int, context: int) -> presets.PriorConfig:
    config = presets.TINY_PRIORS[level]
    return replace(config, transformer=replace(config.transformer, context=context, rows=4))


SHORT = (_short(0, 32), _short(1, 16), _short(2, 8 + 32))
