"""The sets of visible keys, against the table of facts 4.2 at T = 16 and rows of 4."""

import pytest

from jukebox.config import TransformerConfig
from jukebox.prior.patterns import of_layer
from tests.prior.reference import mask, visible

T, ROWS = 16, 4


def config(attention: str, *, tail: int | None = None, window: int | None = None) -> TransformerConfig:
    return TransformerConfig(
        context=T, width=8, attention=attention, heads=1, rows=ROWS, tail=tail, window=window, stride=4
    )


TABLE = [
    (config("D"), 136, set(range(10)), {0, 1, 2}),
    (config("R"), 40, {8, 9}, {0, 1, 2}),
    (config("C"), 40, {1, 5, 9}, {2}),
    (config("P"), 48, {4, 5, 6, 7}, set()),
    (config("E"), 27, {3, 7}, set()),
    (config("T", tail=2), 57, {2, 3, 6, 7}, {2}),
    (config("W", window=5), 70, {5, 6, 7, 8, 9}, {0, 1, 2}),
    (config("W", window=4), 58, {6, 7, 8, 9}, {0, 1, 2}),
    (config("S"), 40, {1, 5, 9}, {2}),
    (config("(WS)", window=4), 82, {1, 5, 6, 7, 8, 9}, {0, 1, 2}),
    (config("(WS)", window=5), 82, {1, 5, 6, 7, 8, 9}, {0, 1, 2}),
    (config("F", tail=1), 28, {3, 7}, set()),
    (config("F", tail=2), 60, {2, 3, 6, 7}, {2}),
    (config("(RF)", tail=1), 64, {3, 7, 8, 9}, {0, 1, 2}),
    (config("(RF)", tail=2), 88, {2, 3, 6, 7, 8, 9}, {0, 1, 2}),
    (config("(RCP)"), 100, {1, 4, 5, 6, 7, 8, 9}, {0, 1, 2}),
]


@pytest.mark.parametrize(
    ("stack", "pairs", "ninth", "second"),
    TABLE,
    ids=[f"{c.attention}{c.tail or ''}{c.window or ''}" for c, *_ in TABLE],
)
def test_table(stack: TransformerConfig, pairs: int, ninth: set[int], second: set[int]) -> None:
    (letters,) = stack.layers
    patterns = of_layer(letters, stack, 0)
    assert sum(len(visible(patterns, query, T)) for query in range(T)) == pairs
    assert [set(row.nonzero().flatten().tolist()) for row in mask(patterns, T)] == [
        visible(patterns, query, T) for query in range(T)
    ]
    assert visible(patterns, 9, T) == ninth
    assert visible(patterns, 2, T) == second


def missed(stack: TransformerConfig) -> int:
    """Causal pairs without a path through the stack, residual path included."""
    reached = [{query} for query in range(T)]
    for letters in stack.layers:
        patterns = of_layer(letters, stack, 0)
        reached = [set().union(reached[q], *(reached[k] for k in visible(patterns, q, T))) for q in range(T)]
    return T * (T + 1) // 2 - sum(map(len, reached))


@pytest.mark.parametrize(
    ("attention", "pairs_missed"),
    [
        ("RC", 36), ("CR", 36), ("RCP", 0), ("CPR", 0), ("PRC", 0), ("WS", 0), ("SW", 0), ("RF", 0), ("FR", 72),
        ("D", 0), ("(RC)", 136 - 64), ("(RC)(RC)", 36), ("(WS)(WS)", 0),
    ],
)  # fmt: skip
def test_connectivity(attention: str, pairs_missed: int) -> None:
    """Which schemes let every position hear of every earlier one (facts 4.3)."""
    assert missed(config(attention, tail=1, window=4)) == pairs_missed


def test_blind_queries_are_those_of_empty_sets() -> None:
    for attention in "DRCPWSFL":
        stack = config(attention, tail=2, window=4)
        (pattern,) = of_layer(attention, stack, prefix=3)
        assert [visible((pattern,), q, T) == set() for q in range(T)] == [q < pattern.blind for q in range(T)]


@pytest.mark.parametrize(
    ("prefix", "rows", "context", "length"), [(384, 64, 6528, 448), (12, 6, 48, 18), (13, 5, 60, 15)]
)
def test_lyrics_prefix_reaches_into_the_music(prefix: int, rows: int, context: int, length: int) -> None:
    stack = TransformerConfig(context=context, width=8, attention="L", heads=1, rows=rows)
    (pattern,) = of_layer("L", stack, prefix)
    assert visible((pattern,), context - 1, context) == set(range(length))
    assert visible((pattern,), 3, context) == {0, 1, 2, 3}
