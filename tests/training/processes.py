"""Runs in processes of their own, which can be killed: forked from one clean process that has everything loaded."""

import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.training.small", "torch.distributed.fsdp", "torch.utils.tensorboard"])


@dataclass(frozen=True)
class Kill:
    """When the process shall be killed: before a step, or at a file operation among the saved states."""

    step: int | None = None
    file_operation: int | None = None


def run(target: Callable[..., None], *arguments: Any) -> int:
    """The exit code of a process that calls `target`; minus the signal's number where one ended it."""
    process = _CONTEXT.Process(target=target, args=arguments)
    process.start()
    process.join(600)
    assert process.exitcode is not None, "the process hangs"
    return process.exitcode


def together(target: Callable[..., None], *arguments: Any) -> list[int]:
    """The exit codes of two workers that call `target(rank, *arguments)` as torchrun would start them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = [_CONTEXT.Process(target=_worker, args=(target, rank, port, *arguments)) for rank in range(2)]
    for process in started:
        process.start()
    for process in started:
        process.join(120)
    codes = [process.exitcode for process in started]
    for process in started:
        process.kill()
    return [-signal.SIGALRM if code is None else code for code in codes]


def _worker(target: Callable[..., None], rank: int, port: int, *arguments: Any) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    target(rank, *arguments)


def train(
    kind: str, folder: Path, steps: int, kill: Kill, result: Path | None = None, changes: dict[str, Any] | None = None
) -> None:
    """Train alone, with some fields of the run changed, and write a hash of the state at the end."""
    import torch

    from tests.training.small import TRAINERS, digest

    torch.set_num_threads(1)
    trainer = TRAINERS[kind](folder, steps=steps, average_decay=0.9, **(changes or {}))
    if kill.step is not None:
        one_step = trainer.one_step

        def fatal(*arguments: Any) -> Any:
            if trainer.step == kill.step:
                os.kill(os.getpid(), signal.SIGKILL)
            return one_step(*arguments)

        trainer.one_step = fatal
    if kill.file_operation is not None:
        kill_at_file_operation(kill.file_operation, trainer.folder.checkpoints)
    trainer.train()
    if result is not None:
        result.write_text(digest(trainer))


def kill_at_file_operation(number: int, folder: Path) -> None:
    """End this process by SIGKILL just before the n-th time that something below `folder` is opened, moved, removed."""
    left = number

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir") and str(folder) in str(arguments[0]):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
