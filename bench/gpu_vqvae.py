"""Part of `bench/gpu.py`: encoding and decoding of the released VQ-VAE in streams, in float32."""

from collections.abc import Iterator

import torch
from gpu_clock import seconds_of
from gpu_report import Row, Setting
from vqvae import NAMES, TASKS, operations_per_second

from jukebox import presets
from jukebox.config import VqvaeConfig
from jukebox.vqvae.streaming import decode_stream, encode_stream
from jukebox.vqvae.vqvae import VQVAE

CHUNKS = (262144, 1048576)


def model_of(setting: Setting) -> VQVAE:
    """The VQ-VAE with random weights; a tiny one with the released hops where everything is tiny."""
    torch.manual_seed(0)
    config = presets.vqvae_config("tiny") if setting.smoke else VqvaeConfig()
    model = VQVAE(config).eval().to(setting.device)
    for level in range(3):
        model.vectors(level).normal_()
    return model


def rows(setting: Setting) -> Iterator[Row]:
    model, seconds = model_of(setting), 1 if setting.smoke else 60
    sound = 0.1 * torch.randn(1, seconds * 44100 // 128 * 128, device=setting.device)
    size = model.config.codebook.size
    codes = [torch.randint(0, size, (sound.shape[1] // hop,), device=setting.device) for hop in model.config.hops]
    for task, title in zip(TASKS, NAMES, strict=True):
        # Operations are those of the released shape.
        limit = None if setting.smoke else setting.limits.float32_flops / operations_per_second(task)
        for chunk in CHUNKS[:1] if setting.smoke else CHUNKS:

            def work(task: str = task, chunk: int = chunk) -> object:
                if task == "encode":
                    return list(encode_stream(model, [sound], (0, 1, 2), chunk))
                level = int(task[-1])
                return list(decode_stream(model, [codes[level]], level, chunk))

            yield Row(
                what=f"{title}, chunks of {chunk} samples", unit="x real time",
                measure=lambda work=work: seconds / seconds_of(work, setting.device, 2), limit=limit, higher=True,
            )  # fmt: skip
