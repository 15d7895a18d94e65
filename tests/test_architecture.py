"""The plan of the house holds: layers, file length, imports without effects (docs/tour.md)."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "jukebox"
LONGEST = 400

# A file imports from its own package and from layers above its own line.
LAYERS = (
    ("version", "errors", "cache", "config", "presets"),
    ("native",),
    ("audio", "labels", "nn"),
    ("vqvae", "prior"),
    ("checkpoints", "alignment"),
    ("data", "sampling"),
    ("models", "engines", "song"),
    ("stereo",),
    ("features",),
    ("pipeline", "training", "evaluation"),
    ("studio",),
    ("cli",),
)
# Inside the first layer there is an order too: presets are configurations, configurations raise errors.
FIRST_LAYER_IMPORTS = {"config": {"errors"}, "presets": {"config", "errors"}}

FILES = sorted(SOURCE.rglob("*.py"))


def package_of(file: Path) -> str:
    """The room on the plan that a file belongs to."""
    return file.relative_to(SOURCE).with_suffix("").parts[0]


def layer_of(package: str) -> int:
    return next(index for index, packages in enumerate(LAYERS) if package in packages)


def imported_packages(file: Path) -> set[str]:
    """Rooms that a file imports from, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file.name}: imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("jukebox.")}


@pytest.mark.parametrize("file", [f for f in FILES if f != SOURCE / "__init__.py"], ids=lambda f: str(f.name))
def test_imports_go_upwards(file: Path) -> None:
    package = package_of(file)
    for other in imported_packages(file) - {package}:
        if layer_of(package) == 0:
            assert other in FIRST_LAYER_IMPORTS.get(package, {"version"}), f"{package} imports {other}"
        elif package == "cli" and other == "version":
            continue
        elif other not in {"audio", "labels"} or layer_of(package) != layer_of("nn"):
            assert layer_of(other) < layer_of(package), f"{file} ({package}) imports {other}"


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(SOURCE)))
def test_files_are_rooms_not_halls(file: Path) -> None:
    assert len(file.read_text().splitlines()) <= LONGEST


def test_importing_has_no_effects() -> None:
    """Every module imports without printing, and the command line without loading PyTorch."""
    modules = [
        ".".join(("jukebox", *f.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__") for f in FILES
    ]
    if importlib.util.find_spec("triton") is None:  # an extra, which is there for Linux alone
        modules = [m for m in modules if "kernels" not in m and not m.endswith((".fused", ".persistent"))]
    light = [m for m in modules if m.startswith(("jukebox.cli", "jukebox.config", "jukebox.presets", "jukebox.errors"))]
    code = f"""
import importlib, sys
for name in {light!r}: importlib.import_module(name)
assert "torch" not in sys.modules, "the command line imports torch before it needs it"
for name in {modules!r}: importlib.import_module(name)
import torch
assert torch.initial_seed() and not torch.cuda.is_initialized()
for heavy in ("av", "soundfile", "soxr", "rich", "transformers", "scipy", "matplotlib", "ray"):
    assert heavy not in sys.modules, heavy + " is imported before it is needed"
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
