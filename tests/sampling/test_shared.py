"""Two processes share the windows of songs, and write what one does."""

import os
import socket
import subprocess
import sys
from pathlib import Path

WORKER = """
import sys
import torch
import torch.distributed as dist
from jukebox.errors import DeviceError
from jukebox.sampling.engine import Engine
from jukebox.sampling.reference import ReferenceEngine
from jukebox.sampling.shared import SharedEngine, dismiss, serve
from tests.prior import models
from tests.sampling.test_engine import LENGTH, prior, window

torch.set_num_threads(1)
config, fails = models.ENCODER, sys.argv[1] == "fails"
dist.init_process_group("gloo")

def factory(level: int, slots: int) -> Engine:
    assert (level, slots) == (2, 2)
    if fails and dist.get_rank() == 1:
        raise RuntimeError("no room here")
    return ReferenceEngine(prior(config), slots)

if dist.get_rank() == 1:
    try:
        serve(factory)
        assert not fails
    except DeviceError as error:
        assert fails and "no room here" in str(error), error
elif fails:
    try:
        SharedEngine(2, 3, factory)
        raise AssertionError("nothing was said")
    except DeviceError as error:
        assert "Worker 1 of 2 cannot go on: no room here" in str(error), error
else:
    engine: Engine = SharedEngine(2, 3, factory)
    known = (0, 5, 9)
    for slot in range(3):
        engine.begin(slot, window(config, slot, known[slot]))
    first = engine.run(3)
    engine.end(1)
    rest = engine.run(LENGTH - 12)
    for slot in (0, 2):
        alone = ReferenceEngine(prior(config), 1)
        alone.begin(0, window(config, slot, known[slot]))
        expected = alone.run(LENGTH - 9)[0]
        assert torch.equal(torch.cat([first[slot], rest[slot]]), expected), slot
    dismiss()
dist.destroy_process_group()
"""


def test_two_processes_write_what_one_writes() -> None:
    assert run("works") == [0, 0]


def test_a_worker_that_fails_is_named() -> None:
    assert run("fails") == [0, 0]


def run(how: str) -> list[int]:
    """The exit codes of two workers, as torchrun would start them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    root = Path(__file__).parents[2]
    places = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    path = os.pathsep.join([str(root), str(root / "src"), os.environ.get("PYTHONPATH", "")])
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, how], env=os.environ | places | {"RANK": str(rank), "PYTHONPATH": path}
        )
        for rank in range(2)
    ]
    return [process.wait(120) for process in started]
