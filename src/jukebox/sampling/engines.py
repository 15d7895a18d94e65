"""Which engine runs a prior."""

from jukebox.prior.prior import Prior
from jukebox.sampling.engine import Engine
from jukebox.sampling.native import NativeEngine
from jukebox.sampling.processor import ProcessorEngine
from jukebox.sampling.reference import ReferenceEngine


def engine_for(prior: Prior, slots: int, *, native: bool = True) -> Engine:
    """The fastest engine that runs a prior as it is: where it is, and in its type. The prior is the engine's then.

    Args:
        prior: that is run.
        slots: windows at once.
        native: whether that may be the one in C.
    """
    for engine in (NativeEngine, ProcessorEngine) if native else (ProcessorEngine,):
        if engine.fits(prior):
            return engine(prior, slots)
    return ReferenceEngine(prior, slots)
