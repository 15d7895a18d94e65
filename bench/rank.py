"""What `jukebox rank` is worth: the takes that it puts first, heard by judges that know nothing of the model.

Judges of finished takes: the listener of `bench/words.py` (words heard of those that the alignment head says are sung,
less the tenth that chance would give), a classifier of singers that learnt recordings as they are and as they come out
of level 0 (`jukebox evaluate artists`): whether the singer that was asked for comes first, and by how much; and for
loops how much the sound changes in its calmest half second, beside real singing through level 0.

For every song the takes are compared eight at a time, as `jukebox rank` does: the mean of each judge over the first of
them, over all of them, and over the best by that judge itself. Standard errors are over songs.

    python bench/rank.py SONGBOOK DATASET --songs SESSION ... -o FOLDER     # goes on after a kill
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch

from jukebox import pipeline
from jukebox.audio.io import read
from jukebox.audio.spectral import log_mel
from jukebox.cli.progress import progress
from jukebox.data.crops import AudioCrops, CropConfig
from jukebox.data.dataset import Dataset
from jukebox.evaluation.distribution import clip_samples, embed, stack
from jukebox.evaluation.parts import Parts
from jukebox.evaluation.ranking import COUNTED, measured, standings
from jukebox.evaluation.recognition import Recogniser, learn
from jukebox.evaluation.reconstruction import reconstruct
from jukebox.evaluation.takes import Take, TakeMeasures, song_bits
from jukebox.labels.timing import SongSpan
from jukebox.prior.prior import Prior
from jukebox.sampling.model import SongModel
from jukebox.sampling.session import Session
from jukebox.song import sound_of

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # recipes lie beside bench and are not installed
from recipes.songbook.check.listen import CHOICES, HEARING_RATE, Listener, vocabulary
from recipes.songbook.songs.run import read_metadata

RATE = 44_100
AT_ONCE, DRAWS, LISTENINGS = 8, 300, 3
JUDGES = ("words heard", "share of words", "singer right", "singer's lead", "calmest half second")
MEASURES = ("sung", "variety", "bits")
SILENT = 0.02
"""Half seconds of real singing that change less are pauses."""
_HALF_SECOND, _FRAMES = 43, 4


def changes(sound: np.ndarray) -> np.ndarray:
    """How much the log-mel spectrum changes in 46 ms, mean of every half second."""
    spectrum = log_mel(torch.from_numpy(sound).float()[None], RATE, 2048, 64)[0].double().numpy()
    moved = np.abs(spectrum[:, _FRAMES:] - spectrum[:, :-_FRAMES]).mean(0)
    return moved[: len(moved) // _HALF_SECOND * _HALF_SECOND].reshape(-1, _HALF_SECOND).mean(1)


def real_clips(data: Dataset, model: Any, split: Any, count: int, parts: Parts) -> dict[str, Any]:
    """Clips of real singing, as they are and through level 0: embeddings, names, and changes of the latter."""
    length = clip_samples(RATE, model.config.hops[-1])
    crops = AudioCrops(data, CropConfig(length_samples=length, seed=0, shift=False, blend="mean"), split)
    names, plain, coded, moved = [], [], [], []

    def heard(index: int) -> np.ndarray:
        (segment,) = reconstruct(model, crops, [index], [0])
        estimate = segment.estimates[0]
        both = [embed(segment.crop.sound, RATE), embed(estimate, RATE), changes(estimate[0].double().numpy())]
        return np.concatenate(both)

    features = len(embed(torch.zeros(1, length), RATE))
    with progress(f"{split} clips", min(count, len(crops)), "clips") as advance:
        for index in range(min(count, len(crops))):
            found = parts.get(f"{split} {index}", partial(heard, index))
            names.append(crops.take(index).song.artist)
            plain.append(found[:features])
            coded.append(found[features : 2 * features])
            moved.append(found[2 * features :])
            advance(1)
    return {"names": names, "plain": plain, "coded": coded, "changes": np.concatenate(moved)}


class Judges:
    """Everything that hears a finished take."""

    def __init__(self, songbook: Path, recogniser: Recogniser) -> None:
        self.listener, self.recogniser = Listener(), recogniser
        self.others = vocabulary(read_metadata(songbook), self.listener)

    def hear(self, session: Path, name: str, artist: str) -> np.ndarray:
        """The values of `JUDGES` of a take."""
        sound = read(sound_of(session, name), sample_rate=RATE).mean(0).double().numpy()
        clip = torch.from_numpy(sound[: clip_samples(RATE)]).float()[None]
        scores = embed(clip, RATE) @ self.recogniser.weights + self.recogniser.offsets
        asked_for = self.recogniser.names.index(artist)
        lead = float(scores[asked_for] - np.delete(scores, asked_for).max())
        lines = json.loads((session / f"lyrics{name.removeprefix('song')}.json").read_text(encoding="utf-8"))["lines"]
        entry = {
            "lyrics_lines": [(line["start_s"], line["end_s"], "") for line in lines],
            "lyrics_words": [(w["start_s"], w["end_s"], w["text"]) for line in lines for w in line["words"]],
        }
        resampled = soxr.resample(sound, RATE, HEARING_RATE)
        heard = [self.listener.hear(resampled, entry, self.others, seed) for seed in range(LISTENINGS)]
        right, asked = float(np.mean([each.right for each in heard])), heard[0].asked
        return np.array(
            [
                right - asked / CHOICES,
                right / asked if asked else 0.0,
                float(lead > 0),
                lead,
                float(changes(sound).min()),
            ]
        )


Heard = tuple[TakeMeasures, np.ndarray, float]
"""Measures of a take, what the judges say, and `artist_bits`."""

Songs = dict[tuple[str, int], list[Heard]]
"""The takes of each song."""


def artist_bits(prior: Prior, model: SongModel, take: Take, bits: float) -> np.ndarray:
    """Bits that a code costs more where another artist is told, the mean of all that the model knows."""
    words, context = model.level(model.top).words, prior.config.codes_context
    assert words is not None
    others = {number for _, number in words.vocabulary.artists.entries} - {0, take.tokens.artist_id}

    def span(start: int) -> SongSpan:
        return take.item.span(model.grid, model.top, start, context)

    told = [replace(take.tokens, artist_id=other) for other in sorted(others)]
    return np.array(np.mean([song_bits(prior, take.codes, each, span).mean() for each in told]) - bits)


def chosen(takes: list[Heard], counted: tuple[str, ...]) -> np.ndarray:
    """Of draws of `AT_ONCE` takes: [the first by score, all, the best by each judge] x judges, means."""
    random, found = np.random.default_rng(0), []
    for _ in range(DRAWS):
        drawn = [takes[index] for index in random.choice(len(takes), min(AT_ONCE, len(takes)), replace=False)]
        judged = np.stack([judgement for _, judgement, _ in drawn])
        scores = standings([measures for measures, _, _ in drawn], counted)
        found.append([judged[int(np.argmax(scores))], judged.mean(0), judged.max(0)])
    return np.mean(found, 0)


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks within a song, centred; equal values share theirs."""
    found = (values[:, None] > values).sum(1) + (values[:, None] == values).sum(1) / 2
    return found - found.mean()


def correlations(songs: Songs, value: Callable[[Heard], float]) -> list[float]:
    """Of a measure with every judge, by ranks within songs."""
    found = []
    for column in range(len(JUDGES)):
        pairs = [
            (ranks(np.array([value(take) for take in takes])), ranks(np.array([take[1][column] for take in takes])))
            for takes in songs.values()
        ]
        one, other = (np.concatenate(side) for side in zip(*pairs, strict=True))
        scale = np.linalg.norm(one) * np.linalg.norm(other)
        found.append(float(one @ other / scale) if scale > 0 else 0.0)
    return found


def report(songs: Songs) -> dict[str, Any]:
    """Print the tables."""
    takes = sum(map(len, songs.values()))
    print(f"{takes} takes of {len(songs)} songs.\n")
    print("| by ranks within songs, with | " + " | ".join(JUDGES) + " |\n|---" + "|---" * len(JUDGES) + "|")
    tried: dict[str, Callable[[Heard], float]] = {
        name: lambda take, name=name: getattr(take[0], name) for name in MEASURES
    }
    for name, value in (tried | {"artist_bits": lambda take: take[2]}).items():
        found = correlations(songs, value)
        print(f"| {name} | " + " | ".join(f"{each:+.2f}" for each in found) + " |")
    print(f"\nOne correlation has a standard error of {1 / (takes - len(songs)) ** 0.5:.2f}.\n")
    print(f"| of {AT_ONCE} takes | " + " | ".join(JUDGES) + " |\n|---" + "|---" * len(JUDGES) + "|")
    found = {"score": np.stack([chosen(each, COUNTED) for each in songs.values()])}
    for name in MEASURES:
        found[f"{name} alone"] = np.stack([chosen(each, (name,)) for each in songs.values()])

    def row(label: str, values: np.ndarray) -> None:
        error = values.std(0, ddof=1) / len(values) ** 0.5
        print(
            f"| {label} | " + " | ".join(f"{m:.2f} ±{e:.2f}" for m, e in zip(values.mean(0), error, strict=True)) + " |"
        )

    row("all", found["score"][:, 1])
    for name, values in found.items():
        row(f"first by {name}", values[:, 0])
        row(f"first by {name}, more than all", values[:, 0] - values[:, 1])
    row("best possible by each judge", found["score"][:, 2])
    means = {name: values.mean(0).tolist() for name, values in found.items()}
    return {"takes": takes, "songs": len(songs), "judges": JUDGES, "first, all, best": means}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("songbook", type=Path)
    parser.add_argument("data", type=Path, help="a dataset of the same singers")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--songs", type=Path, nargs="+", required=True, help="finished sessions of `jukebox generate`")
    parser.add_argument("--clips", type=int, default=150, help="real clips that are learnt (default 150)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="keeps what has been heard")
    arguments = parser.parse_args()
    jukebox, parts = pipeline.load(arguments.model, "cpu"), Parts(arguments.output)
    model, data = jukebox.model, Dataset.open(arguments.data)
    prior = cache(partial(jukebox.reader, model.top))
    learnt = real_clips(data, model.vqvae, "train", arguments.clips, parts)
    recogniser = learn(stack(learnt["plain"] + learnt["coded"]), learnt["names"] * 2)
    held_out = real_clips(data, model.vqvae, "validation", arguments.clips // 3, parts)
    share = recogniser.share(stack(held_out["coded"]), held_out["names"])
    print(f"The classifier knows {share:.2f} of {len(held_out['names'])} real clips through level 0.")
    sung = learnt["changes"][learnt["changes"] > SILENT]
    print(f"Real half seconds that are no pauses: a hundredth changes less than {np.quantile(sung, 0.01):.3f}.")
    judges, songs = Judges(arguments.songbook, recogniser), Songs()
    for folder in arguments.songs:
        session = Session(folder)
        request, fingerprint = session.request(), jukebox.fingerprint()
        takes = measured(session, model, fingerprint, prior, progress)
        # Noise is that of a take: the same labels twice are the same song.
        takes = [take for take in takes if request.songs.index(request.songs[take[0].song]) == take[0].song]
        with progress("listening", len(takes), "takes") as advance:
            for take, measures in takes:
                name, artist = take.item.name, request.songs[take.song].artist
                hear = partial(judges.hear, folder, name, artist)
                judged = parts.get(f"heard {folder.name} {name}", hear)
                told = partial(artist_bits, prior(), model, take, measures.bits)
                by_artist = float(parts.get(f"artist {folder.name} {name}", told))
                songs.setdefault((str(folder), take.song), []).append((measures, judged, by_artist))
                advance(1)
    print(json.dumps(report(songs)))


if __name__ == "__main__":
    main()
