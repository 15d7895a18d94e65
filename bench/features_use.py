"""What pooled features of a prior are good for: a plain classifier names the artists of clips it has not learnt from.

Clips of a dataset's training songs, as many of each artist, teach ridge regression (standardised; its strength is the
best of a few when a sixth of the titles is left out) and centroids; clips of its validation songs are named. For each
layer the mean of its frames, as `jukebox features --mean` gives it, beside the mean of 128 log-mel bands over the same
seconds. Chance is the share of the commonest artist among the clips that are named.

    python bench/features_use.py DATASET --model mini --layers 0,1,2,3,4,5,6,7,8 -o FOLDER

The last line on stdout is JSON. Features are kept in FOLDER, so that a run that is killed goes on.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from jukebox.audio.io import read
from jukebox.audio.spectral import log_mel
from jukebox.checkpoints.files import replacing
from jukebox.data.collection import Song
from jukebox.data.dataset import AUDIO, Dataset
from jukebox.features.extractor import FeatureExtractor

STRENGTHS, FOLDS = 10.0 ** np.arange(-1, 6), 6

Clip = tuple[Song, int]
"""A song, and the second at which the clip begins."""


def clips_of(dataset: Dataset, seconds: float, most: int) -> dict[str, list[Clip]]:
    """The first clip of `most` training songs of each artist, and all whole ones of the validation songs."""
    found: dict[str, list[Clip]] = {"train": [], "validation": []}
    taken: dict[str, int] = defaultdict(int)
    for song in dataset.songs:
        whole = int(song.length_samples / dataset.sample_rate / seconds)
        if song.split == "validation":
            found["validation"] += [(song, round(index * seconds)) for index in range(min(whole, 3))]
        elif whole and taken[song.artist] < most:
            taken[song.artist] += 1
            found["train"].append((song, 0))
    return found


def features_of(extractor: FeatureExtractor, dataset: Dataset, clip: Clip, seconds: float) -> dict[str, np.ndarray]:
    """Pooled features of each layer and of the spectrum."""
    song, start = clip
    sound = read(dataset.folder / AUDIO / f"{song.name}.flac", start_s=start, duration_s=seconds)
    mono = sound.mean(0, keepdim=True)
    mono = mono / mono.abs().max()
    mel = log_mel(mono, dataset.sample_rate, 2048, 128)[0].mean(-1)
    return {f"layer {n}": values.numpy() for n, values in extractor(mono).items()} | {"log-mel": mel.numpy()}


def ridge(x: np.ndarray, y: np.ndarray, test: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The class of each row of `test`, from rows `x` of classes `y`; `groups` are the titles of the rows."""
    folds = np.unique(groups, return_inverse=True)[1] % FOLDS
    right = np.zeros(len(STRENGTHS))
    for index, strength in enumerate(STRENGTHS):
        for fold in range(FOLDS):
            held = folds == fold
            right[index] += (_ridge(x[~held], y[~held], x[held], strength) == y[held]).sum()
    # The strongest of the best.
    return _ridge(x, y, test, STRENGTHS[len(right) - 1 - right[::-1].argmax()])


def _ridge(x: np.ndarray, y: np.ndarray, test: np.ndarray, strength: float) -> np.ndarray:
    mean, deviation = x.mean(0), np.maximum(x.std(0), 1e-9)
    x, test = (x - mean) / deviation, (test - mean) / deviation
    target = np.eye(y.max() + 1)[y]
    share = target.mean(0)
    weights = np.linalg.solve(x @ x.T + strength * np.eye(len(x)), target - share)
    return (test @ x.T @ weights + share).argmax(1)


def centroid(x: np.ndarray, y: np.ndarray, test: np.ndarray, _: np.ndarray) -> np.ndarray:
    """The class whose mean is nearest, in standardised features."""
    mean, deviation = x.mean(0), np.maximum(x.std(0), 1e-9)
    x, test = (x - mean) / deviation, (test - mean) / deviation
    centres = np.stack([x[y == each].mean(0) for each in range(y.max() + 1)])
    return ((test[:, None] - centres) ** 2).sum(-1).argmin(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--layers", default="0,1,2,3,4,5,6,7,8")
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--songs", type=int, default=24, help="training songs of each artist")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    dataset = Dataset.open(arguments.dataset)
    layers = tuple(map(int, arguments.layers.split(",")))
    extractor = FeatureExtractor.load(arguments.model, layers=layers, mean=True)
    clips = clips_of(dataset, arguments.seconds, arguments.songs)
    artists = sorted({song.artist for song in dataset.songs})
    rows: dict[str, dict[str, list[np.ndarray]]] = {split: defaultdict(list) for split in clips}
    for split, some in clips.items():
        for clip in some:
            path = arguments.output / f"{clip[0].name}.{clip[1]}.npz"
            if not path.is_file():
                found = features_of(extractor, dataset, clip, arguments.seconds)
                with replacing(path) as temporary, temporary.open("wb") as file:
                    np.savez(file, **{name.replace(" ", "_"): values for name, values in found.items()})
            with np.load(path) as kept:
                for name in kept.files:
                    rows[split][name.replace("_", " ")].append(kept[name].astype(np.float64))
    truth = {split: np.array([artists.index(song.artist) for song, _ in some]) for split, some in clips.items()}
    named, titles = truth["validation"], np.array([song.title for song, _ in clips["train"]])
    chance = np.bincount(named).max() / len(named)
    print(
        f"{len(truth['train'])} clips of {arguments.seconds:g} s to learn from, {len(named)} of "
        f"{len({song.key for song, _ in clips['validation']})} other songs to name, {len(artists)} artists; chance "
        f"{chance:.2f}"
    )
    print("| features | numbers | ridge | nearest centroid |\n|---|---|---|---|")
    results = {}
    for name, learnt in rows["train"].items():
        x, test = np.stack(learnt), np.stack(rows["validation"][name])
        found = {
            way.__name__: float((way(x, truth["train"], test, titles) == named).mean()) for way in (ridge, centroid)
        }
        print(f"| {name} | {x.shape[1]} | {found['ridge']:.2f} | {found['centroid']:.2f} |")
        results[name] = found
    print(json.dumps({"chance": chance, "clips": len(named), "accuracy": results}))


if __name__ == "__main__":
    main()
