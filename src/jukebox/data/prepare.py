"""From a folder of music to a dataset: every file decoded once, every song labelled, everything else listed.

What has been decoded stands in a journal, file by file, so that a run that was killed goes on, and one after which
nothing has changed decodes nothing. The lists are written last, each at once: a dataset is finished or has none.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from jukebox.config import Config
from jukebox.config.base import require
from jukebox.data.collection import Song, write_names, write_songs, write_text
from jukebox.data.dataset import AUDIO, DESCRIPTION, FORMAT, Dataset
from jukebox.data.decode import Decoded, DecodeTask, decode
from jukebox.data.display import Display, unseen
from jukebox.data.journal import Journal
from jukebox.data.labelling import check_labels, dropped_characters, song_of, unknown_names
from jukebox.data.metadata import Entry, Skipped, read_entries
from jukebox.data.names import names_of, own_alphabet
from jukebox.data.workers import done_by
from jukebox.errors import AudioError, DataError
from jukebox.labels.labels import LabelEncoder
from jukebox.labels.vocabulary import Vocabulary

JOURNAL, SKIPPED = "journal.jsonl", "skipped.jsonl"

Record = dict[str, Any]
"""One line of the journal: the source as it was, and what came of it."""

Field = Literal["artist", "genre", "lyrics", "title"]


@dataclass(frozen=True, kw_only=True)
class PrepareConfig(Config, called="the dataset"):
    """How a dataset is made.

    Args:
        sample_rate: of its sound, in Hz: that of the model.
        minimum_s: shorter songs are left out.
        validation: share of the songs that are kept for measuring, chosen by a hash of artist and title: adding songs
            moves none.
        required: fields that a song must have; without the others it is "unknown", or without lyrics.
        labels_of: the model whose artists, genres and characters are used; None for the dataset's own.
    """

    sample_rate: int = 44_100
    minimum_s: float = 3.0
    validation: float = 0.1
    required: tuple[Field, ...] = ("artist", "genre")
    labels_of: str | None = None

    def __post_init__(self) -> None:
        require(self.sample_rate >= 1, self, "sample_rate", "a number of samples per second")
        require(self.minimum_s >= 0, self, "minimum_s", "a number of seconds, 0 or more")
        require(0 <= self.validation <= 1, self, "validation", "a share from 0 to 1")
        known = get_args(Field)
        require(set(self.required) <= set(known), self, "required", f"some of {', '.join(known)}")


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A dataset as it was made.

    decoded: how many files this run decoded; clipped: samples beyond full scale, by song; dropped_characters: those of
    lyrics that the alphabet cannot spell; unknown_names: artists and genres that the vocabulary does not have.
    """

    dataset: Dataset
    skipped: tuple[Skipped, ...]
    decoded: int
    clipped: Mapping[str, int]
    dropped_characters: Mapping[str, int]
    unknown_names: Mapping[str, int]


def prepare(
    folder: Path,
    output: Path,
    config: PrepareConfig,
    *,
    metadata: Path | None = None,
    workers: int = 1,
    display: Display = unseen,
) -> Prepared:
    """Make a dataset, or bring one up to date.

    Args:
        folder: the music.
        output: the dataset's own folder.
        config: how it is made.
        metadata: a .jsonl or .csv file; None for metadata.jsonl or metadata.csv in `folder`, or the files' tags.
        workers: processes that decode.
        display: shows how far the decoding has come.

    Raises:
        DataError: nothing usable is there, or the output cannot be written or is something else.
    """
    _check_output(folder, output)
    names = names_of(config.labels_of) if config.labels_of else None
    entries, skipped = read_entries(folder, metadata, output)
    try:
        (output / AUDIO).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{output} cannot be made ({error.strerror}): name another folder.") from error
    decoder = _Decoder(output, config)
    records, decoded = decoder.records(entries, workers, display)

    songs: list[Song] = []
    for entry in entries:
        try:
            songs.append(_labelled(entry, records[entry.key], config))
        except DataError as error:
            skipped.append(Skipped(where=entry.where, reason=str(error)))
    vocabulary, alphabet = names or (
        Vocabulary.from_songs((song.artist, song.genre) for song in songs),
        own_alphabet(song.lyrics for song in songs),
    )
    encoder = LabelEncoder(vocabulary=vocabulary, alphabet=alphabet, lyric_window=0, unknown_is_zero=True)
    where = {entry.key: entry.where for entry in entries}
    usable = []
    for song in songs:
        try:
            check_labels(song, encoder)
            usable.append(song)
        except DataError as error:
            skipped.append(Skipped(where=where[song.key], reason=str(error)))
    if not usable:
        first = f", for instance {skipped[0].where}: {skipped[0].reason}" if skipped else ""
        raise DataError(f"None of the {len(skipped)} entries of {folder} can be used{first}.")

    description = {"format": FORMAT, "sample_rate": config.sample_rate, "songs": len(usable)}
    description |= {"prepared_with": dataclasses.asdict(config)}
    (output / DESCRIPTION).unlink(missing_ok=True)
    write_songs(output, usable)
    write_names(output, vocabulary, alphabet)
    write_text(output / SKIPPED, "".join(json.dumps(s.__dict__, ensure_ascii=False) + "\n" for s in skipped))
    write_text(output / DESCRIPTION, json.dumps(description, indent=2) + "\n")
    decoder.keep_only(records.values())
    return Prepared(
        dataset=Dataset.open(output),
        skipped=tuple(skipped),
        decoded=decoded,
        clipped={s.key: n for s in usable if (n := records[s.key]["decoded"]["clipped"])},
        dropped_characters=dropped_characters(usable, encoder),
        unknown_names=unknown_names(usable, encoder),
    )


def _labelled(entry: Entry, record: Record, config: PrepareConfig) -> Song:
    if record["refused"] is not None:
        raise DataError(record["refused"])
    return song_of(entry, record["decoded"], config.required, config.validation)


def _check_output(folder: Path, output: Path) -> None:
    if output.resolve() == folder.resolve():
        raise DataError(f"{output} is the folder of the music: name another one for the dataset.")
    if not output.exists() or (output / JOURNAL).is_file():
        return
    # A run that was killed before its first entry leaves an empty folder for sound.
    if not output.is_dir() or list(output.rglob("*")) not in ([], [output / AUDIO]):
        raise DataError(f"{output} exists and is no dataset: name another folder, or remove it.")


class _Decoder:
    """Decodes what is not in the journal yet, and keeps the journal and the sound files together."""

    def __init__(self, output: Path, config: PrepareConfig) -> None:
        self._output, self._rate = output, config.sample_rate
        self._minimum_samples = max(1, round(config.minimum_s * config.sample_rate))
        self._journal = Journal(output / JOURNAL)

    def records(self, entries: Sequence[Entry], workers: int, display: Display) -> tuple[dict[str, Record], int]:
        """What came of every entry's file, by key, and how many files were decoded for it."""
        sources = {entry.key: self._source(entry) for entry in entries}
        known = {_identity(record["source"]): record for record in self._journal.entries()}
        records = {key: known[_identity(source)] for key, source in sources.items() if self._is_done(known, source)}
        waiting = [entry for entry in entries if entry.key not in records]
        total_bytes = sum(sources[entry.key]["bytes"] for entry in waiting)
        with self._journal, display("decoding", total_bytes, "B") as advance:
            for task, result in done_by(_try_to_decode, self._tasks(waiting), workers):
                refused = result if isinstance(result, str) else None
                decoded = None if isinstance(result, str) else dataclasses.asdict(result)
                record = {"source": sources[task.key], "decoded": decoded, "refused": refused}
                self._journal.add(record)
                records[task.key] = json.loads(json.dumps(record))  # as the next run will read it
                advance(sources[task.key]["bytes"])
        return records, len(waiting)

    def keep_only(self, records: Iterable[Record]) -> None:
        """Forget all other files, and remove what was decoded from them."""
        records = sorted(records, key=lambda record: record["source"]["key"])
        self._journal.replace(records)
        used = {f"{record['decoded']['name']}.flac" for record in records if record["decoded"]}
        for path in (self._output / AUDIO).iterdir():
            if path.suffix in (".flac", ".part") and path.name not in used:
                path.unlink()

    def _tasks(self, entries: Sequence[Entry]) -> Iterator[DecodeTask]:
        for entry in entries:
            yield DecodeTask(
                key=entry.key,
                source=entry.path,
                folder=self._output / AUDIO,
                sample_rate=self._rate,
                minimum_samples=self._minimum_samples,
            )

    def _source(self, entry: Entry) -> dict[str, Any]:
        """What tells an unchanged file from a changed one."""
        state = entry.path.stat()
        return {
            "key": entry.key,
            "bytes": state.st_size,
            "modified_ns": state.st_mtime_ns,
            "sample_rate": self._rate,
            "minimum_samples": self._minimum_samples,
        }

    def _is_done(self, known: Mapping[str, Record], source: Record) -> bool:
        record = known.get(_identity(source))
        if record is None or record["refused"] is not None:
            return record is not None
        return (self._output / AUDIO / f"{record['decoded']['name']}.flac").is_file()


def _identity(source: Record) -> str:
    return json.dumps(source, sort_keys=True)


def _try_to_decode(task: DecodeTask) -> Decoded | str:
    """The decoded file, or the sentence that says why it cannot be used."""
    try:
        return decode(task)
    except AudioError as error:
        return str(error).removeprefix(f"{task.source.absolute()} ").removeprefix(f"{task.source} ")
