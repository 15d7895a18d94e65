"""Embedded tokens: what enters a transformer."""

import torch

from jukebox.config import TransformerConfig
from jukebox.prior.token_stack import TokenStack, all_positions, before

CONFIG = TransformerConfig(context=6, width=4, attention="D", heads=1, rows=None)


def test_a_position_sees_the_token_before_it_and_the_first_the_start() -> None:
    torch.manual_seed(0)
    stack = TokenStack(CONFIG, 9, learned_start=True)
    tokens, start = torch.tensor([[5, 6, 7], [1, 2, 3]]), torch.randn(2, 4)
    found = stack.inputs(before(tokens), all_positions(tokens), start)
    token, position = stack.token_embedding.weight, stack.position_embedding.weight
    for item in range(2):
        assert torch.equal(found[item, 0], start[item] + position[0])
        assert torch.equal(found[item, 1], token[tokens[item, 0]] + position[1])
        assert torch.equal(found[item, 2], token[tokens[item, 1]] + position[2])


def test_each_item_may_be_at_its_own_position() -> None:
    torch.manual_seed(0)
    stack = TokenStack(CONFIG, 9, learned_start=True)
    start = torch.randn(2, 4)
    found = stack.inputs(torch.tensor([[8], [8]]), torch.tensor([[4], [0]]), start)
    token, position = stack.token_embedding.weight, stack.position_embedding.weight
    assert torch.equal(found[0, 0], token[8] + position[4])
    assert torch.equal(found[1, 0], start[1] + position[0])


def test_only_what_is_learned_is_there() -> None:
    stack = TokenStack(CONFIG, 9, learned_start=False)
    assert {name for name, _ in stack.named_parameters() if "." not in name or "embedding" in name} == {
        "token_embedding.weight",
        "position_embedding.weight",
    }
