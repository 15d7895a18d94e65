"""Every test runs with the shapes in public signatures checked, and with warnings as errors."""

import os

import torch
from hypothesis import settings
from jaxtyping import install_import_hook

# Before the first import of jukebox: the hook rewrites modules as they are imported.
install_import_hook("jukebox", "beartype.beartype")

# On a busy machine any example may take long.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Kernels are what they are when their modules are imported: for the device where there is one, else interpreted.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
