"""The sound of a take while it is written, for whoever listens: a WAV that grows."""

import struct
import threading

import torch
from jaxtyping import Float
from torch import Tensor

# A length that is not known yet: players go on to the end of what comes.
_ENDLESS = 0xFFFF_FFFF
_BITS = 16


class LiveSound:
    """The sound of one take so far, in 16 bits; written by one thread, read by others.

    Args:
        sample_rate: in Hz.
        channels: of the sound.
    """

    def __init__(self, sample_rate: int, channels: int) -> None:
        self.sample_rate, self.channels = sample_rate, channels
        self._bytes = bytearray()
        self._ended = False
        self._lock = threading.Lock()

    def add(self, start_sample: int, samples: Float[Tensor, "channels samples"]) -> None:
        """Sound from a sample on, in [-1, 1]; what is there already is not taken twice."""
        frame = self.channels * _BITS // 8
        integers = (samples.clamp(-1, 1) * 32767).round().to(torch.int16)
        data = integers.T.contiguous().numpy().astype("<i2").tobytes()
        with self._lock:
            self._bytes += data[len(self._bytes) - start_sample * frame :]

    def end(self) -> None:
        """Nothing more comes."""
        self._ended = True

    def after(self, place: int) -> tuple[bytes, bool]:
        """The bytes of sound from a place on, and whether these are the last."""
        ended = self._ended
        with self._lock:
            return bytes(self._bytes[place:]), ended

    def header(self) -> bytes:
        """The beginning of a WAV file whose length is not known."""
        frame = self.channels * _BITS // 8
        return (
            struct.pack("<4sI4s", b"RIFF", _ENDLESS, b"WAVE")
            + struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, self.channels, self.sample_rate, self.sample_rate * frame,
                          frame, _BITS)
            + struct.pack("<4sI", b"data", _ENDLESS)
        )  # fmt: skip
