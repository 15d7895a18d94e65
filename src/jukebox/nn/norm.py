"""The norm of a residual stream in float32, whatever the type of what is added to it."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class LayerNorm(nn.LayerNorm):
    """`nn.LayerNorm` of inputs that may be wider than its parameters; the result has the parameters' type."""

    def forward(self, input: Float[Tensor, "*places width"]) -> Float[Tensor, "*places width"]:
        """The norm at each place, computed in the inputs' type."""
        kind, wide = self.weight.dtype, input.dtype
        if kind == wide:
            return super().forward(input)
        weight, bias = self.weight.to(wide), self.bias.to(wide)
        return F.layer_norm(input, self.normalized_shape, weight, bias, self.eps).to(kind)
