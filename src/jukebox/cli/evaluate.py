"""`jukebox evaluate`: how good a model is, as a table, and with -o as JSON and plots."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jukebox import presets
from jukebox.cli.evaluate_artists import recognise
from jukebox.cli.evaluate_prior import align, predict
from jukebox.cli.progress import progress
from jukebox.cli.recording import add_model_options, chosen_levels, load_model
from jukebox.cli.results import crop_config, parts_of, split_of, write_results
from jukebox.errors import ConfigError, DataError

if TYPE_CHECKING:
    from jukebox.data.dataset import Dataset

SPLITS = ("train", "validation", "all")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of `jukebox evaluate`."""
    parser = subparsers.add_parser("evaluate", help="how good a model is", description=__doc__)
    actions = parser.add_subparsers(title="what", metavar="WHAT", dest="what", required=True)

    reconstruction = _action(actions, "reconstruction", "how close the VQ-VAE's levels come to the sound", _reconstruct)
    reconstruction.add_argument("data", type=Path, metavar="DATASET", help="sound that `data prepare` made")
    reconstruction.add_argument("--segments", type=int, default=1000, metavar="N", help="of 3 s (default: up to 1000)")
    reconstruction.add_argument("--levels", metavar="LIST", help="as in 0,2 (default: all)")

    likelihood = _action(actions, "likelihood", "bits per token of a prior, beside an n-gram", predict)
    _add_windows(likelihood)
    likelihood.add_argument("--batch", type=int, default=1, metavar="N", help="windows at once (default 1)")
    likelihood.add_argument(
        "--ngram-codes", type=int, default=20_000_000, metavar="N", help="to count for the n-grams; 0 leaves them out"
    )
    likelihood.add_argument(
        "--precision",
        metavar="LIST",
        help="what these cost, too: some of bfloat16,int8,int4,calibrated4,cache8",
    )

    alignment = _action(actions, "alignment", "where a prior looks in the lyrics, against known times of words", align)
    _add_windows(alignment)

    codebook = _action(actions, "codebook", "how many codes are used, and how evenly", _count)
    codebook.add_argument("data", type=Path, metavar="DATASET", help="sound or codes")
    codebook.add_argument("--segments", type=int, default=1000, metavar="N", help="of sound, 3 s (default: up to 1000)")

    distribution = _action(
        actions,
        "distribution",
        "Fréchet distance of collections of sound or of reconstructions",
        _compare,
        model=None,
    )
    distribution.add_argument("data", type=Path, metavar="REFERENCE", help="a DATASET of sound, or a folder of files")
    distribution.add_argument("others", type=Path, nargs="*", metavar="OTHER", help="the same, compared with it")
    distribution.add_argument("--clips", type=int, default=1000, metavar="N", help="of 5 s (default: up to 1000)")

    artists = _action(actions, "artists", "whether the artists of generated songs can be heard", recognise, model=None)
    artists.add_argument("data", type=Path, metavar="DATASET", help="recordings, whose artists are learnt")
    artists.add_argument("songs", type=Path, nargs="*", metavar="SONGS", help="folders of `jukebox generate`")
    artists.add_argument("--by", choices=("artist", "genre"), default="artist", help="what is told apart (artist)")
    artists.add_argument("--clips", type=int, default=2000, metavar="N", help="of 5 s, to learn from (up to 2000)")


def _add_windows(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", type=Path, metavar="TOKENS", help="codes, or the DATASET of sound (see --vqvae)")
    parser.add_argument("--level", type=int, metavar="K", help="of the prior (default: the coarsest there is)")
    parser.add_argument("--vqvae", metavar="MODEL", help="encodes a DATASET of sound (default: the model itself)")
    parser.add_argument("--windows", type=int, default=200, metavar="N", help="to measure (default: up to 200)")


def _action(
    actions: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    text: str,
    run: Any,
    model: str | None = presets.MINI,
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=text, description=text)
    add_model_options(parser, default=model)
    parser.add_argument("--split", choices=SPLITS, default="validation", help="which songs (default: validation)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of pieces (default 0)")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="FOLDER",
        help="JSON, plots, and what to go on from after a kill",
    )
    parser.add_argument("--no-plots", action="store_true", help="JSON only")
    parser.set_defaults(run_action=run)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Run one evaluation."""
    for name in ("segments", "windows", "clips", "batch"):
        if getattr(arguments, name, 1) < 1:
            raise ConfigError(f"--{name} is {getattr(arguments, name)}; give a number, 1 or more.")
    if getattr(arguments, "seed", 0) < 0:
        raise ConfigError(f"--seed is {arguments.seed}; give a number, 0 or more.")
    if arguments.output is not None and arguments.output.exists() and not arguments.output.is_dir():
        raise ConfigError(f"--output is {str(arguments.output)!r}, which is a file; name a folder for the results.")
    if arguments.output is not None and not arguments.no_plots:
        from jukebox.evaluation.plots import require_matplotlib

        require_matplotlib()
    arguments.run_action(arguments)
    return 0


def _reconstruct(arguments: argparse.Namespace) -> None:
    import dataclasses

    from jukebox.data.crops import AudioCrops
    from jukebox.evaluation import plots
    from jukebox.evaluation.reconstruction import SEGMENT_S, evaluate_reconstruction, reconstruct, summary

    model = load_model(arguments)
    levels = chosen_levels(arguments, model.config.levels)
    dataset = _dataset(arguments.data, model.config.sample_rate)
    top = model.config.hops[-1]
    length = max(1, round(SEGMENT_S * model.config.sample_rate / top)) * top
    crops = AudioCrops(dataset, crop_config(arguments, length), split_of(arguments))
    indices = range(min(arguments.segments, len(crops)))
    parts = parts_of(arguments, model)
    values = evaluate_reconstruction(model, crops, indices, levels, parts=parts, display=progress)
    print(
        "level  hop  spectral convergence        dB           SI-SDR (dB)      STFT           log-mel     treble (dB)"
    )
    results = {level: summary(found) for level, found in values.items()}
    for level, found in results.items():
        errors = found.standard_errors
        print(
            f"{level:5d}  {model.config.hops[level]:3d}"
            f"  {found.spectral_convergence:8.4f} ±{errors['spectral_convergence']:.4f}"
            f"  {found.spectral_convergence_db:11.2f} ±{errors['spectral_convergence_db']:.2f}"
            f"  {found.si_sdr_db:10.2f} ±{errors['si_sdr_db']:.2f}"
            f"  {found.stft_distance:8.3f} ±{errors['stft_distance']:.3f}"
            f"  {found.log_mel_distance:8.3f} ±{errors['log_mel_distance']:.3f}"
            f"  {found.treble_db:9.2f} ±{errors['treble_db']:.2f}"
        )
    print(f"Means over {len(indices)} segments of {length / model.config.sample_rate:.2f} s, each reconstructed by")
    print(
        "itself, ± standard error; dB: 20 log10 of the mean ratio; treble: consonants and cymbals beside the real ones."
    )
    folder = write_results(
        arguments, {"levels": {str(level): dataclasses.asdict(found) for level, found in results.items()}}
    )
    if folder is not None:
        plots.convergences({level: found[:, 0] for level, found in values.items()}, folder / "reconstruction.png")
        segment = next(reconstruct(model, crops, indices[:1], levels))
        sounds = {f"{segment.crop.song.title}, original": segment.crop.sound}
        sounds |= {f"level {level}": sound for level, sound in segment.estimates.items()}
        plots.spectrograms(sounds, model.config.sample_rate, folder / "spectrograms.png")
    parts.remove()


def _count(arguments: argparse.Namespace) -> None:
    import dataclasses

    from jukebox.data import shards
    from jukebox.data.crops import AudioCrops
    from jukebox.evaluation import plots
    from jukebox.evaluation.codebook_use import count_crops, count_tokens, total_efficiency, use_of

    model = load_model(arguments)
    parts = parts_of(arguments, model)
    if (arguments.data / shards.DESCRIPTION).is_file():
        tokens = shards.Tokens.open(arguments.data)
        tokens.check_made_by(model, arguments.model, "name the model that made the codes")
        counts = count_tokens(tokens, split_of(arguments), progress)
    else:
        dataset = _dataset(arguments.data, model.config.sample_rate)
        top = model.config.hops[-1]
        length = max(1, round(3 * model.config.sample_rate / top)) * top
        crops = AudioCrops(dataset, crop_config(arguments, length), split_of(arguments))
        indices = range(min(arguments.segments, len(crops)))
        counts = count_crops(model, crops, indices, parts=parts, display=progress)
    if not counts[0].sum():
        raise DataError(f"{arguments.data} has no songs for {arguments.split}; choose another --split.")
    uses = [use_of(found) for found in counts]
    print("level  hop         codes  used           usage  entropy (bits)  perplexity  efficiency  kbit/s")
    for level, use in enumerate(uses):
        hop = model.config.hops[level]
        rate = use.entropy_bits * model.config.sample_rate / hop / 1000
        print(
            f"{level:5d}  {hop:3d}  {use.codes:>12,}  {use.used:>4} of {use.size:<5}  {use.used / use.size:6.1%}"
            f"  {use.entropy_bits:14.3f}  {use.perplexity:10.1f}  {use.efficiency:10.1%}  {rate:6.2f}"
        )
    print(f"All levels: {total_efficiency(uses):.1%} of the bits of their codebooks.")
    results = {"levels": [dataclasses.asdict(use) for use in uses], "efficiency": total_efficiency(uses)}
    folder = write_results(arguments, results)
    if folder is not None:
        plots.code_shares(counts, folder / "codebook.png")
    parts.remove()


def _compare(arguments: argparse.Namespace) -> None:
    import dataclasses

    from jukebox.evaluation import plots
    from jukebox.evaluation.collections import Choice, embed_dataset, embed_folder, embed_reconstructions
    from jukebox.evaluation.distribution import EMBEDDING, distance, halves, stack

    if not arguments.others and arguments.model is None:
        raise ConfigError("Nothing is compared with the reference: name other folders, or a --model to reconstruct it.")
    choice = Choice(most=arguments.clips, seed=arguments.seed, split=split_of(arguments))
    model = None if arguments.model is None else load_model(arguments)
    parts = parts_of(arguments, model)
    from jukebox.data import dataset as datasets

    def embed(name: str, path: Path, rate: int | None) -> Any:
        if (path / datasets.DESCRIPTION).is_file():
            return embed_dataset(_dataset(path, rate), choice, progress, parts.within(name))
        return embed_folder(path, rate or 44_100, choice, progress, parts.within(name))

    reference = embed("reference", arguments.data, None if model is None else model.config.sample_rate)
    rate = reference.sample_rate
    found = {str(path): embed(f"other {number}", path, rate) for number, path in enumerate(arguments.others)}
    if model is not None:
        dataset = _dataset(arguments.data, model.config.sample_rate)
        found |= embed_reconstructions(model, dataset, choice, progress, parts.within("reconstructions"))
    first, second = halves(stack(reference.embeddings), reference.songs)
    distances = {"two halves of the reference": distance(first, second)} if min(len(first), len(second)) > 1 else {}
    distances |= {n: distance(stack(reference.embeddings), stack(f.embeddings)) for n, f in found.items()}
    print(f"{'compared with ' + str(arguments.data):<44}  clips  Fréchet distance  extrapolated")
    for name, row in distances.items():
        print(f"{name[-44:]:<44}  {row.clips:5d}  {row.distance:16.3f}  {row.extrapolated:12.3f}")
    print(f"Embedding: {EMBEDDING}; {len(reference.embeddings)} clips of the reference. It hears timbre and dynamics,")
    print("not melody or words; compare these numbers only with each other.")
    results = {
        "embedding": EMBEDDING,
        "reference_clips": len(reference.embeddings),
        "distances": {name: dataclasses.asdict(row) for name, row in distances.items()},
    }
    folder = write_results(arguments, results)
    if folder is not None:
        named = {"reference": stack(reference.embeddings)} | {n: stack(f.embeddings) for n, f in found.items()}
        plots.embedding_maps(named, folder / "distribution.png")
    parts.remove()


def _dataset(path: Path, sample_rate: int | None) -> "Dataset":
    from jukebox.data.dataset import Dataset

    dataset = Dataset.open(path)
    if sample_rate not in (None, dataset.sample_rate):
        raise DataError(
            f"{path} has a sample rate of {dataset.sample_rate} Hz, here {sample_rate} Hz is needed: prepare the data "
            f"with --sample-rate {sample_rate}."
        )
    return dataset
