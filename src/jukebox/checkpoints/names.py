"""Parameter names of other projects: a few rules from our names to theirs, and what follows from them.

A rule is a pair of templates. `{L}` and the like stand for a number of ours, and theirs may do arithmetic with it:
`{I+1}`, `{2I}`, `{2I+1}`. The way back is the inverse dictionary, so both directions come from one table.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from torch import Tensor

from jukebox.errors import CheckpointError

Shapes = Mapping[str, tuple[int, ...]]


class Rule(NamedTuple):
    """Our template, theirs, and whether the matrix is stored the other way round (ours is [out, in])."""

    ours: str
    theirs: str
    transposed: bool = False


class Place(NamedTuple):
    """Where one of our tensors is found in a foreign file."""

    name: str
    transposed: bool


Table = dict[str, tuple[Place, ...]]
"""For each of our names, every place that holds it: two for a tied matrix, which foreign files write twice."""


LAYER_MATRICES = {
    "attention.qkv": "attn.c_attn",
    "attention.query": "attn.c_attn",
    "attention.key_value": "attn.c_enc_kv",
    "attention.output": "attn.c_proj",
    "mlp.input": "mlp.c_fc",
    "mlp.output": "mlp.c_proj",
}
"""Our names of the linear maps of a transformer layer, and those that both published layouts use."""


def linear(ours: str, theirs: str, weight: str, bias: str) -> tuple[Rule, Rule]:
    """The rules of a linear layer whose foreign matrix, named `weight`, is [in, out]."""
    return Rule(f"{ours}.weight", f"{theirs}.{weight}", True), Rule(f"{ours}.bias", f"{theirs}.{bias}")


def plain(ours: str, theirs: str) -> tuple[Rule, Rule]:
    """The rules of a layer whose weight and bias have the same names and shapes on both sides."""
    return Rule(f"{ours}.weight", f"{theirs}.weight"), Rule(f"{ours}.bias", f"{theirs}.bias")


def transformer_rules(ours: str, theirs: str, *, embedding: str, norm: str, weight: str, bias: str) -> list[Rule]:
    """The rules of a token stack and its layers, which the published layouts build alike and spell differently."""
    layer, their_layer = f"{ours}transformer.layers.{{D}}", f"{theirs}transformer._attn_mods.{{D}}"
    rules = [
        Rule(f"{ours}token_embedding.weight", f"{theirs}{embedding}.weight"),
        Rule(f"{ours}position_embedding.weight", f"{theirs}pos_emb.pos_emb"),
        Rule(f"{ours}start_token", f"{theirs}start_token"),
        *plain(f"{layer}.attention_norm", f"{their_layer}.{norm}_0"),
        *plain(f"{layer}.mlp_norm", f"{their_layer}.{norm}_1"),
    ]
    for name, their_name in LAYER_MATRICES.items():
        rules += linear(f"{layer}.{name}", f"{their_layer}.{their_name}", weight, bias)
    return rules


def table(names: Iterable[str], rules: Iterable[Rule]) -> Table:
    """Every place of each of our `names`; names without a rule have no place in the foreign layout."""
    patterns = [(re.compile(_pattern(rule.ours)), rule) for rule in rules]
    places: Table = {}
    for name in names:
        matches = [(pattern.fullmatch(name), rule) for pattern, rule in patterns]
        places[name] = tuple(
            Place(_fill(rule.theirs, match.groupdict()), rule.transposed) for match, rule in matches if match
        )
    return {name: found for name, found in places.items() if found}


def _pattern(template: str) -> str:
    return re.sub(r"\\{([A-Z])\\}", r"(?P<\1>\\d+)", re.escape(template))


def _fill(template: str, numbers: Mapping[str, str]) -> str:
    return re.sub(r"\{(\d*)([A-Z])(?:\+(\d+))?\}", lambda field: _number(field, numbers), template)


def _number(field: re.Match[str], numbers: Mapping[str, str]) -> str:
    factor, letter, offset = field.groups()
    return str(int(factor or 1) * int(numbers[letter]) + int(offset or 0))


def foreign_shapes(ours: Shapes, places: Table) -> dict[str, tuple[int, ...]]:
    """Name and shape of everything the foreign file must hold."""
    return {
        place.name: ours[name][::-1] if place.transposed else tuple(ours[name])
        for name, found in places.items()
        for place in found
    }


def check_shapes(found: Shapes, expected: Shapes, where: str) -> None:
    """Raise CheckpointError unless `found` has exactly the names and shapes of `expected`."""
    missing, unexpected = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
    if missing or unexpected:
        lacking = f"lacks {len(missing)} tensors (first {missing[0]!r})" if missing else ""
        extra = f"has {len(unexpected)} unknown tensors (first {unexpected[0]!r})" if unexpected else ""
        raise CheckpointError(
            f"{where} {' and '.join(filter(None, (lacking, extra)))}; it does not belong to its configuration: "
            "use the file and the configuration of the same model."
        )
    for name, shape in expected.items():
        if tuple(found[name]) != tuple(shape):
            raise CheckpointError(
                f"{where} has {name!r} with shape {list(found[name])}; expected {list(shape)}: "
                "use the file and the configuration of the same model."
            )


def to_ours(theirs: Mapping[str, Tensor], places: Table, where: str) -> dict[str, Tensor]:
    """Our tensors as views of theirs; tensors stored twice must agree.

    Raises:
        CheckpointError: two copies of one tied tensor differ.
    """
    tensors = {}
    for name, found in places.items():
        first, *copies = (theirs[p.name].mT if p.transposed else theirs[p.name] for p in found)
        for place, copy in zip(found[1:], copies, strict=True):
            if first.data_ptr() != copy.data_ptr() and not first.equal(copy):
                raise CheckpointError(
                    f"{where} has different values in {found[0].name!r} and {place.name!r}, which this model shares; "
                    "the file is damaged or of another model: get it again."
                )
        tensors[name] = first
    return tensors


def to_theirs(ours: Mapping[str, Tensor], places: Table) -> dict[str, Tensor]:
    """Their tensors as views of ours; tied tensors appear under both names."""
    return {
        place.name: ours[name].mT if place.transposed else ours[name]
        for name, found in places.items()
        for place in found
    }


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}
