"""Mistakes in a configuration, in the words of the options that its values came from."""

import contextlib
from collections.abc import Iterator

from jukebox.errors import ConfigError, FieldError


@contextlib.contextmanager
def in_words_of(**options: str) -> Iterator[None]:
    """Say "--minimum is inf; ..." of a field `minimum_s` inside the block, for `minimum_s="--minimum"`.

    Args:
        options: the option that each field is given by; a field that has none is called as ever.
    """
    try:
        yield
    except FieldError as error:
        if error.field not in options:
            raise
        raise ConfigError(f"{options[error.field]} {error.said}") from error
