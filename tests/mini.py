"""A stand-in for the model that is part of the package: the folder of a small random model, and its `song.yaml`."""

from pathlib import Path

import torch

from jukebox.checkpoints import store
from jukebox.checkpoints.codes import codebook_fingerprint
from jukebox.checkpoints.load import tiny_vqvae
from jukebox.labels.text import V3_ALPHABET
from jukebox.labels.vocabulary import Vocabulary
from jukebox.prior.initialise import new_prior
from tests.sampling import models

NAMES = (("Ada", "waltz"), ("Bo", "march"))
SONG = """\
songs: [{artist: Ada, genre: march, lyrics: la la}]
seconds: 0.02
parallel_windows: 3
levels:
  - {level: 2, temperature: 0.7, top_p: 0.9}
  - {level: 1, hop_fraction: 0.25}
"""


def write_runs(place: Path) -> Path:
    """The exports of four runs, as training leaves them."""
    vqvae = tiny_vqvae()
    store.save(place / "vqvae" / "model", vqvae.state_dict(), vqvae.config, source={})
    vocabulary = Vocabulary.from_songs(NAMES)
    words = {"vocabulary.json": vocabulary.to_json(), "alphabet.json": V3_ALPHABET.to_json()}
    for name, config in zip(("low", "middle", "high"), models.SHORT, strict=True):
        prior = new_prior(config, torch.Generator().manual_seed(config.level))
        source = {"codebooks": codebook_fingerprint(vqvae)}
        store.save(place / name / "model", prior.state_dict(), config, source=source, words=words)
    (place / store.SONG).write_text(SONG)
    return place
