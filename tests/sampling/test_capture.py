"""What an engine captures is what a card can capture: nothing of the host, nothing new, nothing that goes away."""

import itertools
from typing import Any

import pytest
import torch

pytest.importorskip("triton")

from jukebox.nn.host import HostLinear, keep_on_host
from jukebox.nn.quantised import quantise
from jukebox.nn.unallocated import unallocated
from jukebox.prior.prior import Prior
from jukebox.sampling.fused import FusedStepper
from jukebox.sampling.graph import GraphEngine
from jukebox.sampling.kernels import attention, layers, linear, tokens
from jukebox.sampling.persistent import PersistentStepper
from jukebox.sampling.stepper import PlainStepper, Stepper
from tests.prior import models
from tests.sampling.graphs import card

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="a card that is there is better")

META = torch.device("meta")


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs of two steps, not of 16 or 32."""
    for kind in (PlainStepper, FusedStepper):
        monkeypatch.setattr(kind, "launches", (2, 1))


def made(name: str, bits: int = 16, kind: torch.dtype = torch.float32) -> Prior:
    with unallocated():
        prior = Prior(models.ALL[name]).to(kind).eval()
        if bits != 16:
            quantise(prior.transformer, 8 if bits == 8 else 4)
    return prior


def launched_in_every_way(stepper: Stepper) -> GraphEngine:
    """By an engine: several steps at once and single ones, of two ways to draw; then all of it again."""
    engine = GraphEngine(stepper, capture=True)
    for _, count, filtered in itertools.product(range(2), stepper.launches, (False, True)):
        engine._launch(count, stepper.variant(0, filtered, filtered))
    return engine


SLOW = pytest.mark.slow


@pytest.mark.parametrize(("name", "rows"), [("joint", 1), ("encoder", 2), pytest.param("upsampler", 1, marks=SLOW)])
def test_plain_steps(name: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with card(monkeypatch) as there:
        with unallocated():
            stepper = PlainStepper(made(name), 3, rows=rows)
        launched_in_every_way(stepper)
    assert [graph.replays for graph in there.graphs] == 4 * [2]


@pytest.mark.parametrize("bits", [16, pytest.param(8, marks=SLOW), pytest.param(4, marks=SLOW)])
def test_streamed_steps(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Matrices of the host are copied by the graph itself; nothing else of the host is."""
    prior = models.build(models.UPSAMPLER)
    if bits != 16:
        quantise(prior.transformer, 8 if bits == 8 else 4)
    keep_on_host(prior.transformer)
    prior.to(META)
    kept = tuple(t for module in prior.modules() if isinstance(module, HostLinear) for t in module._kept.values())
    with card(monkeypatch, kept) as there:
        with unallocated():
            stepper = PlainStepper(prior, 1)
        launched_in_every_way(stepper)
    assert there.graphs


@pytest.mark.parametrize(
    ("way", "bits"),
    [
        ("guided", 16), ("dependent", 4), ("persistent", 8),
        *(pytest.param(way, 16, marks=SLOW) for way in ("fused", "small caches", "dependent", "persistent")),
    ],
)  # fmt: skip
def test_steps_of_kernels(way: str, bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    more: dict[str, Any] = {
        "guided": {"rows": 2}, "dependent": {"dependent": True}, "small caches": {"cache_bits": 8},
    }.get(way, {})  # fmt: skip
    kind = PersistentStepper if way == "persistent" else FusedStepper
    with card(monkeypatch) as there:
        for module in (attention, layers, linear, tokens):
            monkeypatch.setattr(module, "over", there.launch)
        with unallocated():
            stepper = kind(made("encoder", bits, torch.bfloat16), 3, **more)
        launched_in_every_way(stepper)
    assert [graph.replays for graph in there.graphs] == [4, 4]


def test_a_card_that_is_not_there_refuses() -> None:
    """What this stands on: each of these would end a real capture, or spoil a replay."""
    with pytest.MonkeyPatch.context() as patch, card(patch) as there:
        x, number, host = torch.zeros(3, device=META), torch.zeros((), device=META), torch.ones(3)
        x = x + x
        x.sin()
        host.to(META)

        def captured(work: Any) -> Any:
            graph: Any = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                work()
            return graph

        for work, said in (
            (lambda: x.cos(), "first time"),
            (lambda: host.to(META), "needs the host"),
            (torch.cuda.synchronize, "waits for the card"),
        ):
            with pytest.raises(AssertionError, match=said):
                captured(work)
        with pytest.raises((RuntimeError, NotImplementedError)):
            captured(lambda: float(number))
        y = x.sin()
        graph = captured(lambda: y.sin())
        graph.replay()
        del y
        with pytest.raises(AssertionError, match="are no more"):
            graph.replay()
    assert there.graphs
