"""Compiles every kernel that the released priors launch, as for a card, on a machine that needs none.

    python -m tests.sampling.kernels.compiled --arch 80 89 90 90d

Modules are on the meta device and launches are caught: what is compiled has the real shapes, types and constants. A
kernel that needs more shared memory than its card has, or whose registers overflow into memory, would fail or crawl
there; both are looked up here. `90d` is 90 with kernels that begin while the one before still runs: in their assembly
nothing that a step changes may be touched before the wait. `90p` is 90 with all layers in one kernel.
"""

import argparse
import itertools
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

# Kilobytes of shared memory that one program may have: CUDA C++ programming guide, compute capabilities.
SHARED = {80: 163, 86: 99, 89: 99, 90: 227}

# Bytes of registers that may overflow. A few the assembler gives up on purpose where that makes room for one program
# more. What the kernel of all layers keeps from stage to stage is written once and read once for each stage: no loop of
# a product or of an attention has any.
OVERFLOW, OVERFLOW_OF = 16, {"layers_kernel": 128}


@dataclass(frozen=True)
class Launch:
    """What distinguishes compiled kernels: the function, the types of its arguments, constants and options."""

    function: Any
    types: tuple[tuple[str, str], ...]
    constants: tuple[tuple[str, Any], ...]
    warps: int
    stages: int


def launches(kind: str) -> Iterator[Launch]:
    """Those of a step, by prior, slots, precision of matrices and of caches; each only once.

    Args:
        kind: `d`: kernels begin early; `p`: all layers are one kernel, on a card of 132 multiprocessors; or nothing.
    """
    from triton.runtime.jit import JITFunction

    from jukebox import presets
    from jukebox.nn.quantised import quantise
    from jukebox.nn.unallocated import unallocated
    from jukebox.prior.prior import Prior
    from jukebox.sampling.fused import FusedStepper
    from jukebox.sampling.persistent import PersistentStepper

    caught: dict[Launch, None] = {}
    usual = JITFunction.run
    JITFunction.run = lambda self, *arguments, **words: caught.setdefault(_launch(self, arguments, words))
    try:
        configs = [presets.part_config(part) for part in ("5b_lyrics/prior_level_2", "1b_lyrics/prior_level_2",
                                                          "5b/prior_level_1", "5b/prior_level_0")]  # fmt: skip
        rows = ((1, 16), (4, 16), (16, 16)) if kind == "p" else ((1, 16), (16, 16), (64, 16), (64, 8))
        for config, bits, (slots, kept) in itertools.product(configs, (16, 8, 4), rows):
            letters = "".join(dict.fromkeys(config.transformer.attention))
            short = replace(config, transformer=replace(config.transformer, attention=letters))
            with unallocated():
                prior = Prior(short).to(torch.bfloat16)
                if bits != 16:
                    quantise(prior.transformer, bits)
                if kind == "p":
                    stepper = PersistentStepper(prior, slots, programs=132)
                    stepper.layers.run(stepper.table.positions)
                else:
                    stepper = FusedStepper(prior, slots, cache_bits=kept, dependent=kind == "d")
                    stepper.step(stepper.table, 0, stepper.variant(0, False, False))
    finally:
        JITFunction.run = usual
    yield from caught


def _launch(function: Any, arguments: tuple[Any, ...], words: dict[str, Any]) -> Launch:
    from triton.runtime.jit import mangle_type

    bound = dict(zip(function.arg_names, arguments, strict=False)) | words
    constants, types = [], []
    for parameter in function.params:
        value = bound[parameter.name]
        if parameter.is_constexpr or value is None:
            constants.append((parameter.name, value))
        else:
            types.append((parameter.name, mangle_type(value)))
    return Launch(function, tuple(types), tuple(constants), bound.get("num_warps", 4), bound.get("num_stages", 3))


def compiled(launch: Launch, architecture: int) -> tuple[int, int, int, str | None]:
    """Shared memory in bytes, registers of a thread, bytes that overflow from them; what is wrong with its waits."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    names = launch.function.arg_names
    types = dict(launch.types)
    source = ASTSource(
        launch.function,
        {name: types.get(name, "constexpr") for name in names},
        {(names.index(name),): value for name, value in launch.constants},
        # As for memory that PyTorch allocates.
        {(names.index(name),): [["tt.divisibility", 16]] for name, kind in launch.types if kind.startswith("*")},
    )
    made = triton.compile(
        source, GPUTarget("cuda", architecture, 32), {"num_warps": launch.warps, "num_stages": launch.stages}
    )
    registers, local = _usage(made.asm["cubin"])
    wrong = wrong_waits(made.asm["ptx"], dict(launch.constants).get("DEPENDENT", False))
    return made.metadata.shared, registers, local, wrong


def wrong_waits(ptx: str, dependent: bool) -> str | None:
    """What is wrong with a kernel's waits for the one before, in words; None where nothing is.

    A kernel has one, on its way whatever it does; before it are no branch and no access to memory but to the kernel's
    own arguments, and prefetches. A kernel that is launched as usual has none.
    """
    lines = [line.strip() for line in ptx.splitlines()]
    waits = [index for index, line in enumerate(lines) if line.startswith("griddepcontrol.wait")]
    begins = [line for line in lines if line.startswith("griddepcontrol.launch_dependents")]
    if not dependent:
        return "it waits, though nothing was launched early" if waits or begins else None
    if len(waits) != 1 or len(begins) != 1:
        return f"{len(waits)} waits, {len(begins)} times the next may begin"
    codes = [re.match(r"(?:\{\s*)?(?:@!?%\w+\s+)?([a-z][\w.:]*)", line) for line in lines[: waits[0]]]
    touching = ("ld.", "st.", "atom", "red", "cp.", "bra", "mbarrier")
    early = [code[1] for code in codes if code is not None and code[1].startswith(touching)]
    early = [code for code in early if not code.startswith("ld.param")]
    return f"before the wait: {', '.join(early)}" if early else None


def _usage(cubin: bytes) -> tuple[int, int]:
    import triton

    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        said = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    found = re.search(r"REG:(\d+) STACK:(\d+) SHARED:\d+ LOCAL:(\d+)", said)
    assert found is not None, said
    return int(found[1]), int(found[2]) + int(found[3])


def main(arguments: list[str] | None = None, show: Callable[[str], None] = print) -> int:
    """Compile all; exit 1 when one does not fit."""
    os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [f"{architecture}{kind}" for architecture in SHARED for kind in ("", "p")] + ["90d"]
    parser.add_argument("--arch", nargs="+", choices=names, default=["90", "90d", "90p"])
    parser.add_argument("--all", action="store_true", help="show those that fit too")
    options = parser.parse_args(arguments)
    failed = total = 0
    for name in options.arch:
        architecture = int(name[:2])
        for launch in launches(name[2:]):
            shared, registers, local, wrong = compiled(launch, architecture)
            fits = (
                shared <= SHARED[architecture] * 1024
                and local <= OVERFLOW_OF.get(launch.function.__name__, OVERFLOW)
                and wrong is None
            )
            total, failed = total + 1, failed + (not fits)
            if options.all or not fits:
                show(f"sm_{name} {launch.function.__name__}: {shared} B shared, {registers} registers, "
                     f"{local} B overflow, waits: {wrong or 'right'}; {dict(launch.constants)}")  # fmt: skip
    show(f"{total - failed} kernels fit, {failed} do not")
    return 1 if failed or not total else 0


if __name__ == "__main__":
    sys.exit(main())
