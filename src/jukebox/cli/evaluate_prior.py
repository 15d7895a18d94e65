"""`jukebox evaluate likelihood` and `alignment`: what a prior expects, and where it looks in the lyrics."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jukebox.cli.progress import progress
from jukebox.cli.recording import place
from jukebox.cli.results import crop_config, parts_of, split_of, write_results
from jukebox.errors import ConfigError, DataError

if TYPE_CHECKING:
    from jukebox.evaluation.contrasts import Contrast
    from jukebox.evaluation.prior_windows import PriorWindows
    from jukebox.prior.prior import Prior


def predict(arguments: argparse.Namespace) -> None:
    """Bits per token, beside n-grams, and what lies cost."""
    import math

    import numpy as np

    from jukebox.checkpoints.load import check_whole
    from jukebox.evaluation import plots
    from jukebox.evaluation.contrasts import evaluate_contrasts, lies
    from jukebox.evaluation.likelihood import evaluate_ngrams, evaluate_prior
    from jukebox.evaluation.precision import evaluate_precisions, parse_rungs

    rungs = parse_rungs(arguments.precision) if arguments.precision is not None else ()
    prior, found, hop_s = _opened(arguments)
    if rungs:
        check_whole(prior.config, arguments.model, "measured in others")
    size, parts = prior.config.codebook_size, parts_of(arguments, prior)
    indices = range(min(arguments.windows, len(found.windows)))
    rows = evaluate_prior(prior, found.windows, indices, batch=arguments.batch, parts=parts, display=progress)
    told = lies(prior.config, found.names, found.alphabet)
    contrasts = evaluate_contrasts(prior, found.windows, indices, rows[0], told, parts=parts, display=progress)
    if arguments.ngram_codes and found.training is not None:
        count = min(len(found.training), math.ceil(arguments.ngram_codes / prior.config.codes_context))
        runs = (np.asarray(found.training.take(i).codes) for i in range(count))
        rows += evaluate_ngrams(runs, found.windows, indices, size, parts=parts, display=progress)
    print(f"{'predicted by':<26}  bits per token      kbit/s")
    for row in rows:
        print(f"{row.name:<26}  {row.mean:7.4f} ±{row.standard_error:.4f}  {row.mean / hop_s / 1000:8.2f}")
    print(f"{'ceiling':<26}  {math.log2(size):7.4f}          {math.log2(size) / hop_s / 1000:8.2f}")
    print(f"Level {prior.config.level}, {len(indices)} windows of {prior.config.codes_context} codes", end="")
    print(f" ({prior.config.codes_context * hop_s:.2f} s), ± standard error over windows.")
    _say_contrasts(contrasts)
    costs = []
    if rungs:
        print(f"{'in fewer bits':<26}  bits per token  more than in float32")
        for cost in evaluate_precisions(
            prior, found.windows, indices, rungs, rows[0],
            training=found.training, batch=arguments.batch, display=progress,
        ):  # fmt: skip
            print(f"{cost.name:<26}  {cost.predicted.mean:14.4f}  {cost.mean:+.5f} ±{cost.standard_error:.5f}")
            costs.append(cost)
    _say_left_out(found)
    results = {
        "level": prior.config.level,
        "windows": len(indices),
        "context": prior.config.codes_context,
        "ceiling_bits": math.log2(size),
        "songs_left_out": [song.key for song in found.left_out],
        "precisions": [
            {"name": cost.name, "more_bits_per_token": cost.mean, "standard_error": cost.standard_error}
            for cost in costs
        ],
        "predictors": [
            {
                "name": row.name,
                "bits_per_token": row.mean,
                "standard_error": row.standard_error,
                "bits_per_second": row.mean / hop_s,
                "by_position": dict(zip(("first_codes", "bits"), row.by_position(), strict=True)),
            }
            for row in rows
        ],
        "contrasts": [
            {"name": row.name, "windows": len(row.differences), "truth_is_better": row.share, "bits": row.mean}
            for row in contrasts
            if len(row.differences)
        ],
    }
    folder = write_results(arguments, results)
    if folder is not None:
        ngrams = [row for row in rows if row.name.endswith("-gram")]
        shown = [row for row in rows if row not in ngrams] + sorted(ngrams, key=lambda row: row.mean)[:1]
        plots.bits_by_position(shown, hop_s, size, folder / "likelihood.png")
    parts.remove()


def align(arguments: argparse.Namespace) -> None:
    """How every head that looks at lyrics follows the words that are sung."""
    import dataclasses

    from jukebox.evaluation import plots
    from jukebox.evaluation.alignment import attention_of, evaluate_alignment, sung_words

    prior, found, hop_s = _opened(arguments)
    lyrics = prior.config.lyrics
    if lyrics is None:
        raise ConfigError(f"{arguments.model} is a prior without lyrics; name one that reads them.")
    parts = parts_of(arguments, prior)
    indices = range(min(arguments.windows, len(found.windows)))
    alignment = evaluate_alignment(prior, found.windows, indices, hop_s, parts=parts, display=progress)
    if not alignment.windows:
        raise DataError(
            f"{arguments.data} knows of no window in which words enough are sung, of {len(indices)}: give lyrics_words "
            "in its metadata, take more --windows or another --split."
        )
    print("layer  head  rank correlation  share of attention  error (s)")
    for row in alignment.heads:
        own = (row.layer, row.head) == (lyrics.alignment_layer, lyrics.alignment_head)
        print(
            f"{row.layer:5d}  {row.head:4d}  {row.correlation:8.3f} ±{row.standard_error:5.3f}"
            f"  {row.share:18.1%}  {row.error_s:9.2f}{'  the alignment head' if own else ''}"
        )
    best = alignment.heads[0]
    print(f"Best: layer {best.layer}, head {best.head}. Means over {alignment.windows} windows of {len(indices)}, ±")
    print("standard error: Spearman's correlation of the times of words, by attention and by the data; the share of")
    print(f"its attention that a word has while sung (evenly spread: {alignment.even_share:.1%}); the median error.")
    _say_left_out(found)
    results: dict[str, Any] = dataclasses.asdict(alignment)
    folder = write_results(arguments, results)
    if folder is not None:
        crop = next(crop for crop in map(found.windows.take, indices) if len(sung_words(crop.sung)) > 1)
        tokens = crop.labels.lyric_tokens
        letters = "".join(found.alphabet.decode([token]) or " " for token in tokens) if found.alphabet else ""
        weights = attention_of(prior, crop)[best.layer][best.head]
        plots.attention(weights, crop.sung, letters.replace("\n", " "), hop_s, folder / "alignment.png")
    parts.remove()


def _opened(arguments: argparse.Namespace) -> "tuple[Prior, PriorWindows, float]":
    """The prior, its windows, and the seconds of a code."""
    from jukebox.checkpoints.load import load_prior
    from jukebox.evaluation.prior_windows import windows_of

    prior = place(load_prior(arguments.model, arguments.level), arguments)
    crops, split = crop_config(arguments, 1), split_of(arguments)
    found = windows_of(prior.config, arguments.model, arguments.data, crops, split, arguments.vqvae)
    return prior, found, found.grid.hops[prior.config.level] / found.grid.sample_rate


def _say_contrasts(contrasts: "Sequence[Contrast]") -> None:
    for row in contrasts:
        if len(row.differences):
            print(
                f"Told {row.name}: the truth has the lower loss on {row.share:.1%} of {len(row.differences)} windows, "
                f"by {row.mean:.4f} bits per token."
            )


def _say_left_out(found: "PriorWindows") -> None:
    if found.left_out:
        print(f"{len(found.left_out)} songs are shorter than a window or of a length that the prior does not know.")
