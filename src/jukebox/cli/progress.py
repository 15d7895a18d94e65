"""Progress on stderr: a bar with rate and time left on a terminal, a line now and then elsewhere.

Nothing is shown for work that takes less than a second.
"""

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

_PATIENCE_S = 1.0
_LINE_EVERY_S = 10.0

Advance = Callable[[int | float], None]
"""Called with how much has been done since the last call."""


@contextlib.contextmanager
def progress(description: str, total: int | float | None, unit: str) -> Iterator[Advance]:
    """Show how far the work inside the block has come.

    Args:
        description: what is being done, a few words.
        total: how much there is to do, in `unit`; None where it is not known.
        unit: "B" for bytes (shown as kB, MB, GB), otherwise as it is: "s" of sound, "tensors".

    Yields:
        `advance(n)`: tell that `n` more units are done.
    """
    display = _Bar(description, total, unit) if sys.stderr.isatty() else _Lines(description, total, unit)
    try:
        yield display.advance
    finally:
        display.close()


def amount(value: int | float, unit: str) -> str:
    """`value` with its unit for people: 2.3 GB, 12.5 s."""
    if unit != "B":
        return f"{value:.1f} {unit}" if value < 100 else f"{value:.0f} {unit}"
    if value < 1000:
        return f"{value:.0f} B"
    thousands = min(int(math.log10(value)) // 3, 4)
    return f"{value / 1000**thousands:.1f} {'kMGT'[thousands - 1]}B"


class _Lines:
    """For logs and pipes: one line every ten seconds."""

    def __init__(self, description: str, total: int | float | None, unit: str) -> None:
        self._description, self._total, self._unit = description, total, unit
        self._done = 0.0
        self._start_s = time.monotonic()
        self._next_s = self._start_s + _LINE_EVERY_S

    def advance(self, n: int | float) -> None:
        self._done += n
        if time.monotonic() >= self._next_s:
            print(self._line(), file=sys.stderr, flush=True)
            self._next_s = time.monotonic() + _LINE_EVERY_S

    def close(self) -> None:
        """Nothing is left open."""

    def _line(self) -> str:
        passed_s = time.monotonic() - self._start_s
        rate = self._done / passed_s
        line = f"{self._description}: {amount(self._done, self._unit)}"
        if self._total:
            line += f" of {amount(self._total, self._unit)} ({self._done / self._total:.0%})"
        line += f", {amount(rate, self._unit)}/s"
        if self._total and rate > 0:
            line += f", {max(0.0, self._total - self._done) / rate:.0f} s left"
        return line


class _Bar:
    """For a terminal: rich's bar, which appears only when the work has taken a second, beside the one around it."""

    _display: ClassVar[Any] = None  # a terminal has room for one, which shows all bars

    def __init__(self, description: str, total: int | float | None, unit: str) -> None:
        self._description, self._total, self._unit = description, total, unit
        self._done = 0.0
        self._start_s = time.monotonic()
        self._shown = None
        self._owns = False

    def advance(self, n: int | float) -> None:
        self._done += n
        if self._shown is None and time.monotonic() - self._start_s >= _PATIENCE_S:
            self._show()
        if self._shown is not None:
            bar, task = self._shown
            bar.update(task, completed=self._done, amount=self._amount())

    def close(self) -> None:
        if self._shown is not None:
            bar, task = self._shown
            bar.remove_task(task)
        if self._owns:
            _Bar._display.stop()
            _Bar._display = None

    def _show(self) -> None:
        if _Bar._display is None:
            _Bar._display, self._owns = self._opened(), True
        bar = _Bar._display
        self._shown = bar, bar.add_task(self._description, total=self._total, amount=self._amount())

    @staticmethod
    def _opened() -> Any:
        from rich import progress as rich_progress
        from rich.console import Console

        bar = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}"),
            rich_progress.BarColumn(),
            rich_progress.TextColumn("{task.fields[amount]}"),
            rich_progress.TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        bar.start()
        return bar

    def _amount(self) -> str:
        rate = self._done / max(time.monotonic() - self._start_s, 1e-9)
        whole = f" of {amount(self._total, self._unit)}" if self._total else ""
        return f"{amount(self._done, self._unit)}{whole}, {amount(rate, self._unit)}/s"
