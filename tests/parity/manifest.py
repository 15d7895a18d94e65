"""Names and shapes of whole models, without allocating them: kind "manifest".

A case is a folder of pairs `<model>.json` (every key with its shape) and `<model>.hparams.json` (hyper-parameters and
what follows from them); `attn_orders.json` lists the attention of every order, where it is there.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from jukebox.checkpoints import huggingface, layout, openai, openai_config, orders
from jukebox.checkpoints.names import Table, foreign_shapes
from jukebox.config import PriorConfig
from tests.parity.report import Check, equal

KINDS = "DRCPETXL"
"""Our letters of the original's attention kinds 0 to 7."""


def run(case: Path) -> Iterator[Check]:
    for path in sorted(case.glob("*.hparams.json")):
        model = path.name.removesuffix(".hparams.json")
        recorded = json.loads(path.read_text())
        keys = json.loads((case / f"{model}.json").read_text())["keys"]
        shapes = {openai.released_spelling(key): tuple(value["shape"]) for key, value in keys.items()}
        yield from _model(model, recorded, shapes)
    if (case / "attn_orders.json").is_file():
        for number, order in json.loads((case / "attn_orders.json").read_text()).items():
            kinds = order["pattern_160"]
            yield equal(f"order {number}", orders.letters(int(number), len(kinds)), _letters(kinds))


def _model(model: str, recorded: dict, shapes: dict[str, tuple[int, ...]]) -> Iterator[Check]:
    hps = recorded["hps"]
    if "prior.x_emb.weight" in shapes:
        config = openai_config.prior_config(hps, shapes)
        again = openai_config.prior_config(openai_config.prior_hps(config), shapes)
        yield from _derived(model, recorded, config)
    else:
        config = openai_config.vqvae_config(hps)
        again = openai_config.vqvae_config(openai_config.vqvae_hps(config))
        yield equal(f"{model}: hops", list(config.hops), recorded["hop_lengths"])
    ours = layout.shapes(config)
    yield equal(f"{model}: hyper-parameters there and back", again, config)
    originals = openai.name_table(config)
    yield equal(f"{model}: every key and shape", foreign_shapes(ours, originals), shapes)
    theirs = huggingface.name_table(config)
    for name, places in (("original", originals), ("Hugging Face", theirs)):
        yield equal(f"{model}: {name} names are told apart", _told_apart(places), True)
        stored = {key for key in ours if ".ema_" not in key}
        yield equal(f"{model}: all of ours have {name} names", set(places), stored)
    elements = sum(_count(shape) for shape in foreign_shapes(ours, theirs).values())
    yield equal(f"{model}: elements in the Hugging Face layout", elements, sum(map(_count, shapes.values())))


def _derived(model: str, recorded: dict, config: PriorConfig) -> Iterator[Check]:
    """What the recording says about the built model beside its keys."""
    transformer = config.transformer
    found = {
        "n_ctx": config.codes_context,
        "n_tokens": config.lyrics.tokens if config.lyrics else 0,
        "transformer_length": transformer.context,
        "bins_total": layout.shapes(config)["token_embedding.weight"][0],
        "block_ctx": transformer.context // transformer.rows if transformer.rows else None,
        "n_state": transformer.attention_width,
        "head_dim": transformer.attention_width // transformer.heads,
        "cond_downsample": config.upsampler.stride**config.upsampler.steps if config.upsampler else None,
        "add_cond_after_transformer": config.recondition,
        "share_x_emb_x_out": config.tied_output,
    }
    for name, value in found.items():
        if name in recorded:
            yield equal(f"{model}: {name}", value, recorded[name])
    yield equal(f"{model}: attention", transformer.attention, _letters(recorded["attn_funcs"]))


def _letters(kinds: list[int]) -> str:
    return "".join(KINDS[kind] for kind in kinds)


def _told_apart(places: Table) -> bool:
    names = [place.name for found in places.values() for place in found]
    return len(names) == len(set(names))


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count
