"""Codes that songs begin with: of a recording, of a codes file, of an earlier session."""

from pathlib import Path

import torch
from torch import Tensor

from jukebox.audio.io import SILENCE_PEAK, mix_down, stream
from jukebox.checkpoints.codes import check_belongs, load_codes
from jukebox.errors import AudioError, ConfigError, DataError
from jukebox.sampling.model import SongModel
from jukebox.sampling.plan import NOTHING, Beginning
from jukebox.sampling.request import Given, Prime, SongRequest
from jukebox.sampling.session import is_session
from jukebox.vqvae.streaming import encode_stream


def beginnings_of(request: SongRequest, model: SongModel) -> list[Beginning]:
    """What the songs of a request begin with: one value for all, or one for each.

    Raises:
        AudioError: the recording cannot be read, or has nothing to hear in that range.
        DataError: the codes are missing, damaged, of other codebooks, or not in that range.
        ConfigError: it is not clear which song of a session is meant.
    """
    if request.prime is not None:
        return [_of_recording(request.prime, model)]
    if request.given is None:
        return [NOTHING]
    given, source = request.given, Path(request.given.source)
    paths = _session_files(request, source) if source.is_dir() else [source]
    return [_of_file(path, given, model) for path in paths]


def _of_recording(prime: Prime, model: SongModel) -> Beginning:
    """Codes of all levels: whole tokens of the top level."""
    grid, peak = model.grid, 0.0
    device, levels = model.vqvae.vectors(0).device, tuple(range(model.top + 1))
    blocks: list[Tensor] = []
    for piece in stream(
        prime.recording, start_s=prime.start_s, duration_s=prime.duration_s, sample_rate=grid.sample_rate
    ):
        blocks.append(mix_down(piece, 0.5))
        peak = max(peak, float(blocks[-1].abs().max()))
    sound = torch.cat(blocks, 1)
    sound = sound[:, : grid.whole_tokens_samples(sound.shape[1])]
    if not sound.shape[1]:
        raise AudioError(
            f"{prime.recording} is too short there: the model needs at least {grid.coarsest_hop} samples at "
            f"{grid.sample_rate} Hz; give a longer range."
        )
    if peak <= SILENCE_PEAK:
        raise AudioError(f"{prime.recording} is silent there; begin with something that is heard.")
    found: dict[int, list[Tensor]] = {level: [] for level in levels}
    for codes in encode_stream(model.vqvae, (piece.to(device) for piece in sound.split(1 << 18, 1)), levels):
        for level, piece in codes.items():
            found[level].append(piece.cpu())
    return Beginning(codes={level: torch.cat(pieces) for level, pieces in found.items()})


def _session_files(request: SongRequest, folder: Path) -> list[Path]:
    """The codes files of a session that are meant."""
    assert request.given is not None
    if not is_session(folder):
        raise DataError(f"{folder} holds no session; name a codes file, or a folder that `jukebox generate` wrote.")
    files, item = sorted(folder.glob("*.codes")), request.given.item
    names = ", ".join(file.stem for file in files)
    if not files:
        raise DataError(f"The session {folder} is not finished; finish it by `jukebox continue {folder}` first.")
    if item is not None:
        if item not in [file.stem for file in files]:
            raise ConfigError(f"{folder} has no song {item!r}; it has {names}.")
        return [folder / f"{item}.codes"]
    if len(files) not in (1, len(request.item_names())):
        raise ConfigError(f"{folder} has several songs ({names}); say which by its name (item).")
    if len(files) > 1:
        return [folder / f"{name}.codes" for _, _, name in request.item_names()]
    return files


def _of_file(path: Path, given: Given, model: SongModel) -> Beginning:
    file, grid = load_codes(path), model.grid
    check_belongs(file, model.vqvae, path)
    levels = sorted(file.codes) if given.levels is None else sorted(given.levels)
    for level in levels:
        if level not in file.codes:
            there = ", ".join(map(str, sorted(file.codes)))
            raise DataError(f"{path} has no codes of level {level}; its levels are {there}.")
    hop = grid.coarsest_hop
    start = grid.samples(given.start_s) // hop * hop
    whole = grid.whole_tokens_samples(max(len(file.codes[level]) * grid.hops[level] for level in levels))
    end = whole if given.duration_s is None else min(whole, start + grid.samples(given.duration_s) // hop * hop)
    if end <= start:
        raise DataError(
            f"{path} has {grid.seconds(whole):.2f} seconds of codes: nothing from {given.start_s} s on; choose a range "
            "inside it."
        )
    codes = {level: file.codes[level][start // grid.hops[level] : end // grid.hops[level]].long() for level in levels}
    return Beginning(codes=codes, start_s=start / grid.sample_rate)
