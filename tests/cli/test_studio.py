"""The studio as a command: killed at any moment nothing is lost, and what it cannot do is one sentence."""

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.commands import refused
from tests.studio.conftest import wait

SONG = {"model": "tiny-random", "songs": [{"artist": "nobody"}], "seconds": 0.6, "seed": 2, "parallel_windows": 1}


@contextmanager
def serving(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command in a process of its own, and its address; killed at the end."""
    words = [sys.executable, "-m", "jukebox.cli.main", "studio", str(folder)]
    words += ["--model", "tiny-random", "--port", "0", "--no-browser", "--threads", "1", "--device", "cpu"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
            assert found
            yield process, found[0]
        finally:
            process.kill()


def asked(address: str, path: str, values: Any = None) -> Any:
    data = None if values is None else json.dumps(values).encode()
    request = urllib.request.Request(address + path, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def test_a_studio_that_is_killed_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    with serving(tmp_path / "studio") as (process, address):
        asked(address, "api/songs", {"request": SONG, "name": "hymn"})
        wait(lambda: asked(address, "api/state")["work"]["levels"])
        process.send_signal(signal.SIGKILL)
        process.wait()
    with serving(tmp_path / "studio") as (process, address):
        (song,) = asked(address, "api/state")["songs"]
        assert not song["finished"]
        asked(address, "api/songs/hymn/go-on", {})
        asked(address, "api/songs", {"request": SONG, "name": "whole"})
        wait(lambda: all(each["finished"] for each in asked(address, "api/state")["songs"]))
        listening = urllib.request.urlopen(f"{address}api/events", timeout=30)
        assert listening.readline().startswith(b"data: ")
        host, port = address.removesuffix("/").rsplit("/", 1)[1].split(":")
        with socket.create_connection((host, int(port))) as sending:  # a recording that never comes to its end
            sending.sendall(
                b"PUT /api/recordings/a.wav HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9999\r\n\r\nRIFF"
            )
            wait(lambda: list(tmp_path.glob("studio/.recordings/.*.part")))
            process.send_signal(signal.SIGINT)  # Ctrl-C, although somebody listens
            assert process.wait(timeout=30) == 130  # as every command
        listening.close()
        assert process.stderr is not None
        assert process.stderr.read() == "\njukebox: stopped.\n"
    assert not list(tmp_path.glob("studio/.recordings/.*"))
    hymn, whole = (tmp_path / "studio" / name / "song.codes" for name in ("hymn", "whole"))
    assert hymn.read_bytes() == whole.read_bytes()


def test_what_cannot_be_served_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = ("studio", tmp_path, "--no-browser", "--model", "tiny-random", "--device", "cpu")
        sentence = refused(capsys, *words, "--port", taken.getsockname()[1])
        assert "choose another by --port" in sentence
    assert "99999" in refused(capsys, *words, "--port", 99999)
    assert "no such host" in refused(capsys, *words, "--host", "nosuch.invalid")
    assert "/none" in refused(capsys, "studio", tmp_path, "--no-browser", "--model", "/none")
    (tmp_path / "file").write_text("")
    assert "choose another folder" in refused(capsys, "studio", tmp_path / "file", *words[2:])
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'jukebox[studio]'" in refused(capsys, *words)
