"""Which recordings are meant, and under which names their features lie."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jukebox.audio.io import probe
from jukebox.audio.source import AUDIO_SUFFIXES
from jukebox.checkpoints.codes import CODES_SUFFIX, load_codes
from jukebox.data.metadata import sound_files
from jukebox.errors import AudioError, DataError
from jukebox.features.settings import FeatureConfig


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A file, and the name of its features: its path in the folder that was given, suffix and all."""

    name: str
    path: Path

    @property
    def readable(self) -> str:
        """The name as it can be printed and kept as text."""
        return self.name.encode(errors="backslashreplace").decode()

    def state(self) -> dict[str, int]:
        """What tells an unchanged file from a changed one."""
        found = self.path.stat()
        return {"bytes": found.st_size, "modified_ns": found.st_mtime_ns}

    def seconds(self, config: FeatureConfig) -> float:
        """About how much of it is taken, by its header; 0 where it has none that can be read."""
        try:
            if self.path.suffix.lower() == CODES_SUFFIX:
                header = load_codes(self.path).header
                whole = header.length_samples / header.sample_rate
            else:
                whole = probe(self.path).duration_s
        except (AudioError, DataError):
            return 0.0  # reading it will say why
        left = max(0.0, whole - config.start_s)
        return left if config.duration_s is None else min(left, config.duration_s)


def recordings_of(inputs: Iterable[Path], output: Path) -> list[Recording]:
    """The recordings that files and folders stand for, ordered by name.

    A folder stands for every sound file and file of codes in it and in all folders in it, hidden ones and `output`
    excepted, named by their path in it; a file for itself, named by its file name.

    Raises:
        DataError: there is none, or two have the same name.
    """
    found: dict[str, Recording] = {}
    for given in inputs:
        if given.is_dir():
            suffixes = (*AUDIO_SUFFIXES, CODES_SUFFIX)
            paths = [
                (path.relative_to(given).as_posix(), path) for path in sound_files(given, output, frozenset(), suffixes)
            ]
            if not paths:
                raise DataError(f"{given} holds no sound files, such as .wav, .flac or .mp3, nor .codes; name another.")
        else:
            paths = [(given.name, given)]
        for name, path in paths:
            there = found.get(name)
            if there is not None and there.path.resolve() != path.resolve():
                raise DataError(
                    f"{there.path} and {path} would both have their features under {name}; give a folder that holds "
                    "both, or another output for one of them."
                )
            found[name] = Recording(name=name, path=path)
    return [found[name] for name in sorted(found)]
