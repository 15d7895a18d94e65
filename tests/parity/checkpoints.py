"""Files written by the original: kind "checkpoints".

A case is a folder of `*.pth.tar`, `config.json` (hyper-parameters by model) and `io.safetensors`. Every file is
imported, saved in our format, exported and imported again: all bits must stay. The VQ-VAEs also run on the recorded
sound, the priors on the recorded codes.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file

from jukebox.checkpoints import huggingface, openai, openai_config, store
from jukebox.checkpoints.load import build_prior, build_vqvae
from jukebox.checkpoints.names import shapes_of, to_ours, to_theirs
from jukebox.checkpoints.openai import Imported
from jukebox.config import PriorConfig, VqvaeConfig
from tests.parity.prior import conditions
from tests.parity.report import Check, close, equal, equal_integers

AUDIO_TOLERANCE = 5e-5
LOGITS = 5e-5  # the narrowest of the prior cases' own tolerances
LOSS = 1e-5


def run(case: Path) -> Iterator[Check]:
    recorded = json.loads((case / "config.json").read_text())
    recording = load_file(case / "io.safetensors")
    for path in sorted(case.glob("*.pth.tar")):
        name = path.name.removesuffix(".pth.tar")
        # A file that carries no hyper-parameters belongs to the model whose name it begins with.
        model = max((known for known in recorded if name.startswith(known)), key=len)
        described = recorded[model]
        imported = openai.read(path, _config(path, described["hps"]))
        yield equal(f"{name}: step", imported.source["step"], described["step"])
        yield from _round_trips(name, imported)
        io = {key.removeprefix(f"{model}."): value for key, value in recording.items() if key.startswith(f"{model}.")}
        if isinstance(imported.config, VqvaeConfig):
            yield from _vqvae(name, imported, io)
        else:
            yield from _prior(name, imported, io)


def _config(path: Path, hps: dict) -> VqvaeConfig | None:
    """The configuration to give to the import: only where the file has none of its own."""
    return None if "hps" in openai.load_dictionary(path) else openai_config.vqvae_config(hps)


def _round_trips(name: str, imported: Imported) -> Iterator[Check]:
    config = imported.config
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        store.save(folder / "ours", imported.tensors, config, source=imported.source)
        ours = store.verify(folder / "ours")
        yield equal(f"{name}: our format", _difference(imported, config, ours.tensors, ours.config), "none")
        for serialisation in ("legacy", "zip"):
            path = folder / f"{serialisation}.pth.tar"
            openai.write(path, config, ours.tensors, serialisation=serialisation)
            again = openai.read(path)
            difference = _difference(imported, config, again.tensors, again.config)
            yield equal(f"{name}: exported ({serialisation}) and imported", difference, "none")
    places = huggingface.name_table(config)
    back = openai.add_running_sums(to_ours(to_theirs(imported.tensors, places), places, name))
    yield equal(f"{name}: Hugging Face names and back", _difference(imported, config, back, config), "none")


def _difference(imported: Imported, config: object, tensors: dict, found: object) -> str:
    """The first thing that is not the same, or "none"."""
    if config != found:
        return "configuration"
    if shapes_of(imported.tensors) != shapes_of(tensors):
        return "names and shapes"
    for name, tensor in imported.tensors.items():
        if tensor.dtype != tensors[name].dtype or not tensor.equal(tensors[name]):
            return name
    return "none"


def _vqvae(name: str, imported: Imported, io: dict[str, torch.Tensor]) -> Iterator[Check]:
    assert isinstance(imported.config, VqvaeConfig)
    module = build_vqvae(imported.config, imported.tensors)
    with torch.no_grad():
        for level, codes in enumerate(module.encode(io["x"].mT.contiguous())):
            yield equal_integers(f"{name}: codes of level {level}", codes, io[f"z_{level}"])
            audio = module.decode(io[f"z_{level}"], level=level).mT
            yield close(f"{name}: sound of level {level}", audio, io[f"decode_{level}"], absolute=AUDIO_TOLERANCE)


def _prior(name: str, imported: Imported, io: dict[str, torch.Tensor]) -> Iterator[Check]:
    assert isinstance(imported.config, PriorConfig)
    module = build_prior(imported.config, imported.tensors)
    with torch.no_grad():
        output = module(io["z"], conditions(imported.config, io.get("y"), io.get("z_cond")))
    yield close(f"{name}: logits", output.logits, io["preds"], absolute=LOGITS)
    yield close(f"{name}: loss", output.losses.total, io["loss"], relative=LOSS)
