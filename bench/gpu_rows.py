"""Rows of `bench/gpu.py` in a process of their own, so that none takes the others with it.

A kernel that never ends, a fault after which the card's context is of no use, a process that is killed: each costs the
row in which it happens, and a new process goes on with the next. What a row says it needs, a few times over, is what it
gets. Nothing here needs PyTorch, so that a process which cannot begin is told as well.
"""

import faulthandler
import json
import os
import queue
import re
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

from gpu_report import Limits, Result, Row, Setting

Part = Callable[[Setting], Iterator[Row]]

_MARK = "\x1e"  # before what is said to the process that watches, among whatever libraries print
_UNUSABLE = 3

# Of a row: so many times what it needs, and this; of what lies before and between rows; after the end of all; of a row
# that an interpreter runs.
_TIMES, _MORE_S, _BETWEEN_S, _GRACE_S, _INTERPRETED_S = 3.0, 45.0, 150.0, 15.0, 900.0
_ALIKE = 4


def measured(part: str, row: Row, setting: Setting) -> tuple[Result, bool]:
    """The number of a row, or why there is none; and whether it failed in being measured."""
    if setting.expect:
        return Result.of(part, row, None, row.reason or "no card was there"), False
    if row.measure is None:
        return Result.of(part, row, None, row.reason or "cannot be measured here"), False
    if setting.left_s < (0 if setting.smoke else row.needs_s):
        return Result.of(part, row, None, "no time was left"), False
    try:
        return Result.of(part, row, row.measure(), None), False
    except Exception as error:  # whatever it was, the next row may do
        traceback.print_exc()
        return Result.of(part, row, None, _words(error)), True


def serve(
    parts: Mapping[str, Part], names: Sequence[str], setting: Setting, only: str | None, place: tuple[int, int],
    clean: Callable[[bool], bool],
) -> int:  # fmt: skip
    """Measure from a place on, and tell the process that watches; gives the exit status.

    Args:
        parts: by name.
        names: of those that are wanted.
        setting: of the run.
        only: a pattern of rows.
        place: number of the part and of the row in it to begin with.
        clean: called after each row, told whether it failed; gives whether this process is still of use.
    """
    for number, name in enumerate(names[place[0] :], place[0]):
        for index, row in enumerate(parts[name](setting)):
            if (number, index) < place or (only and not re.search(only, row.what)):
                continue
            limit_s = _INTERPRETED_S if setting.smoke else _TIMES * row.needs_s + _MORE_S
            begun = asdict(Result.of(name, row, None, None))
            _say(kind="begins", place=(number, index), limit_s=limit_s, result=begun)
            faulthandler.dump_traceback_later(limit_s - 2)
            result, failed = measured(name, row, setting)
            faulthandler.cancel_dump_traceback_later()
            steps = [[*key, seconds] for key, seconds in setting.steps.items()]
            _say(kind="found", result=asdict(result), failed=failed, limits=asdict(setting.limits), steps=steps)
            if not clean(failed):
                return _UNUSABLE
    _say(kind="ended")
    return 0


def results(command: Sequence[str], names: Sequence[str], setting: Setting, log: Path) -> Iterator[Result]:
    """The results of all rows, by as many processes as it takes; limits and steps of the setting are kept up.

    Args:
        command: to which `--serve` and where to begin are added; it ends in `serve`.
        names: of the parts.
        setting: of the run.
        log: what processes say on their standard error is added to it.
    """
    place, alike = (0, 0), _Alike()
    while place[0] < len(names):
        begun, limit_s, said, wait_s = None, _BETWEEN_S, None, 0.0
        told = {"place": place, "limits": asdict(setting.limits), "ends_s": setting.ends_s}
        with _Process([*command, "--serve", json.dumps(told)], log) as process:
            while not alike.enough:
                wait_s = max(1.0, min(limit_s, setting.left_s + _GRACE_S)) if begun is not None else limit_s
                said = process.hear(wait_s)
                if said is None or said["kind"] in ("ended", "gone"):
                    break
                result = Result(**said["result"])
                if said["kind"] == "begins":
                    begun, limit_s, place = result, said["limit_s"], (said["place"][0], said["place"][1] + 1)
                    continue
                begun, limit_s = None, _BETWEEN_S
                setting.limits = Limits(**said["limits"])
                setting.steps |= {(name, slots, precision): s for name, slots, precision, s in said["steps"]}
                yield result
                alike.note(result.reason if said["failed"] else None)
        if said is not None and said["kind"] == "ended":
            return
        reason = f"stopped after {wait_s:.0f} s" if said is None else said.get("why", "its process ended")
        if begun is not None:
            yield replace(begun, reason=reason)
            alike.note(reason, times=2)
        lost = begun is None and (said is None or (said["kind"] == "gone" and said["code"] != _UNUSABLE))
        if lost or alike.enough:
            why = "the rows before failed alike" if alike.enough else reason
            yield Result.of(names[place[0]], Row(what="the rest of this part", unit="", measure=None), None, why)
            place, alike = (place[0] + 1, 0), _Alike()


class _Alike:
    """How many rows one after the other failed in the same words: enough of them end their part."""

    def __init__(self) -> None:
        self._words: str | None = None
        self._count = 0

    def note(self, words: str | None, times: int = 1) -> None:
        """A row failed in these words, or did not; one that took its process along, at a higher cost, is two."""
        self._count = 0 if words is None else times + (self._count if words == self._words else 0)
        self._words = words

    @property
    def enough(self) -> bool:
        return self._count >= _ALIKE


class _Process:
    """A process that measures, and what it says."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._log = log.open("ab")
        self._began = self._log.tell()
        self._path, self._said = log, queue.Queue[dict[str, Any]]()
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self._log, stdin=subprocess.DEVNULL, text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        assert self._process.stdout is not None
        threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True).start()

    def __enter__(self) -> "_Process":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            print("a process that the card holds does not end", file=sys.stderr)
        self._log.close()

    def hear(self, seconds: float) -> dict[str, Any] | None:
        """The next that it says, at last that it is gone; None where it says nothing for so long."""
        try:
            return self._said.get(timeout=seconds)
        except queue.Empty:
            return None

    def _read(self, lines: IO[str]) -> None:
        with lines:
            for text in lines:
                if text.startswith(_MARK):
                    self._said.put(json.loads(text[len(_MARK) :]))
        code = self._process.wait()
        last = self._path.read_bytes()[self._began :].decode(errors="replace").strip().splitlines()
        why = f"its process ended with {code}" + (f": {last[-1][:200]}" if last and code != _UNUSABLE else "")
        self._said.put({"kind": "gone", "code": code, "why": why})


def _say(**what: Any) -> None:
    print(_MARK + json.dumps(what), flush=True)


def _words(error: Exception) -> str:
    if type(error).__name__ == "OutOfMemoryError":
        return "the device has no room for it"
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first[:200]}"
