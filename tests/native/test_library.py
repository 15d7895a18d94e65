"""The C sources become a library where there is a compiler, once; where there is none, nothing breaks."""

import ctypes
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from jukebox.native import library as module
from jukebox.native.library import library
from jukebox.native.structures import Layer, Matrix, Stack, Window

needs_library = pytest.mark.skipif(library() is None, reason="there is no C compiler")


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A cache folder of its own, and no library in memory."""
    monkeypatch.setenv("JUKEBOX_CACHE", str(tmp_path))
    library.cache_clear()
    yield tmp_path / "native"
    library.cache_clear()


@needs_library
def test_it_is_made_once_and_kept(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert library() is not None
    (made,) = fresh.iterdir()
    when = made.stat().st_mtime_ns
    library.cache_clear()
    run, commands = subprocess.run, []
    monkeypatch.setattr(subprocess, "run", lambda words, **more: (commands.append(words), run(words, **more))[1])
    assert library() is not None
    assert (list(fresh.iterdir()), made.stat().st_mtime_ns) == ([made], when)
    assert ["-o" in words for words in commands] == [False]


@needs_library
def test_programs_that_make_it_at_once_do_not_meet(fresh: Path) -> None:
    code = "from jukebox.native.library import library; assert library().panel_width() > 0"
    started = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [each.wait() for each in started] == [0, 0, 0]
    assert len(list(fresh.iterdir())) == 1


def test_without_a_compiler_there_is_none(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(fresh))
    monkeypatch.delenv("CC", raising=False)
    assert library() is None
    assert not fresh.exists()


@pytest.mark.skipif(os.name != "posix", reason="the compiler is a script")
def test_a_compiler_that_fails_leaves_nothing_behind(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.write_text('#!/bin/sh\ncase "$*" in *-dM*) exit 0;; esac\nexit 1\n')
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    assert library() is None
    assert list(fresh.iterdir()) == []


@needs_library
@pytest.mark.skipif(os.name != "posix", reason="folders are protected in another way")
def test_a_folder_that_others_may_write_to_is_not_used(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert library() is not None
    (made,) = fresh.iterdir()
    made.unlink()  # it is in use here
    made.write_bytes(b"what another has put there")
    fresh.chmod(0o777)
    library.cache_clear()
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: str(other))
    assert library() is not None
    assert made.read_bytes() == b"what another has put there"
    assert len(list(other.glob("*/step-*.so"))) == 1


@needs_library
def test_structures_are_those_of_c(tmp_path: Path) -> None:
    """Sizes and the places of last fields, as the compiler has them."""
    source = Path(module.__file__).parent / "step.c"
    kinds = {"Matrix": (Matrix, "kind"), "Layer": (Layer, "branch"), "Stack": (Stack, "recondition"),
             "Window": (Window, "choice")}  # fmt: skip
    told = "".join(
        f'printf("%zu %zu\\n", sizeof({name}), offsetof({name}, {field}));\n' for name, (_, field) in kinds.items()
    )
    program = tmp_path / "sizes.c"
    program.write_text(
        f'#include <stddef.h>\n#include <stdio.h>\n#include "{source}"\nint main(void) {{ {told} return 0; }}\n'
    )
    compiler = module._compiler()
    assert compiler is not None
    subprocess.run([*compiler, "-std=gnu11", str(program), "-o", str(tmp_path / "sizes"), "-lm"], check=True)
    said = subprocess.run([str(tmp_path / "sizes")], capture_output=True, text=True, check=True).stdout.split()
    expected = [
        str(number) for kind, field in kinds.values() for number in (ctypes.sizeof(kind), getattr(kind, field).offset)
    ]
    assert said == expected


@needs_library
def test_it_is_warned_of_nothing(tmp_path: Path) -> None:
    compiler = module._compiler()
    assert compiler is not None
    source, flags = Path(module.__file__).parent / "step.c", ["-Wall", "-Wextra", "-Werror"]
    targets = [["-march=native"], *([["-mavx2", "-mfma", "-mf16c"], []] if platform.machine() == "x86_64" else [])]
    for target in targets:
        words = [*compiler, *module._FLAGS, *flags, *target, str(source), "-o", str(tmp_path / "step.so"), "-lm"]
        assert subprocess.run(words, capture_output=True, text=True, check=False).stderr == ""
