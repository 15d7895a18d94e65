"""Which windows a song is written in: pure integers."""

from jukebox.errors import ConfigError


def window_starts(total_length: int, context: int, hop: int) -> tuple[int, ...]:
    """First positions of the windows that together cover a song.

    Windows start every `hop` tokens; the last is moved back so that it ends exactly with the song. A song
    that is not longer than the context is one window from its start. Source: the original's sampling loop.

    Args:
        total_length: tokens of the song, at least 1.
        context: tokens of a window, at least 1.
        hop: tokens from one window to the next, 1..context.

    Returns:
        Ascending positions, the first 0, the last max(0, total_length - context).

    Raises:
        ConfigError: when a number is outside its range.
    """
    if total_length < 1 or context < 1:
        raise ConfigError(
            f"A song of {total_length} tokens in windows of {context}: both must be at least 1 token long."
        )
    if not 1 <= hop <= context:
        raise ConfigError(
            f"The hop between windows is {hop} tokens: it must be 1..{context}, else the windows leave gaps."
        )
    last = max(0, total_length - context)
    return (*range(0, last, hop), last)
