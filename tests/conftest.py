"""Every test runs with the shapes in public signatures checked, and with warnings as errors."""

import os
import platform
from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook

# Before the first import of jukebox: the hook rewrites modules as they are imported.
install_import_hook("jukebox", "beartype.beartype")

# On a busy machine any example may take long.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Kernels are what they are when their modules are imported: for the device where there is one, else interpreted.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """A test that ruins the context of the card ends its process: all that follow in it would fail for nothing.

    pytest-xdist starts another process then.
    """
    if torch.cuda.is_available():
        try:
            torch.cuda.synchronize()
        except RuntimeError as error:
            if "PYTEST_XDIST_WORKER" in os.environ:
                os._exit(1)
            pytest.exit(f"the context of the card is lost: {error}", returncode=1)


# What the C sources are compiled with: for this processor, for one with fewer instructions, and for any.
TARGETS = {
    "native": None,
    **({"avx2": ("-mavx2", "-mfma", "-mf16c"), "plain": ()} if platform.machine() == "x86_64" else {}),
}


@pytest.fixture(scope="module")
def short_windows() -> Iterator[None]:
    """`tiny-random` with windows so short that a twentieth of a second has several."""
    from jukebox import presets
    from tests.sampling import models

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(presets, "TINY_PRIORS", models.SHORT)
        yield


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The library in C for one of the processors."""
    from jukebox.native import library as module

    flags = TARGETS[request.param]
    if flags is not None:
        if flags and not torch.backends.cpu.get_cpu_capability().startswith("AVX"):
            pytest.skip("the processor has no AVX2")
        monkeypatch.setattr(module, "_TUNED", (flags,))
        module.library.cache_clear()
    yield request.param
    if flags is not None:
        module.library.cache_clear()
