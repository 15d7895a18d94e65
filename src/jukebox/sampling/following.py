"""Lyrics that follow what is sung: what each window of the top level is shown, heard in the codes before it."""

import torch
from jaxtyping import Int32
from torch import Tensor

from jukebox.alignment.window import hear
from jukebox.labels.labels import SongTokens
from jukebox.labels.timing import SongSpan
from jukebox.prior.prior import Prior
from jukebox.sampling.engine import listened
from jukebox.sampling.model import SongModel
from jukebox.sampling.plan import Item
from jukebox.sampling.threads import threads_for
from jukebox.sampling.windows import Chain, PlannedWindow, given_windows


class FollowedLyrics:
    """The lyrics of the windows of one chain, each around what is sung in its middle.

    The first window is told as if they were spread evenly. When another begins, the one before is whole: where it had
    come to is heard in it, with the lyrics that it was shown. So it depends on nothing but codes, and on what was heard
    before, which is kept with them.

    Args:
        item: whose song it is.
        model: that writes it; its top level is meant.
        chain: what is written.
        heard: the characters in the middle of its windows, as far as they were heard before an interruption.
    """

    def __init__(self, item: Item, model: SongModel, chain: Chain, heard: Int32[Tensor, " windows"] | None) -> None:
        self._item, self._model, self._context = item, model, model.level(model.top).config.codes_context
        self._windows = (*given_windows(chain, self._context), *chain.windows)
        self.centres: list[int] = [] if heard is None else heard.tolist()

    def tokens(self, window: PlannedWindow, codes: Int32[Tensor, " length"], prior: Prior) -> SongTokens:
        """The labels for a window that begins.

        Args:
            window: of the chain.
            codes: of the chain, raw; all before the window's first new one are there.
            prior: of the top level.
        """
        index = self._windows.index(window)
        while len(self.centres) < index:
            self.centres.append(self._heard(len(self.centres), codes, prior))
        return self._told(index)

    def _heard(self, index: int, codes: Int32[Tensor, " length"], prior: Prior) -> int:
        """The character in the middle of the window after a window."""
        window, after = self._windows[index : index + 2]
        there = listened(codes[window.start : window.end].long())
        with torch.no_grad(), threads_for(prior, self._context):
            heard = hear(prior, there, self._told(index), self._span(window))
        return heard.middle_of(self._span(after))

    def _told(self, index: int) -> SongTokens:
        tokens = self._item.tokens[self._model.top]
        return tokens.around(self.centres[index - 1]) if index else tokens

    def _span(self, window: PlannedWindow) -> SongSpan:
        return self._item.span(self._model.grid, self._model.top, window.start, self._context)
