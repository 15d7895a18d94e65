"""A row of the GPU benchmark that fails, dies, hangs or spoils the card's context costs no other row."""

import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

BENCH = Path(__file__).parents[2] / "bench"

# Stands for `bench/gpu.py --serve`: parts whose rows go wrong in every way, in a process without PyTorch.
PROGRAM = """
import json, os, signal, sys, time
sys.path.insert(0, {bench!r})
import gpu_rows
from gpu_report import Limits, Row, Setting

gpu_rows._TIMES, gpu_rows._MORE_S = 1.0, 0.0

def rows(*measures):
    def part(setting):
        for index, measure in enumerate(measures):
            yield Row(what=f"row {{index}}", unit="s", measure=measure, limit=1.0, needs_s=LIMIT_S)
    return part

LIMIT_S = 3.0
spoilt = False

def fine():
    assert not spoilt, "measured with a context that is of no use"
    return 2.0

def fail():
    raise ValueError("no\\nsuch thing")

def spoil():
    global spoilt
    spoilt = True
    raise RuntimeError("CUDA error: an illegal memory access")

def die():
    print("the last words", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

def broken(setting):
    yield from rows(fine)(setting)
    raise KeyError("before a row")

def learn(setting):
    def measure():
        setting.limits.flops = 7.0
        setting.steps["prior", 4, "bf16"] = 0.5
        return 1.0
    yield Row(what="learns", unit="s", measure=measure)

PARTS = {{
    "many": rows(fine, fail, fine, die, spoil, fine, lambda: time.sleep(60), fine),
    "learn": learn, "broken": broken, "alike": rows(*6 * [fail]), "dead": rows(*4 * [die]),
    "end": rows(fine),
}}
told = json.loads(sys.argv[-1])
setting = Setting(device=None, smoke=False, limits=Limits(**told["limits"]), ends_s=told["ends_s"])
place = tuple(told["place"])
sys.exit(gpu_rows.serve(PARTS, list(PARTS), setting, None, place, lambda failed: not spoilt))
"""


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCH))
    import gpu_report
    import gpu_rows

    return SimpleNamespace(report=gpu_report, rows=gpu_rows)


def test_every_row_is_told_of_whatever_happens(bench: Any, tmp_path: Path) -> None:
    program, log = tmp_path / "program.py", tmp_path / "gpu.log"
    program.write_text(PROGRAM.format(bench=str(BENCH)))
    setting = bench.report.Setting(
        device=None, smoke=False, limits=replace(bench.report.PUBLISHED["H200"]), ends_s=time.monotonic() + 600
    )
    names = ["many", "learn", "broken", "alike", "dead", "end"]
    found = list(bench.rows.results([sys.executable, str(program)], names, setting, log))
    told = [(each.part, each.what, each.value if each.reason is None else each.reason) for each in found]
    assert told == [
        ("many", "row 0", 2.0),
        ("many", "row 1", "ValueError: no"),
        ("many", "row 2", 2.0),
        ("many", "row 3", "its process ended with -9: the last words"),
        ("many", "row 4", "RuntimeError: CUDA error: an illegal memory access"),
        ("many", "row 5", 2.0),
        ("many", "row 6", "stopped after 3 s"),
        ("many", "row 7", 2.0),
        ("learn", "learns", 1.0),
        ("broken", "row 0", 2.0),
        ("broken", "the rest of this part", "its process ended with 1: KeyError: 'before a row'"),
        *(("alike", f"row {index}", "ValueError: no") for index in range(4)),
        ("alike", "the rest of this part", "the rows before failed alike"),
        *(("dead", f"row {index}", "its process ended with -9: the last words") for index in range(2)),
        ("dead", "the rest of this part", "the rows before failed alike"),
        ("end", "row 0", 2.0),
    ]
    assert found[0].share == 0.5
    assert setting.limits.flops == 7.0
    assert setting.steps == {("prior", 4, "bf16"): 0.5}
    assert "no\nsuch thing" in log.read_text()  # at length


def test_a_process_that_cannot_begin_is_told_for_every_part(bench: Any, tmp_path: Path) -> None:
    setting = bench.report.Setting(
        device=None, smoke=False, limits=bench.report.PUBLISHED["H200"], ends_s=time.monotonic() + 600
    )
    command = [sys.executable, "-c", "raise SystemExit('no module of that name')"]
    found = list(bench.rows.results(command, ["a", "b"], setting, tmp_path / "gpu.log"))
    assert [(each.part, each.reason) for each in found] == [
        (part, "its process ended with 1: no module of that name") for part in "ab"
    ]
