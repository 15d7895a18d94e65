"""4 bits for what a map makes of the inputs that it gets, not for its matrix alone.

Columns are rounded one after another, and what rounding one of them changes of the results is made up for by those
that are not rounded yet, as far as their inputs go together: Frantar and others, GPTQ, 2022.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from jukebox.nn.quantised import GROUP, Grid, Rounded4, grid_of

# Added to the moments, as a share of their mean: few inputs leave directions of which nothing is known.
_DAMPING = 0.01


class Observed(nn.Module):
    """A linear map that remembers which of its inputs go together.

    moments: sum over inputs of their products with each other, [inner, inner].
    """

    moments: Float[Tensor, "inner inner"]

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear
        self.register_buffer("moments", linear.weight.new_zeros(linear.in_features, linear.in_features))

    def forward(self, x: Float[Tensor, "*places inner"]) -> Float[Tensor, "*places outer"]:
        """The map at each place."""
        rows = x.reshape(-1, x.shape[-1])
        self.moments.addmm_(rows.t(), rows)
        return self.linear(x)


@torch.no_grad()
def calibrated(weight: Float[Tensor, "outer inner"], moments: Float[Tensor, "inner inner"]) -> Rounded4:
    """A matrix in 4 bits that changes its results as little as can be, for inputs with these moments.

    The grid of a group is that of its entries when its turn comes.
    """
    # The other way round: a column of the matrix lies in one piece.
    left, factor = weight.detach().float().t().contiguous(), _factor(moments)
    inner, outer = left.shape
    numbers, lows, steps = left.new_zeros(-(-inner // GROUP) * GROUP, outer), [], []
    for first in range(0, inner, GROUP):
        last = min(first + GROUP, inner)
        grid = grid_of(left[first:last].t()[:, None])
        own = Grid(grid.low[:, 0, 0], grid.step[:, 0, 0])
        errors = left.new_empty(last - first, outer)
        for column in range(first, last):
            entries, error = left[column], errors[column - first]
            numbers[column] = own.numbers(entries)
            torch.div(entries - own.values(numbers[column]), factor[column, column], out=error)
            left[column + 1 : last].addr_(factor[column, column + 1 : last], error, alpha=-1)
        left[last:].addmm_(factor[first:last, last:].t(), errors, alpha=-1)
        lows.append(grid.low)
        steps.append(grid.step)
    chosen = numbers.t().contiguous().unflatten(1, (-1, GROUP))
    return Rounded4(chosen, Grid(torch.cat(lows, 1), torch.cat(steps, 1)))


def _factor(moments: Float[Tensor, "inner inner"]) -> Float[Tensor, "inner inner"]:
    """The upper Cholesky factor of the inverse: its row i says how columns after i make up for an error in i."""
    whole = moments.double()
    mean = whole.diagonal().mean().clamp_min(torch.finfo(torch.float32).tiny)
    whole = whole + torch.eye(len(whole), dtype=whole.dtype, device=whole.device) * (_DAMPING * mean)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(whole))
    return torch.linalg.cholesky(inverse, upper=True).float()
