"""Attention and the stack on a GPU are those on the CPU, for head widths that stock kernels do not have."""

import pytest
import torch

from jukebox.config import TransformerConfig
from jukebox.prior.transformer import Transformer

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]


# Outputs are of order 1; the tolerances are those of tests/prior/test_transformer.py.
@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 0.15), (torch.float16, 0.02)])
@pytest.mark.parametrize("head_width", [64, 150, 256, 480])
def test_every_form_is_that_of_the_cpu(head_width: int, kind: torch.dtype, tolerance: float) -> None:
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.manual_seed(0)
    config = TransformerConfig(
        context=96, width=head_width, attention="RCPDLWSFET(RC)", heads=1, rows=8, attention_ratio=1.0,
        tail=2, window=10, stride=7,
    )  # fmt: skip
    module = Transformer(config, prefix=9).double()
    x = torch.randn(2, 96, config.width, dtype=torch.float64)
    expected = module(x).hidden
    module.to("cuda", kind)
    x = x.to("cuda", kind)
    found = module(x).hidden
    found.float().square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in module.parameters())
    state, outputs = module.new_state(2), []
    for piece in x.split([50, 1, 1, 44], 1):
        output = module(piece, state=state)
        outputs.append(output.hidden)
        state = output.state
    for way in (found, torch.cat(outputs, 1)):
        torch.testing.assert_close(way.double().cpu(), expected, atol=tolerance, rtol=0)
