"""`jukebox data`: from a folder of music to a dataset of sound, and on to a dataset of codes."""

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jukebox import presets
from jukebox.cli.options import in_words_of
from jukebox.cli.progress import progress
from jukebox.errors import ConfigError, DataError

if TYPE_CHECKING:
    from jukebox.data.collection import Collection
    from jukebox.data.prepare import Prepared
    from jukebox.data.summary import Row

_MOST_ROWS = 40
_MOST_SENTENCES = 20


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of `jukebox data`."""
    parser = subparsers.add_parser("data", help="prepare, tokenize and show datasets", description=__doc__)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)

    prepare = actions.add_parser("prepare", help="a folder of music into a dataset; run again, it goes on")
    prepare.add_argument("folder", type=Path, metavar="FOLDER", help="the music: WAV, FLAC, OGG, Opus, MP3, M4A, ...")
    prepare.add_argument("-o", "--output", type=Path, required=True, metavar="DATASET", help="the dataset's own folder")
    prepare.add_argument(
        "--metadata",
        type=Path,
        metavar="FILE",
        help="a .jsonl or .csv file (default: metadata.jsonl or metadata.csv in FOLDER, else the files' own tags)",
    )
    prepare.add_argument("--sample-rate", type=int, default=44_100, metavar="HZ", help="of the model (default 44100)")
    prepare.add_argument("--minimum", type=float, default=3.0, metavar="S", help="leave out shorter ones (default 3)")
    prepare.add_argument(
        "--validation", type=float, default=0.1, metavar="SHARE", help="of the songs, for measuring (default 0.1)"
    )
    prepare.add_argument(
        "--require",
        default="artist,genre",
        metavar="LIST",
        help="fields that a song must have, of artist, genre, lyrics and title (default: artist,genre)",
    )
    prepare.add_argument(
        "--labels-of",
        metavar="MODEL",
        help="use the artists, genres and characters of this model (default: those that occur in the data)",
    )
    _add_workers(prepare)
    prepare.set_defaults(action=_prepare)

    tokenize = actions.add_parser("tokenize", help="a dataset into codes; run again, it goes on")
    tokenize.add_argument("dataset", type=Path, metavar="DATASET", help="a folder that `data prepare` made")
    tokenize.add_argument("-o", "--output", type=Path, required=True, metavar="TOKENS", help="the folder of the codes")
    kinds = "a VQ-VAE: a folder, a .pth.tar file, a released model, tiny, mini (the default)"
    tokenize.add_argument("--model", default=presets.MINI, help=kinds)
    tokenize.add_argument("--device", default="cpu", help="as in cuda:0 (default: cpu, always the same codes)")
    tokenize.add_argument("--loudness", type=float, metavar="LUFS", help="bring every song to this loudness first")
    tokenize.add_argument(
        "--shard-seconds", type=float, default=4 * 3600.0, metavar="S", help="of sound in one file (default: 4 hours)"
    )
    tokenize.add_argument("--ray", metavar="ADDRESS", help='work on this Ray cluster, or "auto"; needs jukebox[ray]')
    _add_workers(tokenize)
    tokenize.set_defaults(action=_tokenize)

    show = actions.add_parser("show", help="what is in a dataset of sound or codes")
    show.add_argument("folder", type=Path, metavar="DATASET")
    show.set_defaults(action=_show)


def _add_workers(parser: argparse.ArgumentParser) -> None:
    cores = os.cpu_count() or 1
    parser.add_argument("--workers", type=int, default=cores, metavar="N", help=f"processes (default: {cores})")


def run(arguments: argparse.Namespace) -> int:
    """Run one action."""
    if getattr(arguments, "workers", 1) < 1:
        raise ConfigError(f"--workers is {arguments.workers}; give a number of processes, 1 or more.")
    arguments.action(arguments)
    return 0


def _prepare(arguments: argparse.Namespace) -> None:
    from jukebox.data.prepare import PrepareConfig, prepare

    values = {
        "sample_rate": arguments.sample_rate,
        "minimum_s": arguments.minimum,
        "validation": arguments.validation,
        "required": [name.strip() for name in arguments.require.split(",") if name.strip()],
        "labels_of": arguments.labels_of,
    }
    options = {"sample_rate": "--sample-rate", "minimum_s": "--minimum", "validation": "--validation"}
    with in_words_of(**options, required="--require"):
        config = PrepareConfig.from_dict(values)
    prepared = prepare(
        arguments.folder,
        arguments.output,
        config,
        metadata=arguments.metadata,
        workers=arguments.workers,
        display=progress,
    )
    _print_tables(prepared.dataset)
    _print_notes(prepared, arguments.output)


def _tokenize(arguments: argparse.Namespace) -> None:
    from jukebox.data.cluster import done_on_cluster
    from jukebox.data.dataset import Dataset
    from jukebox.data.tokenize import TokenizeConfig, tokenize
    from jukebox.data.workers import done_by
    from jukebox.nn.device import usable_device

    values = {
        "model": arguments.model,
        "device": str(usable_device(arguments.device, "--device is")),
        "loudness_lufs": arguments.loudness,
        "shard_s": arguments.shard_seconds,
    }
    with in_words_of(loudness_lufs="--loudness", shard_s="--shard-seconds"):
        config = TokenizeConfig.from_dict(values)
    if arguments.ray is not None:
        run = _with(done_on_cluster, arguments.ray)
    else:
        run = _with(done_by, arguments.workers if config.device == "cpu" else 1)
    tokens = tokenize(Dataset.open(arguments.dataset), arguments.output, config, run=run, display=progress)
    _print_codes(arguments.output)
    print(f"{arguments.output}: {len(tokens.songs)} songs in {len(tokens.shards)} shards")


def _with(done: Callable, where: object) -> Callable:
    return lambda function, tasks: done(function, tasks, where)


def _show(arguments: argparse.Namespace) -> None:
    from jukebox.data import dataset, shards
    from jukebox.data.collection import holds

    if holds(arguments.folder, shards.DESCRIPTION):
        _print_tables(shards.Tokens.open(arguments.folder))
        _print_codes(arguments.folder)
    elif holds(arguments.folder, dataset.DESCRIPTION):
        _print_tables(dataset.Dataset.open(arguments.folder))
    else:
        raise DataError(
            f"{arguments.folder} is no dataset of sound or codes: name a folder that `jukebox data prepare` or "
            "`jukebox data tokenize` has finished."
        )


def _print_codes(folder: Path) -> None:
    from jukebox.data.shards import Tokens, song_codes

    tokens = Tokens.open(folder)
    print(f"codes of {tokens.model} ({tokens.fingerprint}) at {tokens.sample_rate} Hz")
    for level, hop in enumerate(tokens.hops):
        count = sum(song_codes(song.length_samples, tokens.hops, level) for song in tokens.songs)
        print(f"  level {level}: {count:>12,} codes, one for {hop} samples, of {tokens.codebook_sizes[level]}")


def _print_tables(collection: "Collection") -> None:
    from jukebox.data.summary import by_artist, by_genre, total

    _print_table("artist", by_artist(collection))
    _print_table("genre", by_genre(collection))
    _print_table("", [total(collection)])


def _print_table(kind: str, rows: Sequence["Row"]) -> None:
    width = min(40, max(len(row.name) for row in rows))
    print(f"{kind:<{width}}  songs    hours  for validation  with lyrics  timed")
    for row in rows[:_MOST_ROWS]:
        name = row.name if len(row.name) <= width else row.name[: width - 1] + "…"
        held_out = f"{row.validation_songs} ({row.validation_hours:.2f} h)"
        print(
            f"{name:<{width}}  {row.songs:>5}  {row.hours:>7.2f}  {held_out:>14}"
            f"  {row.songs_with_lyrics:>11}  {row.songs_with_times:>5}"
        )
    if len(rows) > _MOST_ROWS:
        left = rows[_MOST_ROWS:]
        print(f"{len(left)} more: {sum(r.songs for r in left)} songs, {sum(r.hours for r in left):.2f} hours")
    print()


def _print_notes(prepared: "Prepared", output: Path) -> None:
    dataset = prepared.dataset
    print(f"{output}: {len(dataset.songs)} songs, {prepared.decoded} decoded now, {len(prepared.skipped)} left out")
    _print_some([f"{skipped.where}: {skipped.reason}" for skipped in prepared.skipped])
    if prepared.skipped:
        print(f"All that was left out is in {output / 'skipped.jsonl'}.")
    for key, count in prepared.clipped.items():
        print(f"Note: {key} had {count} samples beyond full scale, which were clipped.")
    if prepared.dropped_characters:
        found = ", ".join(f"{character!r} ({count})" for character, count in prepared.dropped_characters.items())
        print(f"Note: characters of lyrics that the alphabet cannot spell were dropped: {found}")
    if prepared.unknown_names:
        found = ", ".join(f"{name} ({count} songs)" for name, count in prepared.unknown_names.items())
        print(f"Note: the model does not know, and is told 'unknown' for: {found}")
    if not dataset.of_split("validation"):
        print('Note: no song is for validation: give a larger --validation, or "split" in the metadata.')


def _print_some(sentences: Sequence[str]) -> None:
    for sentence in sentences[:_MOST_SENTENCES]:
        print(f"  {sentence}")
    if len(sentences) > _MOST_SENTENCES:
        print(f"  and {len(sentences) - _MOST_SENTENCES} more")
