"""Two processes share the windows of songs and write what one does; one that fails says so through the first."""

import pytest
import torch
import torch.distributed as dist

from jukebox.errors import DeviceError
from jukebox.sampling.engine import Engine
from jukebox.sampling.reference import ReferenceEngine
from jukebox.sampling.shared import SharedEngine, dismiss, serve
from tests.prior import models
from tests.sampling.test_engine import LENGTH, prior, window
from tests.training.processes import together

CONFIG, KNOWN = models.ENCODER, (0, 5, 9)


def test_two_processes_write_what_one_writes() -> None:
    assert together(work) == [0, 0]


def work(rank: int) -> None:
    """One of the two: first all goes well, then the second has no room for its part."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    if rank == 0:
        lead()
    else:
        serve(whole)
        with pytest.raises(DeviceError, match="no room here"):
            serve(no_room)
    dist.destroy_process_group()


def whole(level: int, slots: int) -> Engine:
    assert (level, slots) == (2, 2)
    return ReferenceEngine(prior(CONFIG), slots)


def no_room(level: int, slots: int) -> Engine:
    raise RuntimeError("no room here")


def lead() -> None:
    engine: Engine = SharedEngine(2, 3, whole)
    assert (engine.slots, engine.config) == (3, CONFIG)
    for slot in range(3):
        engine.begin(slot, window(CONFIG, slot, KNOWN[slot]))
    first = engine.run(3)
    engine.end(1)  # all that the second process had
    rest = engine.run(LENGTH - 12)
    for slot in (0, 2):
        alone = ReferenceEngine(prior(CONFIG), 1)
        alone.begin(0, window(CONFIG, slot, KNOWN[slot]))
        assert torch.equal(torch.cat([first[slot], rest[slot]]), alone.run(LENGTH - 9)[0]), slot
    dismiss()
    with pytest.raises(DeviceError, match="Worker 1 of 2 cannot go on: no room here"):
        SharedEngine(2, 3, whole)
