"""Our own format: a folder with `model.safetensors`, `config.json` and `manifest.json`.

A prior that was trained here also has the names and characters it knows: `vocabulary.json`, `alphabet.json`. The
folder appears complete or not at all. The manifest holds the kind of model, where it came from, and the size and
sha256 of each file.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from jukebox.checkpoints import files, layout, tensor_file
from jukebox.checkpoints.files import Progress, silent
from jukebox.checkpoints.names import check_shapes, shapes_of
from jukebox.config import PriorConfig, VqvaeConfig
from jukebox.errors import CheckpointError, ConfigError
from jukebox.version import __version__

FORMAT_VERSION = 1
TENSORS, CONFIG, MANIFEST = "model.safetensors", "config.json", "manifest.json"
VOCABULARY, ALPHABET = "vocabulary.json", "alphabet.json"
SONG, GLOSSARY = "song.yaml", "glossary.txt"
"""Beside the parts of a model: what it writes, and how, where nothing else is asked for."""
EXPORTED = "model"
"""The checkpoint in the folder of a training run."""

_KINDS: dict[str, type[VqvaeConfig] | type[PriorConfig]] = {"vqvae": VqvaeConfig, "prior": PriorConfig}


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A folder of ours as read: tensors are memory-mapped."""

    kind: str
    config: layout.ModelConfig
    tensors: Mapping[str, Tensor]
    source: Mapping[str, Any]


def save(
    folder: Path,
    tensors: Mapping[str, Tensor],
    config: layout.ModelConfig,
    *,
    source: Mapping[str, Any],
    words: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> None:
    """Write a model; an earlier checkpoint in the same folder is replaced only when the new one is complete.

    Args:
        folder: the folder to create.
        tensors: exactly the parameters of `config`, under our names.
        config: what the model is.
        source: where it came from, as JSON values.
        words: content of `vocabulary.json` and `alphabet.json`, where the model has them.
        progress: called with (bytes done, bytes in all).

    Raises:
        CheckpointError: the tensors are not those of `config`, or the folder holds something else.
    """
    check_shapes(shapes_of(tensors), layout.shapes(config), "The model to save")
    if folder.exists() and not (folder / MANIFEST).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise CheckpointError(f"{folder} exists and is no checkpoint of ours; name another folder or remove it.")
    with files.replacing_folder(folder) as temporary:
        digest = tensor_file.write(temporary / TENSORS, tensors, progress)
        (temporary / CONFIG).write_text(config.to_json(), encoding="utf-8")
        for name, text in (words or {}).items():
            (temporary / name).write_text(text, encoding="utf-8")
        manifest = {
            "format_version": FORMAT_VERSION,
            "kind": next(kind for kind, known in _KINDS.items() if isinstance(config, known)),
            "converter": f"jukebox {__version__}",
            "source": dict(source),
            "files": {
                TENSORS: {"bytes": (temporary / TENSORS).stat().st_size, "sha256": digest},
                **{name: _described(temporary / name) for name in (CONFIG, *(words or {}))},
            },
        }
        (temporary / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def load(folder: Path) -> Checkpoint:
    """Read a model; sizes, names and shapes are checked, the hashes only by `verify`.

    Raises:
        CheckpointError: something is missing, truncated, of an unknown format version or of another model.
    """
    manifest = _read_manifest(folder)
    for name, described in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            raise CheckpointError(f"{path} is missing; import or copy the model again.")
        if path.stat().st_size != described["bytes"]:
            raise CheckpointError(
                f"{path} has {path.stat().st_size} bytes; expected {described['bytes']}: "
                "it is truncated or was changed: import or copy the model again."
            )
    try:
        config = _KINDS[manifest["kind"]].from_json((folder / CONFIG).read_text(encoding="utf-8"))
    except (ConfigError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{folder / CONFIG} cannot be used: {error}") from error
    tensors = tensor_file.read(folder / TENSORS)
    check_shapes(shapes_of(tensors), layout.shapes(config), str(folder / TENSORS))
    return Checkpoint(kind=manifest["kind"], config=config, tensors=tensors, source=manifest["source"])


def verify(folder: Path, progress: Progress = silent) -> Checkpoint:
    """Read a model and compare every file with its recorded sha256.

    Raises:
        CheckpointError: as `load`, or a file is not the one that was written.
    """
    checkpoint = load(folder)
    for name, described in _read_manifest(folder)["files"].items():
        found = files.sha256(folder / name, progress if name == TENSORS else silent)
        if found != described["sha256"]:
            raise CheckpointError(
                f"{folder / name} has sha256 {found}; expected {described['sha256']}: "
                "it is damaged or was changed: import or copy the model again."
            )
    return checkpoint


def is_checkpoint(path: Path) -> bool:
    """Whether this is a folder in our format."""
    return (path / MANIFEST).is_file()


def checkpoints_in(path: Path) -> list[Path]:
    """The checkpoints that a folder stands for: itself, or those side by side in it, or those of the runs in it.

    Whatever begins with a dot is unfinished, or what was there before.
    """
    if is_checkpoint(path):
        return [path]
    inner = [folder for folder in path.iterdir() if not folder.name.startswith(".")] if path.is_dir() else []
    return [found for folder in sorted(inner) for found in (folder, folder / EXPORTED) if is_checkpoint(found)]


def _described(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": files.sha256(path)}


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise CheckpointError(f"{folder} has no {MANIFEST}; expected a model folder: import the model first.")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version = manifest["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is damaged; import or copy the model again.") from error
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {version!r}; this program reads version {FORMAT_VERSION}: "
            "update jukebox, or import the original file again."
        )
    described = manifest.get("files")
    whole = isinstance(described, dict) and {TENSORS, CONFIG} <= set(described)
    fields = whole and all(isinstance(d, dict) and {"bytes", "sha256"} <= set(d) for d in described.values())
    # Only the known names: a manifest must not make us look at files elsewhere.
    if (
        not fields
        or not set(described) <= {TENSORS, CONFIG, VOCABULARY, ALPHABET}
        or manifest.get("kind") not in _KINDS
    ):
        raise CheckpointError(f"{path} is damaged; import or copy the model again.")
    return manifest | {"source": manifest.get("source", {})}
