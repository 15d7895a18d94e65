"""Programs of one launch that wait for each other, in Triton's interpreter, which runs them one after the other.

Each is a thread, of which one runs at a time: at a barrier it lets the next go on, and comes to its turn again when all
others have come to the barrier too. What is written for a card alone, in its assembly, is replaced by what it means.
"""

import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import triton.language as tl
from triton.runtime.interpreter import InterpretedFunction, interpreter_builder

from jukebox.sampling.kernels import dependent, layers

assert tl is not None  # what the interpreter looks for where a kernel is


class _Together:
    def __init__(self, program: Callable[..., None], count: int, backwards: bool) -> None:
        self._program, order = program, range(count)
        self._order = list(reversed(order)) if backwards else list(order)
        self._turns = {each: threading.Semaphore(0) for each in self._order}
        self._left, self._ended, self._errors = set(self._order), threading.Semaphore(0), list[BaseException]()

    def run(self, words: dict[str, Any]) -> None:
        threads = [threading.Thread(target=self._body, args=(each, words), name=str(each)) for each in self._order]
        for thread in threads:
            thread.start()
        self._turns[self._order[0]].release()
        self._ended.acquire()
        for thread in threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    def wait(self) -> None:
        mine = int(threading.current_thread().name)
        self._next(mine)
        self._begin(mine)

    def _body(self, mine: int, words: dict[str, Any]) -> None:
        self._begin(mine)
        try:
            self._program(**words)
        except BaseException as error:
            self._errors.append(error)
        self._left.remove(mine)
        self._next(mine)

    def _begin(self, mine: int) -> None:
        self._turns[mine].acquire()
        interpreter_builder.set_grid_idx(mine, 0, 0)

    def _next(self, mine: int) -> None:
        place = self._order.index(mine)
        later = [each for each in self._order[place + 1 :] + self._order[: place + 1] if each in self._left]
        (self._turns[later[0]] if later else self._ended).release()


@contextmanager
def together(backwards: bool) -> Iterator[list[int]]:
    """All programs of the kernel of all layers side by side; gives the addresses that they ask for meanwhile."""
    asked, running = list[int](), list[_Together]()
    kernel: Any = layers.layers_kernel
    usual = kernel.rewrite()

    def program(**words: Any) -> None:
        if interpreter_builder.grid_idx[0] == 0:  # this stands for all of them
            running.append(_Together(usual, interpreter_builder.grid_dim[0], backwards))
            running[-1].run(words)

    program.__signature__, program.__annotations__ = inspect.signature(usual), usual.__annotations__  # pyright: ignore
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(InterpretedFunction.rewritten_fn, kernel.fn, program)
        patch.setattr(layers, "arrive", lambda barrier, number, programs: None)
        patch.setattr(layers, "wait", lambda barrier, arrived: running[-1].wait())
        patch.setattr(dependent, "_prefetch", lambda places: asked.extend(places.handle.data.flatten().tolist()))
        yield asked
