"""Files to listen to while a song is written, and those that it ends with."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from jukebox.audio.io import Tags, Writer, probe
from jukebox.errors import AudioError
from jukebox.sampling.model import SongModel
from jukebox.sampling.plan import LevelPlan
from jukebox.sampling.session import PREVIEWS, Session
from jukebox.vqvae.streaming import decode_stream

_FIRST_S, _GROWTH = 1.0, 2.0


class Listening:
    """Previews of one level: the first when there is a second to hear, the next when there is twice as much, ...

    So all previews together cost twice the decoding of the last. Without a session, or a kind of file, nothing is done.
    """

    def __init__(self, model: SongModel, plan: LevelPlan, session: Session | None, kind: str | None) -> None:
        self._model, self._plan = model, plan
        self._folder = None if session is None or kind is None else session.folder / PREVIEWS
        self._kind = kind
        self._next = dict[str, float]()

    def due(self, codes: Mapping[str, Tensor]) -> Iterator[Path]:
        """Write the previews that are due, and tell their paths."""
        rate = self._model.grid.tokens_per_second(self._plan.level)
        for name, found in codes.items():
            length_s = len(found) / rate
            if self._folder is not None and length_s >= self._next.setdefault(name, _FIRST_S):
                self._next[name] = length_s * _GROWTH
                yield self._write(name, found)

    def whole(self, codes: Mapping[str, Tensor]) -> Iterator[Path]:
        """Write the previews of a level that is done, where an earlier run has not."""
        for name, found in codes.items():
            if self._folder is not None and not self._is_whole(self._path(name), found):
                yield self._write(name, found)

    def _is_whole(self, path: Path, codes: Tensor) -> bool:
        try:
            return probe(path).samples == len(codes) * self._model.grid.hops[self._plan.level]
        except AudioError:
            return False

    def _path(self, name: str) -> Path:
        assert self._folder is not None
        return self._folder / f"{name}.level_{self._plan.level}.{self._kind}"

    def _write(self, name: str, codes: Tensor) -> Path:
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_sound(path, self._model, codes, self._plan.level)
        return path


def write_sound(path: Path, model: SongModel, codes: Tensor, level: int, tags: Tags | None = None) -> None:
    """Write the sound of one level's codes into a file; raises AudioError when it cannot be written."""
    device = model.vqvae.vectors(level).device
    config = model.vqvae.config
    with Writer(path, channels=config.channels, sample_rate=config.sample_rate, tags=tags) as writer:
        for sound in decode_stream(model.vqvae, (piece.to(device) for piece in codes.split(1 << 16)), level):
            writer.write(sound)
