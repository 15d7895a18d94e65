"""Everything that is worth measuring on a GPU, in one command of less than ten minutes.

    python bench/gpu.py                           # all parts but tune; gpu.json, gpu.md and gpu.png in $OUT (or here)
    python bench/gpu.py --parts limits,steps      # some of them
    python bench/gpu.py --parts limits,steps --only "dependent|barrier|, 1 slots"     # of them some lines
    python bench/gpu.py --smoke                   # every part with tiny shapes, on a CPU: minutes of an interpreter

Random weights of the released shapes are made on the device; nothing is downloaded, nothing but the results written.
All kernels are compiled first, by all cores. Then the machine's own limits, then each part beside them. Rows are
measured by a process of their own (`gpu_rows`): one that fails, hangs or takes the card's context with it costs no
other. A row is printed and saved as it ends; what there was no time or room for is listed as not measured, with what is
expected of it: the limit, and the cost of dependent stages. What went wrong is told at length in gpu.log.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # before any kernel is imported

from gpu_limits import card_limits
from gpu_limits import rows as limits_part
from gpu_models import cost, songs, windows
from gpu_plot import roofline
from gpu_report import HEAD, PUBLISHED, Limits, Result, Setting, line, save
from gpu_rows import Part, measured, results, serve
from gpu_steps import rows as steps_part
from gpu_steps import tune, ways
from gpu_vqvae import rows as vqvae_part

from jukebox.cache import cache_folder
from jukebox.engines import KERNELS
from jukebox.sampling.limits import write_limits

# What the targets speak of first.
PARTS: dict[str, Part] = {
    "limits": limits_part, "steps": steps_part, "songs": songs, "windows": windows, "vqvae": vqvae_part, "cost": cost,
    "ways": ways, "tune": tune,
}  # fmt: skip

AHEAD = {"steps", "ways", "songs"}
"""Parts whose kernels are compiled ahead: in about half a minute on 16 cores."""

_COMPILING_S = 180


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", metavar="LIST",
                        help=f"of {', '.join(PARTS)} (default: all but tune; with --smoke all)")  # fmt: skip
    parser.add_argument("--only", metavar="PATTERN", help="lines that have this in them (a regular expression)")
    parser.add_argument("--engine", choices=KERNELS, default="fused", help="that writes whole songs (default fused)")
    parser.add_argument("--minutes", type=float, default=9.0, help="that it may take (default 9)")
    parser.add_argument("--smoke", action="store_true", help="tiny shapes, every part, also on a CPU")
    parser.add_argument("--calibrate", action="store_true",
                        help="keep the limits of this card for jukebox generate --estimate")  # fmt: skip
    parser.add_argument("--expect", action="store_true", help="measure nothing; list what a --card is expected to do")
    parser.add_argument("--card", choices=tuple(PUBLISHED),
                        help="whose published limits stand in for others (default: this, or H200)")  # fmt: skip
    parser.add_argument("--name", default="gpu", help="of the files with results (default gpu)")
    parser.add_argument("--serve", metavar="PLACE", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    usual = [name for name in PARTS if name != "tune" or arguments.smoke]
    names = arguments.parts.split(",") if arguments.parts else usual
    unknown = sorted(set(names) - set(PARTS))
    if unknown:
        sys.exit(f"There is no part {', '.join(unknown)}; the parts are {', '.join(PARTS)}.")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not (arguments.smoke or arguments.expect):
        sys.exit("There is no CUDA device; --smoke walks through every part, --expect says what a card should do.")
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    published = arguments.card or next((name for name in PUBLISHED if name in card), "H200")
    setting = Setting(
        device=device, smoke=arguments.smoke, expect=arguments.expect, limits=PUBLISHED[published],
        ends_s=time.monotonic() + 60 * arguments.minutes, engine=arguments.engine,
    )  # fmt: skip
    if arguments.serve is not None:
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
        told = json.loads(arguments.serve)
        setting.limits, setting.ends_s = Limits(**told["limits"]), told["ends_s"]
        first, row = told["place"]
        return serve(PARTS, names, setting, arguments.only, (first, row), lambda failed: _clean(device, failed))
    facts = {
        "card": card, "torch": torch.__version__, "python": platform.python_version(), "smoke": arguments.smoke,
        "date": time.strftime("%Y-%m-%d"), "published": published,
    }  # fmt: skip
    folder, found = Path(os.environ.get("OUT", ".")), list[Result]()
    folder.mkdir(parents=True, exist_ok=True)
    print(", ".join(f"{name} {value}" for name, value in facts.items()), flush=True)
    log = folder / "gpu.log"
    if device.type == "cuda" and not arguments.smoke and not AHEAD.isdisjoint(names):
        _compile(names, arguments.engine, log)
    command = [sys.executable, __file__, *sys.argv[1:]]
    running = _expected(names, setting, arguments.only) if setting.expect else results(command, names, setting, log)
    part = None
    for result in running:
        if result.part != part:
            part = result.part
            print(f"\n## {part}\n\n{HEAD}", flush=True)
        found.append(result)
        print(line(result), flush=True)
        save(folder, arguments.name, facts | {"limits": vars(setting.limits)}, found)
    if arguments.calibrate:
        table = cache_folder() / "gpu_limits.json"
        write_limits(table, card, card_limits(setting))
        print(f"{table}: what this card can do, for jukebox generate --estimate")
    if setting.steps:
        roofline(setting, folder / f"{arguments.name}.png")
    counts = {
        "measured": sum(r.value is not None for r in found),
        "not_measured": sum(r.value is None for r in found),
    }
    print(json.dumps(facts | counts | {"limits": vars(setting.limits)}))
    return 0 if counts["measured"] or setting.expect else 1


def _expected(names: Sequence[str], setting: Setting, only: str | None) -> Iterator[Result]:
    for name in names:
        for row in PARTS[name](setting):
            if only is None or re.search(only, row.what):
                yield measured(name, row, setting)[0]


def _compile(names: Sequence[str], engine: str, log: Path) -> None:
    """All kernels at once; what was not compiled now is compiled when it is needed."""
    properties = torch.cuda.get_device_properties(0)
    ahead = [
        sys.executable, str(Path(__file__).with_name("gpu_ahead.py")), "--parts", ",".join(names), "--engine", engine,
        "--capability", f"{properties.major}.{properties.minor}", "--multiprocessors",
        str(properties.multi_processor_count),
    ]  # fmt: skip
    with log.open("ab") as errors:
        try:
            said = subprocess.run(ahead, stdout=subprocess.PIPE, stderr=errors, text=True, timeout=_COMPILING_S).stdout
        except subprocess.TimeoutExpired:
            said = f"kernels were not compiled ahead in {_COMPILING_S} s"
        errors.write(said.encode())
    print((said.strip().splitlines() or [f"kernels were not compiled ahead: see {log}"])[-1], flush=True)


def _clean(device: torch.device, failed: bool) -> bool:
    """Leave no memory behind; whether the card can go on with what this process has of it."""
    if device.type != "cuda":
        return True
    try:
        if failed:
            torch.cuda.synchronize(device)
            torch.zeros(1, device=device).add_(1).item()
            if torch.cuda.is_current_stream_capturing():
                return False
        torch.cuda.empty_cache()
    except RuntimeError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
