"""CUDA graphs as an engine uses them, without a card: what a capture would refuse, or a replay miss, is an error.

Everything that is to be on the card is on the meta device, everything else on the processor. While a graph is captured
nothing may be read back, nothing of the host be touched but what is kept there for the card, nothing run that has not
run before (it might be compiled, loaded, or ask for a workspace), and nobody wait for the card. What a graph reads and
did not make itself must still be in memory whenever it is replayed.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from weakref import ref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Card(TorchDispatchMode):
    """A card that is not there.

    Args:
        kept: tensors of the host that may be copied to it while a graph is captured.
    """

    def __init__(self, kept: tuple[torch.Tensor, ...] = ()) -> None:
        super().__init__()
        self._kept = {_storage(tensor) for tensor in kept}
        self._known: set[object] = set()
        self._capture: Graph | None = None
        self.graphs: list[Graph] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        self.saw(str(func), (args, kwargs), found)
        return found

    def saw(self, what: str, given: object, made: object) -> None:
        """Something ran."""
        inputs, outputs = (
            [leaf for leaf in tree_leaves(each) if isinstance(leaf, torch.Tensor)] for each in (given, made)
        )
        key = what, *(tensor.dtype for tensor in inputs)
        if self._capture is None:
            self._known.add(key)
            return
        assert key in self._known, f"{what} runs for the first time while a graph is captured"
        for tensor in (*inputs, *outputs):
            on_card = tensor.device.type == "meta"
            assert on_card or _storage(tensor) in self._kept, f"{what} needs the host while a graph is captured"
        self._capture.note(inputs, outputs)

    def launch(self, kernel: Any, *grid: int) -> Any:
        """In the place of `kernels.rules.over`."""

        def run(*arguments: Any, **words: Any) -> None:
            constants = {name: value for name, value in words.items() if not isinstance(value, torch.Tensor)}
            given = [each for each in (*arguments, *words.values()) if isinstance(each, torch.Tensor)]
            kinds = [type(each).__name__ for each in arguments]
            self.saw(f"{kernel.fn.__name__} {kinds} {sorted(constants.items(), key=str)}", given, None)

        return run

    @contextmanager
    def graph(self, graph: "Graph", **_: object) -> Iterator[None]:
        """In the place of `torch.cuda.graph`."""
        assert self._capture is None
        self._capture = graph
        self.graphs.append(graph)
        try:
            yield
        finally:
            self._capture = None

    def synchronize(self, *_: object) -> None:
        """In the place of `torch.cuda.synchronize`."""
        assert self._capture is None, "waits for the card while a graph is captured"


class Graph(torch.cuda.CUDAGraph):
    """In the place of `torch.cuda.CUDAGraph`."""

    def __new__(cls, *_: object) -> "Graph":
        return object.__new__(cls)

    def __init__(self, *_: object) -> None:
        self._made: set[int] = set()
        self._reads: dict[int, Any] = {}
        self.replays = 0

    def pool(self) -> object:
        return self

    def note(self, inputs: list[torch.Tensor], outputs: list[torch.Tensor]) -> None:
        """Inputs that it did not make have to stay."""
        for tensor in inputs:
            if _storage(tensor) not in self._made:
                self._reads[_storage(tensor)] = ref(tensor.untyped_storage())
        self._made |= {_storage(tensor) for tensor in outputs} - self._reads.keys()

    def replay(self) -> None:
        assert self._reads, "nothing was captured"
        gone = [place for place, storage in self._reads.items() if storage() is None]
        assert not gone, f"{len(gone)} of {len(self._reads)} tensors that the graph reads are no more"
        self.replays += 1


def _storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage()._cdata


class _Stream:
    def wait_stream(self, other: object) -> None: ...


@contextmanager
def card(monkeypatch: pytest.MonkeyPatch, kept: tuple[torch.Tensor, ...] = ()) -> Iterator[Card]:
    """Inside, engines capture on the card that is not there."""
    there = Card(kept)
    for name, value in {
        "CUDAGraph": Graph, "graph": there.graph, "synchronize": there.synchronize, "Stream": _Stream,
        "current_stream": _Stream, "stream": lambda stream: nullcontext(), "device": lambda device: nullcontext(),
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, value)
    with there, torch.no_grad():
        yield there
