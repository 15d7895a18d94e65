"""What the parts of `bench/gpu.py` share: the setting of a run, a row of a table, and how results are told."""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(kw_only=True)
class Limits:
    """What the machine can do at most: measured by the first part, until then what is published for the card.

    Args:
        copy_bytes: bytes per second that a large copy reads and writes.
        flops: multiplications and additions per second of large products in bf16.
        flops8: in 8-bit integers.
        float32_flops: in float32 without shortcuts.
        stage_s: of one stage in a chain of dependent ones, in a captured graph.
        early_s: the same where each begins while the one before still runs; assumed until it is measured.
        barrier_s: of one barrier of all multiprocessors; assumed until it is measured.
    """

    copy_bytes: float
    flops: float
    flops8: float
    float32_flops: float
    stage_s: float
    early_s: float = 0.7e-6
    barrier_s: float = 0.7e-6


# performance.md of the project, section 2, and data sheets; used for expectations where nothing was measured.
PUBLISHED = {
    "H200": Limits(copy_bytes=4.3e12, flops=790e12, flops8=1580e12, float32_flops=50e12, stage_s=1.3e-6),
    "H100": Limits(copy_bytes=3.0e12, flops=790e12, flops8=1580e12, float32_flops=50e12, stage_s=1.3e-6),
    "A100": Limits(copy_bytes=1.7e12, flops=250e12, flops8=500e12, float32_flops=19e12, stage_s=1.5e-6),
    "4090": Limits(copy_bytes=0.93e12, flops=150e12, flops8=300e12, float32_flops=60e12, stage_s=1.5e-6),
}


@dataclass(kw_only=True)
class Setting:
    """Of one run of the benchmark.

    Args:
        device: where it runs.
        smoke: with tiny shapes, to walk through the code.
        limits: of the machine.
        ends_s: when time runs out, by `time.monotonic`, which all processes of a machine share.
        engine: of kernels, that writes whole songs.
        expect: nothing is measured, only what is expected is listed.
        steps: seconds of a step that were measured: (prior, slots, precision).
    """

    device: "torch.device"
    smoke: bool
    limits: Limits
    ends_s: float
    engine: str = "fused"
    expect: bool = False
    steps: dict[tuple[str, int, str], float] = field(default_factory=dict)

    @property
    def left_s(self) -> float:
        return self.ends_s - time.monotonic()


@dataclass(kw_only=True)
class Row:
    """One line of a table: what is measured, how, and what it is compared with.

    Args:
        what: in words.
        unit: of the number.
        measure: gives the number; None where it is not to be measured here, and `reason` says why.
        limit: of the machine, in the same unit.
        expected: computed in another way, where that is not the limit.
        higher: whether more is better.
        needs_s: how long it takes, more or less.
        reason: why it is not measured.
    """

    what: str
    unit: str
    measure: Callable[[], float] | None
    limit: float | None = None
    expected: float | None = None
    higher: bool = False
    needs_s: float = 5.0
    reason: str | None = None


@dataclass(kw_only=True)
class Result:
    """A row with its number, or with the reason why there is none."""

    part: str
    what: str
    unit: str
    value: float | None
    limit: float | None
    expected: float | None
    share: float | None
    reason: str | None

    @classmethod
    def of(cls, part: str, row: Row, value: float | None, reason: str | None) -> "Result":
        """That of a row."""
        share = None
        if value and row.limit:
            share = value / row.limit if row.higher else row.limit / value
        return cls(
            part=part, what=row.what, unit=row.unit, value=value, limit=row.limit, expected=row.expected, share=share,
            reason=reason,
        )  # fmt: skip


def line(result: Result) -> str:
    """A row of the table."""

    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.4g}"

    found = number(result.value) if result.value is not None else f"not measured ({result.reason})"
    share = "" if result.share is None else f"{result.share:.0%}"
    return f"| {result.what} | {found} | {result.unit} | {number(result.limit)} | {number(result.expected)} | {share} |"


HEAD = "| what | measured | unit | limit | expected | share of the limit |\n|---|---|---|---|---|---|"


def save(folder: Path, name: str, facts: dict[str, Any], results: Iterable[Result]) -> None:
    """A file of JSON and a table, as far as there are results; written after every row."""
    found = list(results)
    (folder / f"{name}.json").write_text(json.dumps(facts | {"results": [asdict(r) for r in found]}, indent=1) + "\n")
    lines = [f"{name}: {value}" for name, value in facts.items()]
    for part in dict.fromkeys(result.part for result in found):
        lines += ["", f"## {part}", "", HEAD, *(line(result) for result in found if result.part == part)]
    (folder / f"{name}.md").write_text("\n".join(lines) + "\n")
