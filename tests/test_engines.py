"""Engines by choice, and what is said when a device fails; the session goes on elsewhere."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from jukebox import engines, pipeline, presets
from jukebox.checkpoints.load import build_prior
from jukebox.cli.main import main
from jukebox.engines import EngineSettings, copied, device_errors, make_engine, prepared
from jukebox.errors import ConfigError, DeviceError
from jukebox.native.library import library
from jukebox.nn.packed import PackedLinear
from jukebox.pipeline import Jukebox, load
from jukebox.sampling import estimate
from jukebox.sampling.engine import Engine
from jukebox.sampling.graph import GraphEngine
from jukebox.sampling.native import NativeEngine
from jukebox.sampling.processor import ProcessorEngine
from jukebox.sampling.reference import ReferenceEngine
from jukebox.sampling.token import SamplingConfig
from tests.prior import models as priors
from tests.sampling import models

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def test_what_is_usual_on_a_processor_and_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    top, upsampler = priors.ENCODER, priors.UPSAMPLER
    monkeypatch.setattr(engines, "library", lambda: object())
    assert EngineSettings().on(CPU, top) == EngineSettings(engine="native", precision="float32")
    for precision, engine in (("int8", "native"), ("int4", "native"), ("bfloat16", "reference")):
        assert EngineSettings(precision=precision).on(CPU, top).engine == engine  # pyright: ignore
    assert EngineSettings(precision="int4").on(CPU, upsampler) == EngineSettings(engine="native", precision="int8")
    for engine, precision, known in (("processor", "int8", "float32"), ("native", "bfloat16", "float32, int8, int4")):
        with pytest.raises(ConfigError, match=f"{engine} engine computes in {known} on a CPU, not in {precision}"):
            EngineSettings(engine=engine, precision=precision).on(CPU, top)  # pyright: ignore
    monkeypatch.setattr(engines, "library", lambda: None)
    assert EngineSettings().on(CPU, top) == EngineSettings(engine="processor", precision="float32")
    for precision in ("int8", "int4"):  # slow, but what was asked for
        assert EngineSettings(precision=precision).on(CPU, top).engine == "reference"  # pyright: ignore
    with pytest.raises(ConfigError, match="needs a C compiler"):
        EngineSettings(engine="native").on(CPU, top)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ConfigError, match="runs on a GPU, not on cpu"):
        EngineSettings(engine="fused").on(CPU, top)
    monkeypatch.setattr(engines, "_no_kernels", lambda config, at_once: None)
    for capability, reason in ((8, "capability 9 or more, cuda has 8"), (9, None)):
        monkeypatch.setattr(engines, "_capability", lambda device, capability=capability: capability)
        if reason is None:
            assert EngineSettings(engine="dependent").on(GPU, top).caches(64) == 8
        else:
            with pytest.raises(ConfigError, match=reason):
                EngineSettings(engine="dependent").on(GPU, top)
    monkeypatch.setattr(engines, "_has_bfloat16", lambda device: False)
    assert EngineSettings().on(GPU, top) == EngineSettings(engine="graph", precision="float32")
    monkeypatch.setattr(engines, "_has_bfloat16", lambda device: True)
    assert EngineSettings().on(GPU, top) == EngineSettings(engine="fused", precision="bfloat16")
    assert EngineSettings(precision="int4").on(GPU, top).bits == 4
    assert EngineSettings(precision="int4").on(GPU, upsampler).bits == 8
    for bits, precision in ((4, "int4"), (8, "int8")):  # a model's files say what is usual
        assert EngineSettings().on(GPU, replace(top, matrix_bits=bits)).precision == precision
        monkeypatch.setattr(engines, "library", lambda: None)
        assert EngineSettings().on(CPU, replace(top, matrix_bits=bits)).precision == "float32"
        monkeypatch.setattr(engines, "library", lambda: object())
        assert EngineSettings().on(CPU, replace(top, matrix_bits=bits)).precision == precision
    decided = EngineSettings().on(GPU, top)
    assert (decided.caches(63), decided.caches(64)) == (16, 8)
    assert (decided.dtype(GPU), EngineSettings(precision="int8").dtype(CPU)) == (torch.bfloat16, torch.float32)
    monkeypatch.setattr(engines, "_no_kernels", lambda config, at_once: "Triton is not installed")
    assert EngineSettings().on(GPU, top).engine == "graph"
    with pytest.raises(ConfigError, match="Triton is not installed"):
        EngineSettings(engine="fused").on(GPU, top)
    with pytest.raises(ConfigError, match="Caches of 8 bits"):
        EngineSettings(cache_bits=8).on(GPU, top)


@pytest.mark.parametrize("place", ["device", "streamed"])
@pytest.mark.parametrize("precision", ["float32", "int8", "int4"])
def test_places_change_nothing(place: str, precision: str) -> None:
    """A prior whose matrices stay on the host, and a copy of it, write what it writes itself."""
    from tests.sampling.test_engine import window

    settings = EngineSettings(engine="graph", precision=precision).on(CPU, priors.ENCODER)  # pyright: ignore
    found = []
    for where in ("device", place):
        prior = prepared(priors.build(priors.ENCODER), settings, CPU, where)  # pyright: ignore
        made = [prior] if where == "streamed" else [prior, copied(prior, CPU)]
        for each in made:
            engine = make_engine(each, 1, settings)
            engine.begin(0, window(priors.ENCODER, 1, 3))
            found.append(engine.run(6))
    assert all(torch.equal(found[0], each) for each in found[1:])


@pytest.mark.parametrize("engine", ["reference", "processor", "native"])
def test_matrices_are_widened_as_they_are_stored(engine: str, tmp_path: Path) -> None:
    """A prior of half precision writes the codes of one that was in float32 all along, by every engine."""
    from tests.sampling.test_engine import window

    if engine == "native" and library() is None:
        pytest.skip("no C compiler")
    settings, found = EngineSettings(engine=engine, precision="float32"), []  # pyright: ignore
    prior = priors.build(priors.ENCODER)
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.copy_(parameter.half())
    tensors = {name: t.half() if t.ndim > 1 else t for name, t in prior.state_dict().items()}
    stored = build_prior(prior.config, tensors, None)
    assert {parameter.dtype for parameter in stored.parameters()} == {torch.float16, torch.float32}
    for given in (prior, stored):
        made = make_engine(prepared(given, settings, CPU), 2, settings)
        for slot in range(2):
            made.begin(slot, window(priors.ENCODER, 1 + slot, 3))
        found.append(made.run(6))
    assert torch.equal(*found)


@pytest.mark.skipif(library() is None, reason="there is no C compiler")
def test_4_bits_are_written_as_they_are() -> None:
    """In C the codes of the prior's own step with the same matrices, and those of these matrices in float32."""
    from tests.sampling.test_engine import window

    # With a width of more than one group of 4 bits, and no whole number of these.
    config = replace(priors.ENCODER, transformer=replace(priors.ENCODER.transformer, width=136))
    stored, found = priors.build(config), []
    stored.reduce(4)
    greedy, warm = SamplingConfig(temperature=0.0), SamplingConfig(temperature=0.95)
    windows = [window(config, 1, 2, greedy), window(config, 2, 3, warm), window(config, 0, 0, warm)]
    for engine, precision, slots in (
        ("native", "int4", 3), ("reference", "int4", 3), ("native", "float32", 3), ("native", "int4", 1),
    ):  # fmt: skip
        settings = EngineSettings(engine=engine, precision=precision)  # pyright: ignore
        prior = prepared(build_prior(stored.config, stored.state_dict(), None), settings, CPU)  # as of a file
        made = make_engine(prior, slots, settings)
        for slot in range(slots):
            made.begin(slot, windows[slot])
        found.append(made.run(12))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])
    assert torch.equal(found[0][:1], found[3])


def test_kinds_of_engines() -> None:
    made, native = priors.build(priors.UNLABELLED), EngineSettings(engine="native", precision="float32")
    if library() is not None:
        assert isinstance(make_engine(made, 1, native), NativeEngine)
        assert isinstance(make_engine(made, 1, native), NativeEngine)
        # What is packed for C serves the others too, but not the other way round.
        processor = EngineSettings(engine="processor", precision="float32")
        assert isinstance(make_engine(made, 1, processor), ProcessorEngine)
    made = priors.build(priors.UNLABELLED)
    for parameter in made.parameters():
        parameter.data = parameter.data.half().float()  # whose matrices every processor packs that packs any
    assert isinstance(make_engine(made, 1, EngineSettings(engine="reference", precision="float32")), ReferenceEngine)
    if any(isinstance(module, PackedLinear) for module in made.modules()):
        assert not isinstance(make_engine(made, 1, native), NativeEngine)
    made = priors.build(priors.UNLABELLED)
    assert isinstance(make_engine(made, 1, EngineSettings(engine="processor", precision="float32")), ProcessorEngine)
    made = priors.build(priors.UNLABELLED)
    assert isinstance(make_engine(made, 1, EngineSettings(engine="reference", precision="float32")), ReferenceEngine)
    assert isinstance(make_engine(made, 1, EngineSettings(engine="graph", precision="float32")), GraphEngine)
    assert isinstance(make_engine(made, 1, EngineSettings(engine="processor", precision="float32")), ProcessorEngine)


def test_a_machine_without_room_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (pipeline, estimate):
        monkeypatch.setattr(module, "free_host_bytes", lambda: 100_000)
    juke = load("tiny-random", "cpu")
    with pytest.raises(
        DeviceError, match=r"prior of level 2 needs 0.\d MB of memory, and 0.1 MB are free: close other"
    ):
        juke.generate(seconds=0.1)
    assert "does not fit" in juke.estimate(juke.request(seconds=0.1))


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes"), device_errors(None):
        raise RuntimeError("shapes do not fit")


def test_a_device_that_fails_leaves_a_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence and exit 2, on the command line; then the session ends elsewhere as if nothing had been."""
    monkeypatch.setattr(presets, "TINY_PRIORS", models.SHORT)
    words = ["generate", "--model", "tiny-random", "--seconds", "0.05", "--lowest-level", "1", "--device", "cpu"]
    words += ["--parallel-windows", "1", "--no-previews", "--format", "wav"]
    assert main([*words, "-o", str(tmp_path / "whole")]) == 0
    usual = Jukebox.engine

    def failing(self: Jukebox, level: int, slots: int) -> Engine:
        engine, runs = usual(self, level, slots), iter((True, level != 1))
        run = engine.run

        def once(steps: int) -> torch.Tensor:
            if not next(runs, False):
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            return run(min(steps, 3))

        monkeypatch.setattr(engine, "run", once)
        return engine

    with monkeypatch.context() as patch:
        patch.setattr(Jukebox, "engine", failing)
        assert main([*words, "-o", str(tmp_path / "cut")]) == 2
    said = capsys.readouterr().err
    assert "jukebox: The device has no room left" in said
    assert f"go on with: jukebox continue {tmp_path / 'cut'}" in said
    assert "Traceback" not in said
    assert main(["continue", str(tmp_path / "cut"), "--device", "cpu", "--no-previews", "--format", "wav"]) == 0
    assert (tmp_path / "cut" / "song.wav").read_bytes() == (tmp_path / "whole" / "song.wav").read_bytes()


def test_a_device_that_is_lost_is_a_sentence() -> None:
    words = r"is lost \(CUDA error: an illegal memory access\); start .* continue song"
    with pytest.raises(DeviceError, match=words), device_errors(Path("song")):
        raise RuntimeError("CUDA error: an illegal memory access\nmore")
    with pytest.raises(DeviceError, match="is lost"), device_errors(None):
        raise RuntimeError("Triton Error [CUDA]: unspecified launch failure")


def test_the_graph_engine_writes_the_same_song(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presets, "TINY_PRIORS", models.SHORT)
    songs = [
        load("tiny-random", "cpu", EngineSettings(engine=engine)).generate(seconds=0.03, seed=1, lowest_level=1)
        for engine in ("reference", "graph")
    ]
    assert all(torch.equal(songs[0].codes[level], songs[1].codes[level]) for level in (1, 2))
