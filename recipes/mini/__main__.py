"""`python -m recipes.mini STAGE`: one stage after another, from raw data to the weights of mini.

Every stage can be killed and given again: it goes on. Each but `music` is one or two commands of Jukebox, which are
printed.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from jukebox.errors import CheckpointError, JukeboxError
from recipes.mini.collect import collect, collect_voices

HERE = Path(__file__).parent
STAGES = {
    "songs": "sing the scores of the corpus: a songbook",
    "music": "gather the free recordings and the songbook in one folder, its voices alone in another",
    "data": "decode both once",
    "vqvae": "train the VQ-VAE",
    "tokens": "encode everything",
    "top": "train the prior of the top level, which reads lyrics, on the voices",
    "middle": "train the upsampler to the middle level",
    "bottom": "train the upsampler to the bottom level",
    "middle_voices": "go on with the first on the voices",
    "bottom_voices": "go on with the second on the voices",
    "pack": "half precision, all parts in one folder",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one stage; words after its options go to its command, as in `top run.steps=100`."""
    arguments, extra = _parser().parse_known_args(argv)
    try:
        if arguments.stage == "music":
            songs, music, voices = (arguments.work / name for name in ("songbook/songs", "music", "voices"))
            counts = collect(arguments.corpus, songs, music)
            print(f"{music}: {counts['recordings']} recordings, {counts['songs']} songs")
            print(f"{voices}: {collect_voices(songs, voices)} songs")
            return 0
        if arguments.stage == "pack":
            runs = arguments.work / "runs"
            if not runs.is_dir():
                raise CheckpointError(f"{runs} does not exist; train the parts first.")
            for name in ("song.yaml", "glossary.txt"):
                shutil.copyfile(HERE / name, runs / name)
    except JukeboxError as error:
        print(f"mini: {error}", file=sys.stderr)
        return 2
    for command in _commands(arguments.work, arguments.corpus)[arguments.stage]:
        words = [*command, *extra]
        print(" ".join(words), flush=True)
        code = subprocess.run([sys.executable, "-m", *words], check=False).returncode
        if code:
            return code
    return 0


def _commands(work: Path, corpus: Path) -> dict[str, list[list[str]]]:
    """The modules and words of each stage."""
    runs, general = work / "runs", work / "general"
    vqvae = runs / "vqvae" / "model"

    def prior(recipe: str, codes: Path, run: Path, *more: str) -> list[list[str]]:
        words = ["jukebox.cli.main", "train", "prior", str(HERE / f"{recipe}.yaml"), *more]
        return [[*words, f"data.path={codes}", f"vqvae={vqvae}", "-o", str(run)]]

    def on_voices(name: str, level: int) -> list[list[str]]:
        begun = f"finetune.model={general / name / 'model'}"
        return prior("upsampler_voices", voices_codes, runs / name, "--level", str(level), begun)

    def jukebox(*parts: object) -> list[str]:
        return ["jukebox.cli.main", *map(str, parts)]

    def tokenize(data: Path, codes: Path) -> list[str]:
        # Files of some 17 MB: a machine that takes a little at a time can be given them one by one.
        return jukebox("data", "tokenize", data, "-o", codes, "--model", vqvae, "--shard-seconds", 1200)

    music, voices, data, voices_data, codes, voices_codes = (
        work / name for name in ("music", "voices", "data", "voices_data", "codes", "voices_codes")
    )

    songs = ["recipes.songbook", "render", str(corpus / "symbolic"), "-o", str(work / "songbook")]
    sound = f"data.path={data}"
    return {
        "songs": [[*songs, "--hours", "10", "--seed", "1"]],
        "data": [
            jukebox("data", "prepare", music, "-o", data),
            jukebox("data", "prepare", voices, "-o", voices_data),
        ],
        "vqvae": [jukebox("train", "vqvae", HERE / "vqvae.yaml", sound, "-o", runs / "vqvae")],
        "tokens": [tokenize(data, codes), tokenize(voices_data, voices_codes)],
        "top": prior("top", voices_codes, runs / "top"),
        "middle": prior("middle", codes, general / "middle"),
        "bottom": prior("bottom", codes, general / "bottom"),
        "middle_voices": on_voices("middle", 1),
        "bottom_voices": on_voices("bottom", 0),
        "pack": [jukebox("weights", "pack", runs, "-o", work / "mini")],
    }


def _parser() -> argparse.ArgumentParser:
    stages = "\n".join(f"  {name:<8}{what}" for name, what in STAGES.items())
    parser = argparse.ArgumentParser(
        prog="python -m recipes.mini",
        description=f"{__doc__}\nstages:\n{stages}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("-w", "--work", type=Path, default=Path("mini"), help="folder for everything (mini)")
    corpus = "recordings with metadata.jsonl, scores in symbolic/ (corpus)"
    parser.add_argument("--corpus", type=Path, default=Path("corpus"), help=corpus)
    return parser


if __name__ == "__main__":
    sys.exit(main())
