import sys

import pytest

from jukebox.cli import progress as module
from jukebox.cli.progress import amount, progress


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def monotonic(self):
        return self.now_s


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_quick_work_shows_nothing(capsys, clock):
    with progress("copying", 10, "B") as advance:
        advance(10)
    assert capsys.readouterr() == ("", "")


def test_a_log_gets_a_line_every_ten_seconds_with_rate_and_time_left(capsys, clock):
    with progress("copying", 4e9, "B") as advance:
        for _ in range(25):
            clock.now_s += 1
            advance(1e8)
    assert capsys.readouterr().err.splitlines() == [
        "copying: 1.0 GB of 4.0 GB (25%), 100.0 MB/s, 30 s left",
        "copying: 2.0 GB of 4.0 GB (50%), 100.0 MB/s, 20 s left",
    ]


def test_an_unknown_total_shows_what_is_done(capsys, clock):
    with progress("encoding", None, "s") as advance:
        clock.now_s = 10
        advance(40)
    assert capsys.readouterr().err == "encoding: 40.0 s, 4.0 s/s\n"


def test_a_terminal_gets_a_bar_after_a_second(capsys, clock, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with progress("copying", 4e9, "B") as advance:
        clock.now_s = 0.5
        advance(1e9)
        assert capsys.readouterr().err == ""
        clock.now_s = 2
        advance(1e9)
    assert "copying" in capsys.readouterr().err


def test_work_inside_other_work_has_a_bar_beside_it(capsys, clock, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    for outer_first in (True, False):
        with progress("features", 10, "s") as outer:
            clock.now_s += 2
            if outer_first:
                outer(1)
            with progress("encoding", 10, "s") as inner:
                clock.now_s += 2
                inner(1)
            outer(1)
        found = capsys.readouterr().err
        assert "features" in found
        assert "encoding" in found
        assert module._Bar._display is None


def test_an_error_passes_through(clock):
    with pytest.raises(KeyError), progress("copying", 1, "B"):
        raise KeyError


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "B", "0 B"),
        (999, "B", "999 B"),
        (2_333_000_000, "B", "2.3 GB"),
        (3e12, "B", "3.0 TB"),
        (12.34, "s", "12.3 s"),
    ],
)
def test_amounts_are_for_people(value, unit, text):
    assert amount(value, unit) == text
