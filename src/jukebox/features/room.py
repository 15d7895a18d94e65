"""How much memory features need, known before anything is loaded."""

import torch

from jukebox.config import PriorConfig
from jukebox.errors import DeviceError
from jukebox.nn.memory import check_free, free_host_bytes, module_bytes, size_text
from jukebox.nn.unallocated import unallocated
from jukebox.prior.prior import Prior

# PyTorch itself, the encoder of a recording and its blocks, buffers of files.
_OTHER_BYTES = 1 << 30
# Activations of a window that a layer has at once, in widths: its input, what conditions it, queries with keys and
# values, attention, two sums, tiles.
_ACTIVATIONS = 8


def needed_bytes(config: PriorConfig, layers: tuple[int, ...], dtype: torch.dtype) -> tuple[int, int]:
    """Bytes that must be free where a window is computed, and those that all layers have in that type.

    Args:
        config: the prior.
        layers: that are wanted, as `Prior.hidden_states` counts them.
        dtype: of the computation.
    """
    stack = config.transformer
    with unallocated():
        prior = Prior(config, depth=max(layers)).to(dtype)
    each = [module_bytes(layer) for layer in prior.transformer.layers]
    window = stack.context * stack.width * torch.float32.itemsize * (_ACTIVATIONS + len(layers))
    return module_bytes(prior) - sum(each) + max(each, default=0) + window + _OTHER_BYTES, sum(each)


def check_host(needed: int, what: str) -> None:
    """Raise DeviceError unless this machine has so much memory left; `what` begins the sentence."""
    advice = "close other programs, or ask for fewer layers at once"
    check_free(f"{what} need", needed, free_host_bytes(), advice)


def keeps_all(needed: int, layers: int, device: torch.device) -> bool:
    """Whether all layers fit on a device beside what a window needs; on the CPU they stay as they are stored.

    Raises:
        DeviceError: not even one layer does.
    """
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    if needed > free:
        raise DeviceError(
            f"Features need {size_text(needed)} on the device, and {size_text(free)} are free there: ask for fewer "
            "layers at once, or use --device cpu."
        )
    return needed + layers <= free
