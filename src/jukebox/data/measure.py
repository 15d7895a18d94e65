"""What is measured on a song while it is decoded: how loud it is, and where nothing is heard."""

import math
from fractions import Fraction

import numpy as np
from jaxtyping import Float, Int32
from torch import Tensor

FULL_SCALE = 2**15
# A stretch is silent when it never goes beyond -60 dB: no music is heard there, only what is left of a fade.
SILENCE_PEAK = 1e-3
SHORTEST_SILENCE_SAMPLES = 2048
# EBU R 128 gives -70 where nothing is above its gate, and needs a block of 0.4 s.
_LOUDNESS_FLOOR_LUFS = -70.0


class Loudness:
    """Integrated loudness by EBU R 128, measured by FFmpeg's filter block by block."""

    def __init__(self, channels: int, sample_rate: int) -> None:
        from av.filter import Graph

        self._layout = "mono" if channels == 1 else "stereo"
        self._rate, self._samples, self._lufs = sample_rate, 0, math.nan
        self._graph = Graph()
        source = self._graph.add_abuffer(
            sample_rate=sample_rate, format="fltp", layout=self._layout, time_base=Fraction(1, sample_rate)
        )
        self._graph.link_nodes(source, self._graph.add("ebur128", "metadata=1"), self._graph.add("abuffersink"))
        self._graph.configure()

    def add(self, sound: Float[Tensor, "channels samples"]) -> None:
        """Measure the next samples."""
        import av

        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.numpy()), format="fltp", layout=self._layout)
        frame.sample_rate, frame.pts = self._rate, self._samples
        self._samples += sound.shape[1]
        self._graph.push(frame)
        self._pull()

    def integrated_lufs(self) -> float | None:
        """The loudness of everything so far, in LUFS; None where nothing was long and loud enough to have one."""
        return self._lufs if self._lufs > _LOUDNESS_FLOOR_LUFS else None

    def _pull(self) -> None:
        from av.error import BlockingIOError as NothingYetError

        try:
            while True:
                self._lufs = float(self._graph.pull().metadata.get("lavfi.r128.I", self._lufs))
        except NothingYetError:
            return


class Silences:
    """Finds the stretches of a song in which nothing is heard."""

    def __init__(self) -> None:
        self._found: list[tuple[int, int]] = []
        self._last_heard, self._samples = -1, 0

    def add(self, levels: Int32[np.ndarray, " samples"]) -> None:
        """Look at the next samples: the largest absolute value of the channels, full scale is 2**15."""
        heard = np.flatnonzero(levels > SILENCE_PEAK * FULL_SCALE) + self._samples
        edges = np.concatenate([[self._last_heard], heard])
        for place in np.flatnonzero(np.diff(edges) > SHORTEST_SILENCE_SAMPLES):
            self._found.append((int(edges[place]) + 1, int(edges[place + 1])))
        self._last_heard, self._samples = int(edges[-1]), self._samples + len(levels)

    def stretches(self) -> tuple[tuple[int, int], ...]:
        """(first sample, one past the last) of each stretch so far, ascending."""
        last = (self._last_heard + 1, self._samples)
        return (*self._found, last) if last[1] - last[0] >= SHORTEST_SILENCE_SAMPLES else tuple(self._found)
