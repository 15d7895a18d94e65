"""The prior of one level: tokens, conditions and transformer put together (facts 3)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from jukebox.config import PriorConfig
from jukebox.errors import DataError
from jukebox.nn.linear import Linear, linear
from jukebox.nn.packed import PackedLinear, pack, packed
from jukebox.nn.quantised import Bits, quantise, widen
from jukebox.prior.cache import TransformerState
from jukebox.prior.conditions import Conditioning, Conditions
from jukebox.prior.label_conditioner import LabelConditioner
from jukebox.prior.losses import PriorLosses, bits, weighted
from jukebox.prior.lyrics import LyricsEncoder, TokenLayout
from jukebox.prior.step import rows_for
from jukebox.prior.token_stack import Positions, Tokens, TokenStack, all_positions, before
from jukebox.prior.transformer import TransformerOutput, Wanted
from jukebox.prior.upsample_conditioner import UpsampleConditioner

Codes = Int64[Tensor, "batch codes"]
Logits = Float[Tensor, "batch positions vocabulary"]
Hidden = Float[Tensor, "batch positions width"]

NOTHING = Wanted()


@dataclass(frozen=True, kw_only=True)
class PriorState:
    """Windows that are being written: their conditions, computed once, and what the transformer has kept.

    As with a `TransformerState`, go on with the state that a call returns; a call that fails can be repeated.
    """

    conditioning: Conditioning
    transformer: TransformerState

    def items(self, first: int, last: int) -> "PriorState":
        """The items `first` to `last` - 1, in the same memory."""
        return PriorState(
            conditioning=self.conditioning.items(first, last), transformer=self.transformer.items(first, last)
        )

    def at(self, positions: Int64[Tensor, " batch"], furthest: int) -> "PriorState":
        """The same with each item at a new position, the largest of which is `furthest`."""
        return replace(self, transformer=replace(self.transformer, positions=positions, furthest=furthest))


@dataclass(frozen=True, kw_only=True)
class PriorOutput:
    """What a prior says about some positions.

    Args:
        logits: of the token at each position.
        layers: hidden states after the layers that were wanted.
        lyric_attention: how much each position attends to each lyric token, [batch heads positions lyrics] in
            float32, in the layers that were wanted. Of a layer that looks at other keys too it is the lyrics' share.
    """

    logits: Logits
    layers: Mapping[int, Hidden]
    lyric_attention: Mapping[int, Tensor]


@dataclass(frozen=True, kw_only=True)
class WindowOutput(PriorOutput):
    """What a prior says about a whole window, and how far from the truth that is."""

    losses: PriorLosses


@dataclass(frozen=True, kw_only=True)
class StepOutput(PriorOutput):
    """What a prior says about the next positions, and the state after them."""

    state: PriorState


class Prior(TokenStack):
    """Predicts each code of a level from those before it and the conditions; parameters only.

    Args:
        config: what it is.
        depth: build only so many layers, the first, and nothing that follows the last: for `hidden_states`.
    """

    def __init__(self, config: PriorConfig, *, depth: int | None = None) -> None:
        layout, width = TokenLayout.of(config), config.transformer.width
        super().__init__(
            config.transformer,
            layout.vocabulary,
            learned_start=config.labels is None,
            prefix=layout.prefix,
            depth=depth,
        )
        self.config, self.layout = config, layout
        self.labels = LabelConditioner(config.labels, width) if config.labels else None
        self.upsampler = (
            UpsampleConditioner(config.upsampler, config.codebook_size, width) if config.upsampler else None
        )
        encoded = config.lyrics is not None and config.lyrics.encoder is not None
        self.lyrics_encoder = LyricsEncoder(config.lyrics, width) if config.lyrics and encoded else None
        apart = depth is None and not config.tied_output
        self.output = Linear(width, layout.vocabulary, bias=False) if apart else None
        if config.matrix_bits is not None:
            quantise(self.transformer, config.matrix_bits)

    def forward(
        self,
        codes: Codes,
        conditions: Conditions,
        *,
        hidden: Bool[Tensor, "batch codes"] | None = None,
        wanted: Wanted = NOTHING,
        recompute: bool = False,
    ) -> WindowOutput:
        """Logits at every position of a window whose codes are known, and the losses.

        Args:
            codes: the window's codes, 0 to codebook_size - 1; all of them, or as many as there are from its first.
            conditions: what the window is conditioned on.
            hidden: codes that later positions are not shown; each is predicted all the same. None: all are shown.
            wanted: hidden states of layers and their attention to lyrics, to return as well.
            recompute: keep each block's input only and compute the block again for the gradient: less memory,
                a third more time.

        Returns:
            Logits [batch positions vocabulary] of the lyric tokens, if they are a prefix, and of the codes.

        Raises:
            DataError: the conditions are not those that the prior was trained with.
        """
        conditioning = self.condition(conditions, len(codes), recompute=recompute)
        tokens = self.layout.tokens(codes, conditions.lyrics)
        conditioning = conditioning.first(tokens.shape[1])
        if hidden is not None:
            hidden = before(F.pad(hidden, (self.layout.prefix, 0)))
        inputs = self.transformer_inputs(before(tokens), all_positions(tokens), conditioning, hidden)
        output = self.transformer(
            inputs, encoded_lyrics=conditioning.encoded_lyrics, wanted=wanted, recompute=recompute
        )
        logits = self._logits(output.hidden, conditioning.added)
        return WindowOutput(
            logits=logits,
            layers=output.layers,
            lyric_attention=self._lyric_attention(output),
            losses=self._losses(logits, tokens, conditions, conditioning),
        )

    @torch.no_grad()
    def hidden_states(self, codes: Codes, conditions: Conditions, layers: frozenset[int]) -> dict[int, Hidden]:
        """Hidden states of a window whose codes are known; nothing is computed after the deepest of the layers.

        Args:
            codes: as in `forward`.
            conditions: what the window is conditioned on.
            layers: counted as in the literature: n is the output of the n-th layer, 1 to the depth, and 0 what enters
                the first.

        Returns:
            By layer [batch codes width], of the codes and not of a prefix of lyrics; float32, but 0 in its own type.
            The vector of a code has seen the codes before it, not the code itself.
        """
        tokens = self.layout.tokens(codes, conditions.lyrics)
        conditioning = self.condition(conditions, len(codes)).first(tokens.shape[1])
        inputs = self.transformer_inputs(before(tokens), all_positions(tokens), conditioning)
        wanted = Wanted(layers=frozenset(layer - 1 for layer in layers if layer > 0), alone=True)
        found = self.transformer(inputs, encoded_lyrics=conditioning.encoded_lyrics, wanted=wanted).layers
        states = {layer: inputs if layer == 0 else found[layer - 1] for layer in layers}
        return {layer: hidden[:, self.layout.prefix :] for layer, hidden in states.items()}

    @torch.no_grad()
    def new_state(self, conditions: Conditions, batch: int) -> PriorState:
        """The state of `batch` windows of which nothing has been read yet."""
        conditioning = self.condition(conditions, batch)
        return PriorState(
            conditioning=conditioning,
            transformer=self.transformer.new_state(batch, encoded_lyrics=conditioning.encoded_lyrics),
        )

    @torch.no_grad()
    def empty_state(self, slots: int) -> PriorState:
        """The state of `slots` windows of which nothing is known yet, to be filled one by one by `fill`."""
        conditioning = self.empty_conditioning(slots)
        return PriorState(
            conditioning=conditioning,
            transformer=self.transformer.new_state(slots, encoded_lyrics=conditioning.encoded_lyrics),
        )

    @torch.no_grad()
    def empty_conditioning(self, slots: int) -> Conditioning:
        """The conditions of `slots` windows of which nothing is known yet, without what a transformer keeps."""
        config, start = self.config, self.token_embedding.weight.new_zeros(slots, self.config.transformer.width)
        added = encoded = None
        if (self.labels is not None and self.labels.adds) or self.upsampler is not None:
            added = start.new_zeros(slots, config.transformer.context, start.shape[1])
        if self.lyrics_encoder is not None:
            assert config.lyrics is not None
            encoded = start.new_zeros(slots, config.lyrics.tokens, start.shape[1])
        return Conditioning(start=start, added=added, encoded_lyrics=encoded)

    @torch.no_grad()
    def fill(self, item: PriorState, conditions: Conditions) -> None:
        """Condition the window of a state of one item, in place."""
        found, old = self.condition(conditions, 1), item.conditioning
        old.start.copy_(found.start)
        if old.added is not None and found.added is not None:
            old.added[:, : found.added.shape[1]] = found.added
        if old.encoded_lyrics is not None and found.encoded_lyrics is not None:
            old.encoded_lyrics.copy_(found.encoded_lyrics)
            self.transformer.read_lyrics(found.encoded_lyrics, item.transformer)

    @torch.no_grad()
    def extend(self, previous: Tokens, state: PriorState, *, wanted: Wanted = NOTHING) -> StepOutput:
        """Logits at the next positions of windows that are being written; no gradients flow.

        Args:
            previous: the token before each of these positions; ignored at position 0, before which there is none.
                One position where the windows are at different places, else any number.
            state: of the same windows.
            wanted: as in `forward`.
        """
        output, added = self._extended(previous, state, wanted)
        assert output.state is not None
        items = len(previous)
        return StepOutput(
            logits=self._logits(output.hidden, added)[:items],
            layers={layer: hidden[:items] for layer, hidden in output.layers.items()},
            lyric_attention=self._lyric_attention(output),
            state=replace(state, transformer=output.state),
        )

    @torch.no_grad()
    def read(self, previous: Tokens, state: PriorState) -> PriorState:
        """The state after some more positions whose tokens are known; as `extend`, without the logits."""
        output, _ = self._extended(previous, state, NOTHING)
        assert output.state is not None
        return replace(state, transformer=output.state)

    def _extended(
        self, previous: Tokens, state: PriorState, wanted: Wanted
    ) -> tuple[TransformerOutput, Float[Tensor, "rows positions width"] | None]:
        """The transformer's output at the next positions, and what was added to its inputs.

        A step has `step.rows_for` rows, the last ones empty where there are fewer items.
        """
        steps = torch.arange(previous.shape[1], device=previous.device)
        positions = state.transformer.positions[:, None] + steps
        conditioning = state.conditioning.at(positions)
        inputs, added = self.transformer_inputs(previous, positions, conditioning), conditioning.added
        empty = rows_for(len(previous)) - len(previous) if previous.shape[1] == 1 else 0
        if empty:
            inputs = F.pad(inputs, (0, 0, 0, 0, 0, empty))
            added = None if added is None else F.pad(added, (0, 0, 0, 0, 0, empty))
        return self.transformer(inputs, state=state.transformer, wanted=wanted), added

    def pack(self, *, native: bool = False) -> None:
        """Make the prior one for inference only: matrices are packed where that loses nothing (`nn.packed`)."""
        whole = self._numbers()
        if self.output is None:
            # Tied: what gives logits is packed, what embeds stays.
            output = Linear(*reversed(self.token_embedding.weight.shape), bias=False, device="meta")
            output.weight = self.token_embedding.weight
            self.output = packed(output, native=native)
        pack(self, native=native)
        if self._numbers() < whole // 2:
            # A file that the parameters lie in stays in memory as long as one of them does.
            for parameter in self.parameters():
                parameter.data = parameter.data.clone()

    def reduce(self, bits: Bits | None, device: torch.device | None = None) -> None:
        """Keep the transformer's matrices in so many bits from now on, for inference; None for whole numbers.

        What is in as many bits already stays as it is; from others nothing that was lost comes back.

        Args:
            bits: 8, 4 or None.
            device: where each matrix is rounded; None where it is.
        """
        if bits == self.config.matrix_bits:
            return
        widen(self.transformer)
        if bits is not None:
            quantise(self.transformer, bits, device)
        self.config = replace(self.config, matrix_bits=bits)

    def _numbers(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    def condition(self, conditions: Conditions, batch: int, *, recompute: bool = False) -> Conditioning:
        """The conditions of `batch` windows as vectors.

        Raises:
            DataError: when a condition that the prior was trained with is missing, or has the wrong size.
        """
        self._check(conditions)
        context, prefix = self.config.codes_context, self.layout.prefix
        added = encoded = None
        if self.labels is None:
            assert self.start_token is not None
            start = self.start_token.expand(batch, -1)
        else:
            assert conditions.labels is not None
            start = self.labels.start(conditions.labels, conditions.blend)
            if self.labels.adds:
                added = self.labels.added(conditions.labels, start, context)
        if self.upsampler is not None:
            assert conditions.codes_above is not None
            above = self.upsampler(conditions.codes_above, recompute=recompute)
            added = above if added is None else added + above
        if self.lyrics_encoder is not None:
            encoded = self.lyrics_encoder(conditions.lyrics, recompute=recompute)
        if added is not None and prefix > 0:
            added = F.pad(added, (0, 0, prefix, 0))  # nothing is added to the lyrics
        return Conditioning(start=start, added=added, encoded_lyrics=encoded)

    def transformer_inputs(
        self,
        previous: Tokens,
        positions: Positions,
        conditioning: Conditioning,
        hidden: Bool[Tensor, "batch positions"] | None = None,
    ) -> Hidden:
        """What enters the transformer: embeddings of the tokens before and of the positions, and the conditioning.

        Nothing stands for `hidden` ones of the tokens before.
        """
        return _plus(self.inputs(previous, positions, conditioning.start, hidden), conditioning.added)

    def _logits(self, hidden: Hidden, added: Hidden | None) -> Logits:
        if self.config.recondition:
            hidden = _plus(hidden, added)
        if isinstance(self.output, PackedLinear):
            return self.output(hidden)
        # In float32 too: in 16 bits logits are rounded as coarsely as everything before them together.
        weight = self.token_embedding.weight if self.output is None else self.output.weight
        return linear(hidden, weight.to(hidden.dtype))

    def _lyric_attention(self, output: TransformerOutput) -> dict[int, Tensor]:
        letters = self.config.transformer.layers
        return {
            layer: weights if letters[layer] == "X" else weights[..., : self.layout.prefix]
            for layer, weights in output.attention.items()
        }

    def _losses(
        self, logits: Logits, tokens: Tokens, conditions: Conditions, conditioning: Conditioning
    ) -> PriorLosses:
        prefix, lyrics, config = self.layout.prefix, conditions.lyrics, self.config.lyrics
        music = bits(logits[:, prefix:], tokens[:, prefix:])
        if config is None or lyrics is None:
            return PriorLosses(total=music, lyrics=torch.zeros_like(music), music=music)
        if self.lyrics_encoder is None:
            words = bits(logits[:, :prefix], lyrics)
        else:
            assert conditioning.encoded_lyrics is not None
            words = bits(self.lyrics_encoder.logits(conditioning.encoded_lyrics), lyrics)
        codes = tokens.shape[1] - prefix
        return weighted(
            music=music, codes=codes, lyrics=words, lyric_tokens=lyrics.shape[1], lyrics_weight=config.loss_weight
        )

    def _check(self, conditions: Conditions) -> None:
        config = self.config
        expected = {"labels": config.labels, "lyrics": config.lyrics, "codes_above": config.upsampler}
        for name, part in expected.items():
            if (part is None) != (getattr(conditions, name) is None):
                found, wanted = (f"no {name}", "is") if part is not None else (name, "is not")
                raise DataError(
                    f"The conditions hold {found}; this prior {wanted} conditioned on {name}: "
                    "give exactly what its configuration names."
                )
        sizes = {}
        if config.lyrics is not None:
            sizes["lyrics"] = config.lyrics.tokens
        if config.upsampler is not None:
            sizes["codes_above"] = config.codes_context // config.upsampler.stride**config.upsampler.steps
        for name, size in sizes.items():
            found = getattr(conditions, name).shape[1]
            # A window that ends with a short song has fewer codes above it: the conditioner pads, as at any border.
            if found != size and not (name == "codes_above" and 0 < found < size):
                raise DataError(
                    f"The conditions hold {found} {name} in each window; "
                    f"expected {size}, as in the prior's configuration."
                )


def _plus(x: Hidden, added: Hidden | None) -> Hidden:
    return x if added is None else x + added
