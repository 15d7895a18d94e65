"""A small dataset and its codes, made on the spot."""

import dataclasses
import json
from pathlib import Path

import torch

from jukebox.checkpoints import store
from jukebox.checkpoints.load import tiny_vqvae
from jukebox.data.collection import Song
from jukebox.data.dataset import Dataset
from jukebox.data.prepare import PrepareConfig, prepare
from tests.audio.sounds import chord, save

RATE = 8000
CONFIG = PrepareConfig(sample_rate=RATE, minimum_s=0.5, validation=0.3)


def music(folder: Path, songs: int = 6, seconds: float = 2.0) -> Path:
    """Songs of different lengths, every second one stereo, with metadata; song 1 is silent in its middle."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for k in range(songs):
        sound = chord(1 + k % 2, int((seconds + k / 4) * RATE) + 13 * k, RATE, seed=k)
        if k == 1:
            sound[:, RATE // 2 : 3 * RATE // 2 + 700] = 0
        save(folder / f"song {k}.flac", sound, RATE)
        fields = {"path": f"song {k}.flac", "title": f"Song {k}", "artist": f"Artist {k % 3}", "genre": "tests"}
        lines.append(fields | ({"lyrics": "la di da\ndum dum"} if k % 2 else {}))
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def dataset(tmp: Path, songs: int = 6) -> Dataset:
    return prepare(music(tmp / "music", songs), tmp / "dataset", CONFIG).dataset


def originals(tmp: Path, key: str) -> torch.Tensor:
    import soundfile

    rows, _ = soundfile.read(tmp / "music" / key, dtype="float32", always_2d=True)
    return torch.from_numpy(rows.T.copy())


def save_tiny(folder: Path) -> None:
    """The tiny VQ-VAE with the sample rate of these songs."""
    model = tiny_vqvae()
    store.save(folder, model.state_dict(), dataclasses.replace(model.config, sample_rate=RATE), source={})


def some_song() -> Song:
    return Song(
        key="a.flac", title="T", artist="A", genre="G", lyrics="", split="train", length_samples=5000, channels=1,
        name="a", digest="0", peak=0.5, loudness_lufs=None,
    )  # fmt: skip
