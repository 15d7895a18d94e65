"""Every test runs with the shapes in public signatures checked, and with warnings as errors."""

from jaxtyping import install_import_hook

# Before the first import of jukebox: the hook rewrites modules as they are imported.
install_import_hook("jukebox", "beartype.beartype")
