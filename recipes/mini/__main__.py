"""`python -m recipes.mini STAGE`: one stage after another, from raw data to the weights of mini.

Every stage can be killed and given again: it goes on. Each but `music` is a command of Jukebox, which is printed.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from jukebox.errors import CheckpointError, JukeboxError
from recipes.mini.collect import collect

HERE = Path(__file__).parent
STAGES = {
    "songs": "sing the scores of the corpus: a songbook",
    "music": "gather the free recordings and the songbook in one folder",
    "data": "decode them once",
    "vqvae": "train the VQ-VAE",
    "tokens": "encode everything",
    "top": "train the prior of the top level, which reads lyrics",
    "middle": "train the upsampler to the middle level",
    "bottom": "train the upsampler to the bottom level",
    "pack": "half precision, all parts in one folder",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one stage; words after its options go to its command, as in `top run.steps=100`."""
    arguments, extra = _parser().parse_known_args(argv)
    try:
        if arguments.stage == "music":
            counts = collect(arguments.corpus, arguments.work / "songbook" / "songs", arguments.work / "music")
            print(f"{arguments.work / 'music'}: {counts['recordings']} recordings, {counts['songs']} songs")
            return 0
        if arguments.stage == "pack":
            runs = arguments.work / "runs"
            if not runs.is_dir():
                raise CheckpointError(f"{runs} does not exist; train the parts first.")
            shutil.copyfile(HERE / "song.yaml", runs / "song.yaml")
    except JukeboxError as error:
        print(f"mini: {error}", file=sys.stderr)
        return 2
    words = [*_commands(arguments.work, arguments.corpus)[arguments.stage], *extra]
    print(" ".join(words), flush=True)
    return subprocess.run([sys.executable, "-m", *words], check=False).returncode


def _commands(work: Path, corpus: Path) -> dict[str, list[str]]:
    """The module and words of each stage."""
    runs, codes, data = work / "runs", work / "codes", work / "data"
    vqvae = runs / "vqvae" / "model"

    def prior(name: str) -> list[str]:
        recipe = ["jukebox.cli.main", "train", "prior", str(HERE / f"{name}.yaml")]
        return [*recipe, f"data.path={codes}", f"vqvae={vqvae}", "-o", str(runs / name)]

    def jukebox(*parts: object) -> list[str]:
        return ["jukebox.cli.main", *map(str, parts)]

    songs = ["recipes.songbook", "render", str(corpus / "symbolic"), "-o", str(work / "songbook")]
    return {
        "songs": [*songs, "--hours", "3", "--seed", "1"],
        "data": jukebox("data", "prepare", work / "music", "-o", data),
        "vqvae": jukebox("train", "vqvae", HERE / "vqvae.yaml", f"data.path={data}", "-o", runs / "vqvae"),
        # Files of some 17 MB: a machine that takes a little at a time can be given them one by one.
        "tokens": jukebox("data", "tokenize", data, "-o", codes, "--model", vqvae, "--shard-seconds", "1200"),
        **{name: prior(name) for name in ("top", "middle", "bottom")},
        "pack": jukebox("weights", "pack", runs, "-o", work / "mini"),
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
