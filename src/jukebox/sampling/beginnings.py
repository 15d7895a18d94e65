"""Codes that songs begin with: of a recording, of codes files, of earlier sessions, one part after another."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from jukebox.audio.io import SILENCE_PEAK, mix_down, stream
from jukebox.checkpoints.codes import check_belongs, load_codes
from jukebox.errors import AudioError, ConfigError, DataError
from jukebox.sampling.model import SongModel
from jukebox.sampling.plan import NOTHING, Beginning, given_samples
from jukebox.sampling.request import Given, Prime, SongRequest
from jukebox.sampling.session import is_session
from jukebox.vqvae.streaming import encode_stream


def beginnings_of(request: SongRequest, model: SongModel) -> list[Beginning]:
    """What the songs of a request begin with: one value for all, or one for each.

    Raises:
        AudioError: the recording cannot be read, or has nothing to hear in that range.
        DataError: the codes are missing, damaged, of other codebooks, not in that range, or of no common level.
        ConfigError: it is not clear which song of a session is meant, or the beginning is longer than the song.
    """
    grid, length_s = model.grid, request.seconds
    most = None if length_s is None else grid.whole_tokens_samples(grid.samples(length_s))
    if request.prime is not None:
        return [_of_recording(request.prime, model, most)]
    if request.given is None:
        return [NOTHING]
    names = [name for _, _, name in request.item_names()]
    parts = [[_of_file(path, part, model) for path in _codes_files(part, names)] for part in request.parts]
    songs = max(map(len, parts))  # of each part there is one for all songs, or one for each
    found = [_in_a_row([part[index % len(part)] for part in parts], model) for index in range(songs)]
    for length in (given_samples(model, each) for each in found):
        if most is not None and length > most:
            raise ConfigError(
                f"What the song begins with is {grid.seconds(length):.2f} seconds, but the song is to be {length_s:g}: "
                "give more seconds, or begin with less."
            )
    return found


def _in_a_row(parts: Sequence[Beginning], model: SongModel) -> Beginning:
    """Parts one after another: the levels that all of them have, where all but the last have them to their ends."""
    first, *others = parts
    if not others:
        return first
    notes = tuple(note for part in parts for note in part.notes)
    whole = [{level: len(codes) * model.grid.hops[level] for level, codes in part.codes.items()} for part in parts]
    levels = [
        level
        for level in first.codes
        if all(level in part for part in whole) and all(part[level] == max(part.values()) for part in whole[:-1])
    ]
    if not levels:
        known = ", ".join(f"{'/'.join(map(str, sorted(part)))} in part {at}" for at, part in enumerate(whole, 1))
        raise DataError(f"The parts have no level in common ({known}); join parts that have the top level.")
    codes = {level: torch.cat([part.codes[level] for part in parts]) for level in levels}
    return Beginning(codes=codes, start_s=first.start_s, notes=notes)


def _of_recording(prime: Prime, model: SongModel, most: int | None) -> Beginning:
    """Codes of all levels: whole tokens of the top level, `most` samples or fewer."""
    grid, peak = model.grid, 0.0
    device, levels = model.vqvae.vectors(0).device, tuple(range(model.top + 1))
    blocks: list[Tensor] = []
    samples = 0
    for piece in stream(
        prime.recording, start_s=prime.start_s, duration_s=prime.duration_s, sample_rate=grid.sample_rate
    ):
        blocks.append(mix_down(piece, 0.5))
        peak = max(peak, float(blocks[-1].abs().max()))
        samples += blocks[-1].shape[1]
        if most is not None and grid.whole_tokens_samples(samples) > most:  # said before the rest of it is read
            raise ConfigError(
                f"What the song begins with, of {prime.recording}, is longer than the {grid.seconds(most):.2f} "
                "seconds that the song is to be: give more seconds, or begin with less."
            )
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
    notes = _end_note(prime.recording, prime, samples, model)
    return Beginning(codes={level: torch.cat(pieces) for level, pieces in found.items()}, notes=notes)


def _codes_files(part: Given, names: Sequence[str]) -> list[Path]:
    """The codes files that a part is of: one, or one for each song, where a session has songs of these names."""
    source, item = Path(part.source), part.item
    if not source.is_dir():
        if item is not None:
            raise ConfigError(f"{source} is no session but a file, with one song: leave its name (item {item!r}) out.")
        return [source]
    if not is_session(source):
        raise DataError(f"{source} holds no session; name a codes file, or a folder that `jukebox generate` wrote.")
    there = sorted(file.stem for file in source.glob("*.codes"))
    if not there:
        raise DataError(f"The session {source} is not finished; finish it by `jukebox continue {source}` first.")
    if item is not None and item not in there:
        raise ConfigError(f"{source} has no song {item!r}; it has {', '.join(there)}.")
    if item is None and len(there) > 1 and there != sorted(names):
        raise ConfigError(f"{source} has several songs ({', '.join(there)}); say which by its name (item).")
    chosen = [item] if item is not None else there if len(there) == 1 else names
    return [source / f"{name}.codes" for name in chosen]


def _of_file(path: Path, given: Given, model: SongModel) -> Beginning:
    file, grid = load_codes(path), model.grid
    check_belongs(file, model.vqvae, path)
    levels = sorted(file.codes) if given.levels is None else sorted(given.levels)
    for level in levels:
        if level not in file.codes:
            there = ", ".join(map(str, sorted(file.codes)))
            raise DataError(f"{path} has no codes of level {level}; its levels are {there}.")
    # Both ends are rounded as places in the song, so that parts which meet at a place have every token once.
    start = _place(given.start_s, model)
    whole = grid.whole_tokens_samples(max(len(file.codes[level]) * grid.hops[level] for level in levels))
    end_s = None if given.duration_s is None else given.start_s + given.duration_s
    end = whole if end_s is None else min(whole, _place(end_s, model))
    if end <= start:
        asked = f"from {given.start_s:g} s on" if end_s is None else f"between {given.start_s:g} and {end_s:g} s"
        raise DataError(
            f"{path} has {grid.seconds(whole):.2f} seconds of codes, but no token {asked}; choose a range inside it."
        )
    codes = {level: file.codes[level][start // grid.hops[level] : end // grid.hops[level]].long() for level in levels}
    return Beginning(
        codes=codes, start_s=start / grid.sample_rate, notes=_end_note(str(path), given, whole - start, model)
    )


def _end_note(name: str, part: Prime | Given, samples: int, model: SongModel) -> tuple[str, ...]:
    """A sentence where there are fewer samples from a part's beginning on than are asked for.

    A hundredth of a second and a token are lost by rounding alone: by what is shown of a length, by whole tokens.
    """
    asked_s, there_s = part.duration_s, model.grid.seconds(samples)
    if asked_s is None or asked_s - there_s <= max(0.01, model.grid.seconds(model.grid.coarsest_hop)):
        return ()
    return (
        f"{name} ends {there_s:.2f} seconds after {part.start_s:g} s: so much of it is taken, not {asked_s:g} seconds.",
    )


def _place(seconds: float, model: SongModel) -> int:
    """The first sample of the top level's token there; the sum of two decimals may be a little below its decimal."""
    return model.grid.whole_tokens_samples(model.grid.samples(round(seconds, 9)))
