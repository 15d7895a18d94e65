"""`python -m tests.parity PATH...`: run every case folder under the paths; exit 1 when one falls short.

A case is known by its content: a `config.json` that names its `kind`, checkpoint files, manifests, or texts.
"""

import argparse
import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.parity.report import Check
from tests.parity.stack import ENGINES

TEXTS = ("normalisation.json", "ids.json", "labels.json", "lyric_window_rounding.json", "get_starts.json")


def kind_of(folder: Path) -> str | None:
    """What kind of case the folder is, or None where it is no case."""
    if any(folder.glob("*.pth.tar")):
        return "checkpoints"
    if any(folder.glob("*.hparams.json")):
        return "manifest"
    if any((folder / name).exists() for name in TEXTS):
        return "text"
    config = folder / "config.json"
    if config.exists():
        return json.loads(config.read_text()).get("kind")
    return None


def find_cases(root: Path) -> Iterator[tuple[str, Path]]:
    """Kind and folder of every case at or below `root`."""
    for folder in sorted([root, *(p for p in root.rglob("*") if p.is_dir())]):
        kind = kind_of(folder)
        if kind is not None:
            yield kind, folder


def run_case(kind: str, folder: Path) -> list[Check] | None:
    """Every check of one case; None where no runner for its kind exists."""
    if importlib.util.find_spec(f"tests.parity.{kind}") is None:
        return None
    return list(importlib.import_module(f"tests.parity.{kind}").run(folder))


def main(arguments: list[str] | None = None) -> int:
    """Run the cases and print, per case, the check that came nearest to its tolerance."""
    parser = argparse.ArgumentParser(prog="python -m tests.parity", description=__doc__)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("-v", "--verbose", action="store_true", help="print every check")
    parser.add_argument("--engine", choices=tuple(ENGINES), default="reference", help="of whole songs")
    options = parser.parse_args(arguments)
    os.environ["JUKEBOX_PARITY_ENGINE"] = options.engine
    failed = total = 0
    for root in options.paths:
        if not root.is_dir():
            print(f"{root} is not a folder; name a folder of parity cases.", file=sys.stderr)
            return 2
        for kind, folder in find_cases(root):
            checks = run_case(kind, folder)
            if checks is None:
                print(f"not run    {folder}: there is no runner for cases of kind {kind!r} yet")
                continue
            total += 1
            failed += not _print_case(folder, checks, options.verbose)
    print(f"{total - failed} passed, {failed} failed")
    return 1 if failed or not total else 0


def _print_case(folder: Path, checks: list[Check], verbose: bool) -> bool:
    short = [check for check in checks if not check.holds]
    verdict = "FALLS SHORT" if short or not checks else "holds"
    worst = max(checks, key=_share, default=None)
    nearest = f"; nearest to its tolerance: {_line(worst)}" if worst is not None else ""
    print(f"{verdict:11s}{folder}: {len(checks) - len(short)} of {len(checks)} checks{nearest}")
    for check in checks if verbose else [c for c in checks if not c.holds or c.note]:
        print(f"    {'ok  ' if check.holds else 'FAIL'} {_line(check)}")
    return bool(checks) and not short


def _share(check: Check) -> float:
    if check.tolerance == 0:
        return 0.0 if check.error == 0 else float("inf")
    return check.error / check.tolerance


def _line(check: Check) -> str:
    note = f" ({check.note})" if check.note else ""
    return f"{check.name}: error {check.error:.3g}, tolerance {check.tolerance:.3g}{note}"


if __name__ == "__main__":
    sys.exit(main())
