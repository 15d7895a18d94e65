"""Everything that is worth measuring on a GPU, in one command of less than ten minutes.

    python bench/gpu.py                           # all parts but tune; gpu.json, gpu.md and gpu.png in $OUT (or here)
    python bench/gpu.py --parts limits,steps      # some of them
    python bench/gpu.py --parts limits,steps --only "dependent|barrier|, 1 slots"     # of them some lines
    python bench/gpu.py --smoke                   # every part with tiny shapes, on a CPU: minutes of an interpreter

Random weights of the released shapes are made on the device; nothing is downloaded, nothing but the results written.
First the machine's own limits, then each part beside them. A part is printed and saved as it ends; what there was no
time or room for is listed as not measured, with what is expected of it: the limit, and the cost of dependent stages.
"""

import argparse
import json
import os
import platform
import re
import sys
import time
from pathlib import Path

import torch

if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")  # before any kernel is imported

from gpu_limits import card_limits
from gpu_limits import rows as limits_part
from gpu_models import Part, cost, songs, windows
from gpu_plot import roofline
from gpu_report import HEAD, PUBLISHED, Result, Setting, line, measured, save
from gpu_steps import rows as steps_part
from gpu_steps import tune, ways
from gpu_vqvae import rows as vqvae_part

from jukebox.cache import cache_folder
from jukebox.engines import KERNELS
from jukebox.sampling.limits import write_limits

PARTS: dict[str, Part] = {
    "limits": limits_part, "steps": steps_part, "ways": ways, "windows": windows, "vqvae": vqvae_part, "cost": cost,
    "songs": songs, "tune": tune,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(name for name in PARTS if name != "tune"), metavar="LIST",
                        help=f"of {', '.join(PARTS)} (default: all but tune)")  # fmt: skip
    parser.add_argument("--only", metavar="PATTERN", help="lines that have this in them (a regular expression)")
    parser.add_argument("--engine", choices=KERNELS, default="fused", help="that writes whole songs (default fused)")
    parser.add_argument("--minutes", type=float, default=9.5, help="that it may take (default 9.5)")
    parser.add_argument("--smoke", action="store_true", help="tiny shapes, every part, also on a CPU")
    parser.add_argument("--calibrate", action="store_true",
                        help="keep the limits of this card for jukebox generate --estimate")  # fmt: skip
    parser.add_argument("--expect", action="store_true", help="measure nothing; list what a --card is expected to do")
    parser.add_argument("--card", choices=tuple(PUBLISHED), default="H200",
                        help="whose published limits stand in for what is not measured (default H200)")  # fmt: skip
    arguments = parser.parse_args()
    names = list(PARTS) if arguments.smoke else arguments.parts.split(",")
    unknown = sorted(set(names) - set(PARTS))
    if unknown:
        sys.exit(f"There is no part {', '.join(unknown)}; the parts are {', '.join(PARTS)}.")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and not (arguments.smoke or arguments.expect):
        sys.exit("There is no CUDA device; --smoke walks through every part, --expect says what a card should do.")
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    facts = {
        "card": card, "torch": torch.__version__, "python": platform.python_version(), "smoke": arguments.smoke,
        "date": time.strftime("%Y-%m-%d"), "published": arguments.card,
    }  # fmt: skip
    setting = Setting(
        device=device, smoke=arguments.smoke, expect=arguments.expect, limits=PUBLISHED[arguments.card],
        ends_s=time.monotonic() + 60 * arguments.minutes, engine=arguments.engine,
    )  # fmt: skip
    folder, results = Path(os.environ.get("OUT", ".")), list[Result]()
    folder.mkdir(parents=True, exist_ok=True)
    print(", ".join(f"{name} {value}" for name, value in facts.items()), flush=True)
    for name in names:
        print(f"\n## {name}\n\n{HEAD}", flush=True)
        for row in PARTS[name](setting):
            if arguments.only and not re.search(arguments.only, row.what):
                continue
            results.append(measured(name, row, setting))
            print(line(results[-1]), flush=True)
        save(folder, facts | {"limits": vars(setting.limits)}, results)
    if arguments.calibrate:
        table = cache_folder() / "gpu_limits.json"
        write_limits(table, card, card_limits(setting))
        print(f"{table}: what this card can do, for jukebox generate --estimate")
    if setting.steps:
        roofline(setting, folder / "gpu.png")
    best = {
        "measured": sum(r.value is not None for r in results),
        "not_measured": sum(r.value is None for r in results),
    }
    print(json.dumps(facts | best | {"limits": vars(setting.limits)}))


if __name__ == "__main__":
    main()
