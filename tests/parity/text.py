"""Text clean-up, names, label vectors, lyric windows and window starts against the recorded ones."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from jukebox.errors import LabelError
from jukebox.labels.labels import LabelEncoder, Labels, SongTokens
from jukebox.labels.lyric_window import Rounding, lyric_indices
from jukebox.labels.text import V2_ALPHABET, V3_ALPHABET, LyricAlphabet
from jukebox.labels.timing import SongSpan
from jukebox.labels.vocabulary import NameList, Vocabulary
from jukebox.sampling.windows import window_starts
from tests.parity.report import Check, equal

Version = Literal["v2", "v3"]
ALPHABETS: dict[Version, LyricAlphabet] = {"v2": V2_ALPHABET, "v3": V3_ALPHABET}


@dataclass(frozen=True, kw_only=True)
class ModelSizes:
    """The sizes of a released model that its labels depend on."""

    version: Version
    lyric_window: int
    context: int
    hop: int


MODELS = {
    "5b_lyrics": ModelSizes(version="v2", lyric_window=512, context=8192, hop=128),
    "1b_lyrics": ModelSizes(version="v3", lyric_window=384, context=6144, hop=128),
    "5b": ModelSizes(version="v2", lyric_window=0, context=8192, hop=128),
    "upsampler_level_0": ModelSizes(version="v2", lyric_window=0, context=8192, hop=8),
    "upsampler_level_1": ModelSizes(version="v2", lyric_window=0, context=8192, hop=32),
}


def run(case: Path) -> Iterator[Check]:
    """All checks of a folder that holds any of the recorded text files."""
    vocabularies = _vocabularies(case)
    if (records := _read(case, "normalisation")) is not None:
        yield from _normalisation(records)
    if (records := _read(case, "ids")) is not None:
        if vocabularies:
            yield from _ids(records, vocabularies)
        else:
            note = "name look-ups not checked: no artist and genre lists lie beside the case"
            yield Check(name="ids", error=0.0, tolerance=0.0, note=note)
    if (records := _read(case, "labels")) is not None:
        for index, record in enumerate(records):
            yield from _label(f"labels[{index}] {record['model']}", record, vocabularies)
    if (records := _read(case, "lyric_window_rounding")) is not None:
        for index, record in enumerate(records):
            yield from _rounding(f"lyric_window_rounding[{index}]", record)
    if (records := _read(case, "get_starts")) is not None:
        for index, record in enumerate(records):
            total, context = record["total_length"], record["n_ctx"]
            if total >= context:  # shorter songs never reach the recorded function; ours gives them one window
                starts = list(window_starts(total, context, record["hop_length"]))
                yield equal(f"get_starts[{index}] {total}", starts, record["starts"])


def _read(case: Path, name: str) -> Any:
    path = case / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def _vocabularies(case: Path) -> dict[Version, Vocabulary]:
    for folder in (case / "vocab", case / ".." / "vocab"):
        if folder.is_dir():
            return {version: Vocabulary.released(folder, version) for version in ("v2", "v3")}
    return {}


def _normalisation(records: list[dict[str, Any]]) -> Iterator[Check]:
    for index, record in enumerate(records):
        for version, alphabet in ALPHABETS.items():
            name, recorded = f"normalisation[{index}].{version}", record[version]
            tokens = alphabet.encode(record["text"])
            yield equal(f"{name}.clean", alphabet.clean(record["text"]), recorded["clean"])
            yield equal(f"{name}.tokens", list(tokens), recorded["tokens"])
            yield equal(f"{name}.textise", alphabet.decode(tokens), recorded["textise"])


def _ids(records: dict[str, Any], vocabularies: dict[Version, Vocabulary]) -> Iterator[Check]:
    for version, vocabulary in vocabularies.items():
        for index, record in enumerate(records["artists"]):
            found = vocabulary.artist_id_or_unknown(record["name"])
            yield equal(f"artists[{index}].{version}", found, record[version])
        for index, record in enumerate(records["genres"]):
            found = list(vocabulary.genre_ids_or_unknown(record["name"]))
            yield equal(f"genres[{index}].{version}", found, record[version])
    reverse, v2, v3 = records["reverse"], vocabularies["v2"], vocabularies["v3"]
    for version, vocabulary in vocabularies.items():
        for number, name in reverse[f"{version}_artists"].items():
            yield equal(f"reverse.{version}_artists.{number}", vocabulary.artist_name(int(number)), name)
    for number, name in reverse["v3_genres"].items():
        yield equal(f"reverse.v3_genres.{number}", v3.genre_name([int(number)]), name)
    for index, bag in enumerate(reverse["v2_genre_bags"]):
        yield equal(f"reverse.v2_genre_bags[{index}]", v2.genre_name(bag["ids"]), bag["name"])
    yield from _table_sizes(records["table_sizes"], vocabularies)


def _table_sizes(recorded: dict[str, Any], vocabularies: dict[Version, Vocabulary]) -> Iterator[Check]:
    for version, vocabulary in vocabularies.items():
        for kind, names in (("artist", vocabulary.artists), ("genre", vocabulary.genres)):
            numbers = set(dict(names.entries).values())
            table = f"{version}_{kind}"
            yield equal(f"table_sizes.{table}_names", len(names), recorded[f"{table}_names"])
            yield equal(f"table_sizes.{table}_ids", len(numbers), recorded[f"{table}_ids"])
            yield equal(f"table_sizes.max.{table}", max(numbers), recorded["max"][table])
            yield equal(f"table_sizes.has_zero.{table}", 0 in numbers, recorded["has_zero"][table])


def _label(name: str, record: dict[str, Any], vocabularies: dict[Version, Vocabulary]) -> Iterator[Check]:
    sizes, meta = MODELS[record["model"]], record["meta"]
    alphabet = ALPHABETS[sizes.version]
    encoder = LabelEncoder(
        vocabulary=vocabularies.get(sizes.version, _no_names(sizes.version)),
        alphabet=alphabet,
        lyric_window=sizes.lyric_window,
        unknown_is_zero=True,
    )
    labels = Labels(artist=meta["artist"], genre=meta["genre"], lyrics=meta["lyrics"])
    try:
        song = encoder.song(labels)
    except LabelError as error:
        yield equal(f"{name}.error", str(error) if "error" not in record else "refused", "refused")
        return
    if "error" in record:
        yield equal(f"{name}.error", "accepted", "refused")
        return
    if not vocabularies:  # without the lists take the recorded numbers, to check the rest
        _, _, _, artist_id, *numbers = record["y"]
        song = replace(song, artist_id=artist_id, genre_ids=tuple(numbers[: len(song.genre_ids)]))
    yield equal(f"{name}.clean_lyrics", alphabet.clean(meta["lyrics"]), record["clean_lyrics"])
    yield equal(f"{name}.full_tokens_len", len(song.lyric_tokens), record["full_tokens_len"])
    span = SongSpan(
        total_length_samples=meta["total_length"],
        offset_samples=meta["offset"],
        window_length_samples=sizes.context * sizes.hop,
    )
    yield equal(f"{name}.y", list(song.window(span).packed()), record["y"])
    if record["label_window_first_index"] is not None:
        indices = song.lyric_indices(span)
        ends = [record["label_window_first_index"], record["label_window_last_index"]]
        yield equal(f"{name}.label_window", [indices[0], indices[-1]], ends)
    for window in record["windows"]:
        yield from _window(f"{name}.windows.{window['start']}", window, song, span)


def _window(name: str, recorded: dict[str, Any], song: SongTokens, span: SongSpan) -> Iterator[Check]:
    span = replace(span, offset_samples=recorded["offset"])
    indices = song.lyric_indices(span, "float32")
    tokens = song.window(span, "float32").lyric_tokens
    found = {
        "first_index": indices[0],
        "last_index": indices[-1],
        "first_real": next((index for index in indices if index >= 0), None),
        "tokens_head": list(tokens[:8]),
        "tokens_tail": list(tokens[-8:]),
        "tokens_sum": sum(tokens),
        "float64_window_first_index": song.lyric_indices(span, "float64")[0],
    }
    for key, value in found.items():
        yield equal(f"{name}.{key}", value, recorded[key])


def _rounding(name: str, record: dict[str, Any]) -> Iterator[Check]:
    span = SongSpan(
        total_length_samples=record["total_length"],
        offset_samples=record["offset"],
        window_length_samples=record["duration"],
    )
    roundings: tuple[Rounding, ...] = ("float32", "float64")
    for rounding in roundings:
        first = lyric_indices(record["full_tokens_len"], record["n_tokens"], span, rounding)[0]
        yield equal(f"{name}.{rounding}", first, record[f"{rounding}_first_index"])


def _no_names(version: Version) -> Vocabulary:
    unknown = (("unknown", 0),)
    return Vocabulary(
        rule=version,
        artists=NameList(kind="artist", rule=version, entries=unknown),
        genres=NameList(kind="genre", rule=version, entries=unknown),
    )
