"""The Hugging Face layout's `config.json` as our configurations, and back (facts 6.1).

Its priors are listed from the top level down. It has no field for the sample rate of the VQ-VAE, the dilation order
of its decoder and its losses: those are the released model's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from jukebox.checkpoints.names import Shapes
from jukebox.checkpoints.orders import letters, refuse_new_labels, refuse_new_options
from jukebox.config import (
    CodebookConfig,
    LabelConfig,
    LossConfig,
    LyricsConfig,
    PriorConfig,
    TransformerConfig,
    UpsamplerConfig,
    VqvaeConfig,
)
from jukebox.errors import CheckpointError

_PATTERNS = {
    "full_dense_attention": 0,
    "raw_column_previous_row_attention": 2,
    "large_separated_enc_dec_w_lyrics": 10,
    "enc_dec_with_lyrics": 12,
}
"""Their names of attention patterns, as numbers of the original's orders."""


def vqvae_config(values: Mapping[str, Any]) -> VqvaeConfig:
    """The VQ-VAE of `vqvae_config`."""
    return VqvaeConfig(
        steps=tuple(_need(values, "res_downs_t")),
        strides=tuple(_need(values, "res_strides_t")),
        multipliers=tuple(_need(values, "multipliers")),
        width=_need(values, "res_conv_width"),
        depth=_need(values, "res_conv_depth"),
        hidden_ratio=float(_need(values, "res_convolution_multiplier")),
        dilation_growth=_need(values, "res_dilation_growth_rate"),
        dilation_cycle=_need(values, "res_dilation_cycle"),
        embedding_width=_need(values, "embed_dim"),
        codebook=CodebookConfig(size=_need(values, "nb_discrete_codes"), decay=float(_need(values, "lmu"))),
        loss=LossConfig(commit=float(_need(values, "commit"))),
    )


def vqvae_values(config: VqvaeConfig) -> dict[str, Any]:
    """`vqvae_config` for this VQ-VAE."""
    if config.channels != 1 or not config.reverse_decoder_dilation or not config.quantise:
        raise CheckpointError(
            "The Hugging Face layout is for a mono VQ-VAE with codebooks and reversed dilation in the decoder; "
            "keep this model in our own format."
        )
    return {
        "model_type": "jukebox_vqvae",
        "levels": config.levels,
        "res_downs_t": list(config.steps),
        "res_strides_t": list(config.strides),
        "multipliers": list(config.multipliers),
        "res_conv_width": config.width,
        "res_conv_depth": config.depth,
        "res_convolution_multiplier": _whole(config.hidden_ratio),
        "res_dilation_growth_rate": config.dilation_growth,
        "res_dilation_cycle": config.dilation_cycle,
        "embed_dim": config.embedding_width,
        "nb_discrete_codes": config.codebook.size,
        "lmu": config.codebook.decay,
        "commit": config.loss.commit,
    }


def prior_config(values: Mapping[str, Any], level: int, shapes: Shapes) -> PriorConfig:
    """One of `prior_config_list`; what the shapes of its tensors show is taken from them."""
    lyric_tokens = _need(values, "nb_relevant_lyric_tokens")
    joint = bool(_need(values, "is_encoder_decoder")) and lyric_tokens > 0
    lyrics = None
    if lyric_tokens > 0:
        encoder = None if joint else _transformer_config(_need(values, "encoder_config"), lyric_tokens)
        lyrics = LyricsConfig(
            tokens=lyric_tokens,
            vocabulary=_need(values, "lyric_vocab_size"),
            loss_weight=float(_need(values, "encoder_loss_fraction")),
            encoder=encoder,
            alignment_layer=values.get("alignment_layer"),
            alignment_head=values.get("alignment_head"),
        )
    merged = bool(_need(values, "merged_decoder"))
    return PriorConfig(
        level=level,
        codebook_size=_need(values, "music_vocab_size"),
        transformer=_transformer_config(values, _need(values, "n_ctx") + (lyric_tokens if joint else 0)),
        labels=_label_config(values, shapes),
        upsampler=_upsampler_config(values, shapes),
        lyrics=lyrics,
        tied_output=not merged,
        recondition=not merged,
    )


def _transformer_config(values: Mapping[str, Any], context: int) -> TransformerConfig:
    pattern = _need(values, "attention_pattern")
    if pattern not in _PATTERNS:
        raise CheckpointError(f"config.json names attention {pattern!r}; expected one of {', '.join(_PATTERNS)}.")
    return TransformerConfig(
        context=context,
        width=_need(values, "hidden_size"),
        attention=letters(_PATTERNS[pattern], _need(values, "num_layers")),
        heads=_need(values, "n_heads"),
        rows=_need(values, "blocks"),
        attention_ratio=float(_need(values, "attention_multiplier")),
        mlp_ratio=float(_need(values, "mlp_multiplier")),
        tail=values.get("spread"),
        init_scale=float(_need(values, "init_scale")),
        residual_scale=bool(values.get("attn_res_scale")),
        zero_output=bool(values.get("zero_out")),
    )


def _label_config(values: Mapping[str, Any], shapes: Shapes) -> LabelConfig | None:
    artists, genres = (
        shapes.get("metadata_embedding.artist_emb.weight"),
        shapes.get("metadata_embedding.bow_genre_emb.weight"),
    )
    if artists is None or genres is None:
        return None
    timing = shapes.get("metadata_embedding.total_length_emb.emb.weight")
    return LabelConfig(
        artists=artists[0],
        genres=genres[0],
        genre_slots=_need(values, "max_nb_genres"),
        timing_bins=timing[0] if timing else None,
        min_duration_s=float(_need(values, "min_duration")) if timing else None,
        max_duration_s=float(_need(values, "max_duration")) if timing else None,
        sample_rate=int(values.get("sampling_rate", 44100)) if timing else 44100,
    )


def _upsampler_config(values: Mapping[str, Any], shapes: Shapes) -> UpsamplerConfig | None:
    steps = 0
    while f"conditioner_blocks.upsampler.upsample_block.{2 * steps + 1}.weight" in shapes:
        steps += 1
    if steps == 0:
        return None
    return UpsamplerConfig(
        steps=steps,
        stride=shapes["conditioner_blocks.upsampler.upsample_block.1.weight"][2] // 2,
        width=_need(values, "res_conv_width"),
        depth=_need(values, "res_conv_depth"),
        hidden_ratio=float(_need(values, "res_convolution_multiplier")),
        dilation_growth=_need(values, "res_dilation_growth_rate"),
        dilation_cycle=_need(values, "res_dilation_cycle"),
        residual_scale=bool(values.get("conv_res_scale")),
    )


def model_values(vqvae: VqvaeConfig, priors: Sequence[PriorConfig]) -> dict[str, Any]:
    """The whole `config.json`; `priors` from the top level down.

    The library gives the model's own genre slots, timing and durations to every prior, so the model has the top's.
    """
    listed = [_prior_values(config, vqvae, priors, place) for place, config in enumerate(priors)]
    values: dict[str, Any] = {
        "architectures": ["JukeboxModel"],
        "model_type": "jukebox",
        "nb_priors": len(priors),
        "hop_fraction": [0.125, *[0.5] * (len(priors) - 1)],
        "sampling_rate": vqvae.sample_rate,
        "vqvae_config": vqvae_values(vqvae),
        "prior_config_list": listed,
    }
    shared = ("metadata_conditioning", "timing_dims", "min_duration", "max_duration")
    values |= {name: listed[0][name] for name in shared if listed and name in listed[0]}
    if slots := [prior["max_nb_genres"] for prior in listed if "max_nb_genres" in prior]:
        values["max_nb_genres"] = max(slots)
    return values


def _prior_values(config: PriorConfig, vqvae: VqvaeConfig, priors: Sequence[PriorConfig], place: int) -> dict[str, Any]:
    if config.tied_output != config.recondition:
        raise CheckpointError(
            f"The prior has tied_output={config.tied_output} and recondition={config.recondition}; "
            "the Hugging Face layout has one switch for both: keep it in our own format."
        )
    lyrics, labels = config.lyrics, config.labels
    values = {
        "model_type": "jukebox_prior",
        "level": place,
        "n_ctx": config.codes_context,
        "music_vocab_size": config.codebook_size,
        "merged_decoder": not config.tied_output,
        "mask": True,  # the library's default lets positions see the future, which no released model does
        "metadata_conditioning": labels is not None,
        "nb_relevant_lyric_tokens": lyrics.tokens if lyrics else 0,
        "is_encoder_decoder": lyrics is not None and lyrics.encoder is None,
        # The library reads a prior's steps at the prior's own place in this list.
        "res_downs_t": [vqvae.steps[0], *(p.upsampler.steps if p.upsampler else 1 for p in priors[1:])],
        "res_strides_t": [vqvae.strides[0], *(p.upsampler.stride if p.upsampler else 2 for p in priors[1:])],
        "sampling_rate": vqvae.sample_rate,
        **_transformer_values(config.transformer),
    }
    if lyrics is not None:
        values |= {
            "lyric_vocab_size": lyrics.vocabulary,
            "encoder_loss_fraction": lyrics.loss_weight,
            "alignment_layer": lyrics.alignment_layer,
            "alignment_head": lyrics.alignment_head,
        }
        if lyrics.encoder is not None:
            values["encoder_config"] = {"model_type": "jukebox_prior", "n_ctx": lyrics.tokens, "mask": True}
            values["encoder_config"] |= _transformer_values(lyrics.encoder)
    if labels is not None:
        refuse_new_labels(labels)
        values |= {"metadata_dims": [labels.genres, labels.artists], "max_nb_genres": labels.genre_slots}
        if labels.timing_bins is not None:
            values |= {"timing_dims": labels.timing_bins}
            values |= {"min_duration": labels.min_duration_s, "max_duration": labels.max_duration_s}
    if config.upsampler is not None:
        values |= {
            "res_conv_width": config.upsampler.width,
            "res_conv_depth": config.upsampler.depth,
            "res_convolution_multiplier": _whole(config.upsampler.hidden_ratio),
            "res_dilation_growth_rate": config.upsampler.dilation_growth,
            "res_dilation_cycle": config.upsampler.dilation_cycle,
            "conv_res_scale": config.upsampler.residual_scale,
        }
    return values


def _transformer_values(config: TransformerConfig) -> dict[str, Any]:
    refuse_new_options(config)
    names = [name for name, order in _PATTERNS.items() if letters(order, config.depth) == config.attention]
    if not names:
        raise CheckpointError(
            f"The attention pattern {config.attention!r} has no name in the Hugging Face layout; "
            "keep this model in our own format."
        )
    # Of two names with equal letters, the plain one does not ask for lyrics.
    return {
        "attention_pattern": names[0],
        "hidden_size": config.width,
        "num_layers": config.depth,
        "n_heads": config.heads,
        "blocks": config.rows,
        "attention_multiplier": config.attention_ratio,
        "mlp_multiplier": config.mlp_ratio,
        "spread": config.tail,
        "init_scale": config.init_scale,
        "attn_res_scale": config.residual_scale,
        "zero_out": config.zero_output,
    }


def _whole(ratio: float) -> int | float:
    """Whole numbers as integers: the library uses them as sizes."""
    return int(ratio) if ratio == int(ratio) else ratio


def _need(values: Mapping[str, Any], name: str) -> Any:
    if name not in values:
        raise CheckpointError(f"config.json lacks {name!r}; get the whole folder again.")
    return values[name]
