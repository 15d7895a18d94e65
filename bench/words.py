"""Whether words can be made out: a recogniser's choice among ten, of real singing, of its reconstructions, of songs.

The listener is that of the songbook (PocketSphinx; its words stand in docs/songbook.md). Of recordings the times of the
words are those of the score; of generated songs those that the model's alignment head gives (`lyrics.json`), so that a
word which is sung at another time than the head says counts as not heard. By chance one of ten is right.

    python bench/words.py SONGBOOK --songs SESSION ...      # SONGBOOK: a folder of `python -m recipes.songbook render`
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch

from jukebox.audio.io import read
from jukebox.checkpoints.load import load_vqvae
from jukebox.cli.progress import progress
from jukebox.song import sound_of
from jukebox.vqvae.streaming import decode_stream, encode_stream

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # recipes lie beside bench and are not installed
from recipes.songbook.check.listen import CHOICES, HEARING_RATE, Listener, vocabulary
from recipes.songbook.songs.render import FOLDERS
from recipes.songbook.songs.run import read_metadata

RATE = 44_100
BLOCK = 1 << 18


def reconstructed(model: Any, sound: np.ndarray, level: int) -> np.ndarray:
    """Mono sound through the codes of one level."""
    with torch.inference_mode():
        blocks = torch.from_numpy(sound).float()[None].split(BLOCK, 1)
        codes = torch.cat([found[level] for found in encode_stream(model, blocks, (level,))])
        return torch.cat([part[0] for part in decode_stream(model, [codes], level)]).double().numpy()


def generated(session: Path) -> list[tuple[Path, dict[str, Any]]]:
    """The sound of every song of a session that has lyrics, and when they are sung."""
    found = []
    for times in sorted(session.glob("lyrics*.json")):
        sung = json.loads(times.read_text(encoding="utf-8"))
        sound = sound_of(session, f"song{times.stem.removeprefix('lyrics')}")
        lines = [(line["start_s"], line["end_s"], line["words"]) for line in sung["lines"]]
        entry = {
            "lyrics_lines": [(start, end, "") for start, end, _ in lines],
            "lyrics_words": [(w["start_s"], w["end_s"], w["text"]) for _, _, words in lines for w in words],
        }
        found.append((sound, entry))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("songbook", type=Path)
    parser.add_argument("--model", default="mini", help="its VQ-VAE makes the reconstructions (default mini)")
    parser.add_argument("--recordings", type=int, default=8, help="held-out songs of the songbook (default 8)")
    parser.add_argument("--songs", type=Path, nargs="*", default=[], help="folders of `jukebox generate`")
    arguments = parser.parse_args()
    listener, model = Listener(), load_vqvae(arguments.model)
    entries = read_metadata(arguments.songbook)
    others = vocabulary(entries, listener)
    chosen = [entry for entry in entries if entry["split"] == "validation"][: arguments.recordings]
    rows: dict[str, list[int]] = {}

    def listen(name: str, sound: np.ndarray, rate: int, entry: dict[str, Any]) -> None:
        heard = listener.hear(soxr.resample(sound, rate, HEARING_RATE), entry, others, 0)
        row = rows.setdefault(name, [0, 0])
        row[0], row[1] = row[0] + heard.right, row[1] + heard.asked

    def mono(path: Path) -> np.ndarray:
        return read(path, sample_rate=RATE).mean(0).double().numpy()

    with progress("listening", len(chosen), "recordings") as advance:
        for entry in chosen:
            sound = mono(arguments.songbook / FOLDERS["mix"] / entry["stem"])
            listen("the voices alone, as recorded", sound, RATE, entry)
            for level in range(model.config.levels):
                listen(f"the same from codes of level {level}", reconstructed(model, sound, level), RATE, entry)
            advance(1)
    for session in arguments.songs:
        for path, entry in generated(session):
            listen("generated songs", mono(path), RATE, entry)
    print(f"| words of {CHOICES}, by chance {1 / CHOICES:.2f} | right | of | share |\n|---|---|---|---|")
    for name, (right, asked) in rows.items():
        error = (right / asked * (1 - right / asked) / asked) ** 0.5 if asked else float("nan")
        print(f"| {name} | {right} | {asked} | {right / max(asked, 1):.2f} ±{error:.2f} |")


if __name__ == "__main__":
    main()
