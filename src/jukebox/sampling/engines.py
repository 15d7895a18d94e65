"""Which engine runs a prior."""

from jukebox.prior.prior import Prior
from jukebox.sampling.engine import Engine
from jukebox.sampling.processor import ProcessorEngine
from jukebox.sampling.reference import ReferenceEngine


def engine_for(prior: Prior, slots: int) -> Engine:
    """The fastest engine that runs a prior as it is: where it is, and in its type. The prior is the engine's then."""
    return ProcessorEngine(prior, slots) if ProcessorEngine.fits(prior) else ReferenceEngine(prior, slots)
