"""`jukebox weights`: list, download, import, export, pack, inspect and verify model files."""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jukebox import presets
from jukebox.cli.progress import Advance, amount, progress
from jukebox.errors import CheckpointError, ConfigError, DownloadError

if TYPE_CHECKING:
    from jukebox.checkpoints.layout import ModelConfig
    from jukebox.checkpoints.openai import Imported
    from jukebox.prior.prior import Prior

# Everything that needs PyTorch is imported inside the action that needs it: `weights list` and `--help` do not.

_CONFIG_HELP = "what a .pth.tar file without hyper-parameters is: 5b/vqvae, 5b/prior_level_2, ... or a config.json"


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """The options of `jukebox weights`."""
    parser = subparsers.add_parser(
        "weights", help="list, download, import, export, pack, inspect and verify model files"
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)

    listing = actions.add_parser("list", help="released models, their files, and what is in the cache")
    listing.set_defaults(action=_list)

    download = actions.add_parser("download", help="fetch a released model; goes on where an earlier attempt stopped")
    download.add_argument("model", help=f"one of {', '.join(presets.RELEASED)}")
    download.add_argument("--from", dest="source", metavar="PREFIX", help="a mirror's address, or a local folder")
    download.add_argument("--to", type=Path, metavar="FOLDER", help="where to keep the files (default: the cache)")
    download.add_argument("--parts", metavar="LIST", help="only these, as in vqvae,prior_level_2")
    download.set_defaults(action=_download)

    bring = actions.add_parser("import", help="a .pth.tar file or a Hugging Face folder into our format")
    bring.add_argument("origin", type=Path, metavar="SOURCE")
    bring.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    bring.add_argument("--as", dest="layout", choices=("openai", "huggingface"), help="its format (default: found out)")
    bring.add_argument("--config", help=_CONFIG_HELP)
    bring.set_defaults(action=_import)

    export = actions.add_parser("export", help="a model of ours into another format")
    export.add_argument("folder", type=Path, metavar="FOLDER")
    export.add_argument("--to", dest="layout", choices=("openai", "huggingface"), required=True)
    export.add_argument("-o", "--output", type=Path, required=True, metavar="DEST")
    export.set_defaults(action=_export)

    packing = actions.add_parser(
        "pack", help="a VQ-VAE and its priors, or their runs, into one folder of half the size or less"
    )
    packing.add_argument("origin", metavar="MODEL", help="a folder of runs or of parts, mini, or a released model")
    packing.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER")
    packing.add_argument(
        "--precision",
        choices=("float16", "int8", "int4"),
        default="float16",
        help="of matrices (default float16); int4: 4 bits for the top prior, chosen for --codes, 8 for the others",
    )
    packing.add_argument("--codes", type=Path, metavar="CODES", help="songs that `jukebox data tokenize` encoded")
    packing.add_argument("--device", help="chooses the 4 bits, as in cuda:1 (default: a GPU where there is one)")
    packing.set_defaults(action=_pack)

    info = actions.add_parser("info", help="what a model file or folder holds")
    info.add_argument("path", type=Path)
    info.add_argument("--config", help=_CONFIG_HELP)
    info.set_defaults(action=_info)

    verify = actions.add_parser("verify", help="check hashes, names and shapes")
    verify.add_argument("path", type=Path)
    verify.add_argument("--config", help=_CONFIG_HELP)
    verify.set_defaults(action=_verify)


def run(arguments: argparse.Namespace) -> int:
    """Run one action."""
    arguments.action(arguments)
    return 0


def _list(arguments: argparse.Namespace) -> None:
    from jukebox.cache import LABELS, cache_folder

    cache = cache_folder()
    for released in presets.RELEASED.values():
        print(f"{released.name}: {released.description}")
        for file in released.files:
            print(f"  {file.path:<34} {_size(file):>9}  {_state(cache / file.path)}")
        for file in released.label_lists:
            print(f"  {f'{LABELS}/{file.path}':<34} {_size(file):>9}  {_state(cache / LABELS / file.path)}")
    print(f"tiny: random weights, for tests\nCache: {cache}\n{presets.LICENCE}")


def _size(file: presets.ReleasedFile) -> str:
    return ("" if file.size_bytes else "~") + amount(file.about_bytes, "B")


def _state(path: Path) -> str:
    part = path.with_name(path.name + ".part")
    if path.is_file():
        return "in the cache"
    return f"{amount(part.stat().st_size, 'B')} so far" if part.is_file() else "-"


def _download(arguments: argparse.Namespace) -> None:
    from jukebox.cache import cache_folder
    from jukebox.checkpoints.download import fetch_label_list, fetch_weights

    released = presets.model(arguments.model)
    wanted = _parts(released, arguments.parts)
    folder = arguments.to or cache_folder()
    print(presets.LICENCE, flush=True)
    for file in wanted:
        with progress(file.path, file.about_bytes, "B") as advance:
            path = fetch_weights(file, folder, source=arguments.source, progress=_difference(advance))
        print(path)
        part = file.path.removesuffix(".pth.tar")
        print(f"  into our format: jukebox weights import {path} --config {part} -o {path.with_name(Path(part).name)}")
    for file in released.label_lists:
        try:
            print(fetch_label_list(file, folder, source=arguments.source))
        except DownloadError as error:
            # Encoding and decoding do without; whoever generates from names is told again.
            print(f"The label list {file.path} was not found: {error}")


def _parts(released: presets.ReleasedModel, chosen: str | None) -> list[presets.ReleasedFile]:
    files = {Path(file.path).name.removesuffix(".pth.tar"): file for file in released.files}
    names = chosen.split(",") if chosen else list(files)
    for name in names:
        if name not in files:
            raise CheckpointError(f"{released.name} has no part {name!r}; its parts are {', '.join(files)}.")
    return [files[name] for name in names]


def _import(arguments: argparse.Namespace) -> None:
    from jukebox.checkpoints import huggingface, openai, store

    origin, output = arguments.origin, arguments.output
    if not origin.exists():
        raise CheckpointError(f"{origin} does not exist; name a .pth.tar file or a Hugging Face folder.")
    if store.is_checkpoint(origin):
        raise CheckpointError(f"{origin} is in our format already; use it as it is.")
    chosen = arguments.layout or ("huggingface" if origin.is_dir() else "openai")
    if chosen == "openai":
        parts = {output: openai.read(origin, _named_config(arguments.config))}
    else:
        parts = {output / name: part for name, part in huggingface.read(origin).items()}
    for folder, part in parts.items():
        with progress(f"importing {folder.name}", _bytes(part), "B") as advance:
            store.save(folder, part.tensors, part.config, source=part.source, progress=_difference(advance))
        print(folder)


def _named_config(name: str | None) -> "ModelConfig | None":
    if name is None:
        return None
    if not name.endswith(".json"):
        return presets.part_config(name)
    from jukebox.config import PriorConfig, VqvaeConfig

    try:
        text = Path(name).read_text(encoding="utf-8")
        is_prior = "transformer" in json.loads(text)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{name} cannot be read as a configuration ({error}); check the file.") from error
    return PriorConfig.from_json(text) if is_prior else VqvaeConfig.from_json(text)


def _export(arguments: argparse.Namespace) -> None:
    from jukebox.checkpoints import huggingface, openai
    from jukebox.checkpoints.load import check_whole, read_parts

    parts, output = read_parts(arguments.folder), arguments.output
    for part in parts.values():
        check_whole(part.config, arguments.folder, "exported")
    if arguments.layout == "huggingface":
        total = sum(_bytes(part) for part in parts.values())
        with progress(f"exporting {output.name}", total, "B") as advance:
            content = {name: (part.config, part.tensors) for name, part in parts.items()}
            huggingface.write(output, content, _difference(advance))
        print(output)
        return
    for name, part in parts.items():
        path = output if len(parts) == 1 else output / f"{name}.pth.tar"
        if path.exists():
            raise CheckpointError(f"{path} exists already; name another file or remove it.")
        openai.write(path, part.config, part.tensors, step=part.source.get("step"))
        print(path)


def _pack(arguments: argparse.Namespace) -> None:
    from jukebox.checkpoints import store
    from jukebox.checkpoints.files import replacing
    from jukebox.checkpoints.load import locate
    from jukebox.checkpoints.packing import check_output, pack
    from jukebox.models import parts_to_pack

    check_output(arguments.output, locate(arguments.origin))
    found = parts_to_pack(arguments.origin)
    parts = pack(found, arguments.output, _reduction(arguments, [part.checkpoint.config for part in found]))
    for name in (store.SONG, store.GLOSSARY):  # what it writes where nothing is asked for, and its voices in words
        beside = locate(arguments.origin) / name
        if beside.is_file():
            with replacing(arguments.output / name) as temporary:
                temporary.write_bytes(beside.read_bytes())
    print("part       parameters       size  largest relative error of rounding")
    for part in parts:
        size = amount(part.size_bytes, "B")
        print(f"{part.folder.name:<9}{part.numbers:>12,}{size:>11}  {part.error:.1e} in {part.worst}")
    total = sum(part.size_bytes for part in parts)
    print(f"{arguments.output}: {sum(part.numbers for part in parts):,} parameters, {amount(total, 'B')}")


def _reduction(arguments: argparse.Namespace, configs: "Sequence[ModelConfig]") -> "Callable[[Prior], None] | None":
    """What brings a prior into the bits that are asked for; None for half precision."""
    codes, precision = arguments.codes, arguments.precision
    if (codes is not None) != (precision == "int4"):
        raise ConfigError(
            "4 bits are chosen for songs: give --codes with what `jukebox data tokenize` wrote."
            if codes is None
            else f"--codes is for --precision int4, not {precision}; leave it out."
        )
    if precision == "float16":
        return None
    if precision == "int8":
        return lambda prior: prior.reduce(8)
    from jukebox.config import PriorConfig
    from jukebox.data.crops import CropConfig
    from jukebox.data.shards import Tokens
    from jukebox.evaluation.precision import CALIBRATION_WINDOWS, told_windows
    from jukebox.evaluation.prior_windows import windows_of
    from jukebox.nn.device import usable_device
    from jukebox.prior.calibrate import calibrate

    Tokens.open(codes)  # refuses a folder of anything else by what it should be
    device = usable_device(arguments.device, "--device is")
    crops = CropConfig(length_samples=1, shift=False, blend="mean")
    windows = {
        config.level: windows_of(config, arguments.origin, codes, crops, None, None).windows
        for config in configs
        if isinstance(config, PriorConfig) and config.upsampler is None
    }

    def reduce(prior: "Prior") -> None:
        config = prior.config
        if config.level not in windows:
            prior.reduce(8)
            return
        with progress("choosing 4 bits", config.transformer.depth, "layers") as advance:
            calibrate(prior, told_windows(config, windows[config.level], CALIBRATION_WINDOWS), device, advance)

    return reduce


def _info(arguments: argparse.Namespace) -> None:
    from jukebox.checkpoints.load import read_parts

    for name, part in read_parts(arguments.path, _named_config(arguments.config)).items():
        parameters = {key: tensor for key, tensor in part.tensors.items() if ".ema_" not in key}
        dtypes = Counter(str(tensor.dtype).removeprefix("torch.") for tensor in parameters.values())
        print(f"kind:       {name}")
        print(f"source:     {json.dumps(dict(part.source))}")
        print(f"parameters: {_numbers(part.config):,} in {len(parameters)} tensors")
        print(f"dtypes:     {', '.join(f'{count} {dtype}' for dtype, count in dtypes.items())}")
        print(f"config:     {part.config.to_json().strip()}")


def _numbers(config: "ModelConfig") -> int:
    """How many parameters a model has, in however many bits."""
    import dataclasses
    import math

    from jukebox.checkpoints import layout
    from jukebox.config import PriorConfig

    whole = dataclasses.replace(config, matrix_bits=None) if isinstance(config, PriorConfig) else config
    return sum(math.prod(shape) for name, shape in layout.shapes(whole).items() if ".ema_" not in name)


def _verify(arguments: argparse.Namespace) -> None:
    from jukebox.checkpoints import store
    from jukebox.checkpoints.load import read_parts

    path = arguments.path
    known = store.checkpoints_in(path)
    for folder in known:
        total = sum(file.stat().st_size for file in folder.iterdir())
        with progress(f"verifying {folder.name}", total, "B") as advance:
            checkpoint = store.verify(folder, _difference(advance))
        print(f"{folder}: sound ({len(checkpoint.tensors)} tensors, sha256 as recorded)")
    if not known:
        for name, part in read_parts(path, _named_config(arguments.config)).items():
            print(f"{path}: {name}, every name and shape is right ({len(part.tensors)} tensors)")
        if path.is_file():
            _compare_with_released(path)


def _compare_with_released(path: Path) -> None:
    from jukebox.checkpoints import files

    published = {file.sha256: file.path for released in presets.RELEASED.values() for file in released.files}
    with progress(f"hashing {path.name}", path.stat().st_size, "B") as advance:
        digest = files.sha256(path, _difference(advance))
    known = f"the released {published[digest]}" if digest in published else "of no released file known to this program"
    print(f"{path}: sha256 {digest}, {known}")


def _bytes(part: "Imported") -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in part.tensors.values())


def _difference(advance: Advance) -> Callable[[int, int], None]:
    """`advance` as a callback that is told the total so far; a restart from an earlier point goes back."""
    seen = [0]

    def report(done_bytes: int, total_bytes: int) -> None:
        advance(done_bytes - seen[0])
        seen[0] = done_bytes

    return report
