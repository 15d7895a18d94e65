"""The original's numbered attention orders as pattern letters, and back (facts 3.1; letters in `config`)."""

from jukebox.config import LabelConfig, TransformerConfig
from jukebox.errors import CheckpointError

_THIRDS = "RCP" * 16


def _every_sixteenth(letter: str) -> str:
    """RCP with `letter` at layers 15 and 31 of each 48, and a dense layer at 47."""
    return _THIRDS[:15] + letter + _THIRDS[16:31] + letter + _THIRDS[32:47] + "D"


ORDERS = (
    "D",
    "RC",
    "RCP",
    "RE",
    "RT",
    "RERR",
    "RCPX",
    "RCPRCPRCPRCPRCPX",
    "RCPRCPRCPX",
    "RCPD",
    "RCPRCPRCP" + "RCPRCPRCPX" * 7,
    _every_sixteenth("X"),
    _every_sixteenth("L"),
)
"""One period of each order; a stack of any depth repeats it."""


def letters(order: int, depth: int) -> str:
    """The pattern of a stack of `depth` layers with the original's `attn_order`."""
    if not 0 <= order < len(ORDERS):
        raise CheckpointError(
            f"The file asks for attention order {order}; orders 0 to {len(ORDERS) - 1} are known: "
            "it was written by another version of the original."
        )
    return repeated(ORDERS[order], depth)


def repeated(period: str, depth: int) -> str:
    """`period` repeated to `depth` letters."""
    return (period * (depth // len(period) + 1))[:depth]


def order(attention: str) -> int:
    """The first of the original's orders that gives this pattern."""
    for number, period in enumerate(ORDERS):
        if repeated(period, len(attention)) == attention:
            return number
    raise CheckpointError(
        f"The attention pattern {attention!r} is none of the original's orders; "
        "a model with it can be kept in our own format only."
    )


def refuse_new_labels(config: LabelConfig) -> None:
    """Raise CheckpointError for labels that reach a prior as no published layout says."""
    if config.everywhere:
        raise CheckpointError(
            "The prior has labels.everywhere=True, which the published layouts do not know; "
            "this model can be kept in our own format only."
        )


def refuse_new_options(config: TransformerConfig) -> None:
    """Raise CheckpointError for options of new models, which no published layout has a name for."""
    if config.position != "learned" or config.query_key_norm:
        raise CheckpointError(
            f"The prior has position={config.position!r} and query_key_norm={config.query_key_norm}, which the "
            "published layouts do not know; this model can be kept in our own format only."
        )
