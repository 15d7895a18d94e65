"""The original's hyper-parameters as our configurations, and back.

A prior's own hyper-parameters do not tell its vocabulary, nor the steps of its conditioner (they belong to the
VQ-VAE), and files of 2020 may lack newer fields: whatever the tensors' shapes show is taken from them.
"""

from collections.abc import Mapping
from typing import Any

from jukebox.checkpoints import orders
from jukebox.checkpoints.names import Shapes
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

Hps = Mapping[str, Any]

_LOSSES = {"l1": "l1", "l2": "l2", "linf": "linf", "lmix": "mix"}
_UNSUPPORTED = ("copy_input", "y_cond_as_bias", "prime_rel_attn")


def vqvae_config(hps: Hps) -> VqvaeConfig:
    """The VQ-VAE that these hyper-parameters describe; it is always mono, whatever `channels` of the data says."""
    need = _reader(hps)
    return VqvaeConfig(
        sample_rate=int(need("sr")),
        steps=tuple(need("downs_t")),
        strides=tuple(need("strides_t")),
        multipliers=tuple(hps.get("hvqvae_multipliers") or (1,) * len(need("downs_t"))),
        width=need("width"),
        depth=need("depth"),
        hidden_ratio=float(need("m_conv")),
        dilation_growth=need("dilation_growth_rate"),
        dilation_cycle=need("dilation_cycle"),
        reverse_decoder_dilation=bool(need("vqvae_reverse_decoder_dilation")),
        embedding_width=need("emb_width"),
        quantise=bool(hps.get("use_bottleneck", True)),
        codebook=CodebookConfig(
            size=need("l_bins"), decay=float(need("l_mu")), restart_threshold=float(need("revival_threshold"))
        ),
        loss=_loss_config(need),
    )


def _loss_config(need: Any) -> LossConfig:
    name = need("loss_fn")
    if name not in _LOSSES:
        raise CheckpointError(f"The file was trained with loss_fn {name!r}; expected one of {', '.join(_LOSSES)}.")
    return LossConfig(
        reconstruction=_LOSSES[name],  # type: ignore[arg-type]
        mix_l1=float(need("lmix_l1")),
        mix_l2=float(need("lmix_l2")),
        mix_linf=float(need("lmix_linf")),
        linf_k=need("linf_k"),
        spectral=float(need("spectral")),
        multispectral=float(need("multispectral")),
        relative=not need("use_nonrelative_specloss"),
        n_ffts=tuple(need("multispec_loss_n_fft")),
        hop_lengths=tuple(need("multispec_loss_hop_length")),
        window_lengths=tuple(need("multispec_loss_window_size")),
        commit=float(need("commit")),
    )


def vqvae_hps(config: VqvaeConfig) -> dict[str, Any]:
    """The original's names for a VQ-VAE; how its codebook is learnt beyond the original's rules is not written."""
    if config.channels != 1:
        raise CheckpointError(
            f"The VQ-VAE has {config.channels} channels; the original's is mono: keep it in our own format."
        )
    loss = config.loss
    return {
        "sr": config.sample_rate,
        "levels": config.levels,
        "downs_t": config.steps,
        "strides_t": config.strides,
        "hvqvae_multipliers": config.multipliers,
        "width": config.width,
        "depth": config.depth,
        "m_conv": config.hidden_ratio,
        "dilation_growth_rate": config.dilation_growth,
        "dilation_cycle": config.dilation_cycle,
        "vqvae_reverse_decoder_dilation": config.reverse_decoder_dilation,
        "emb_width": config.embedding_width,
        "use_bottleneck": config.quantise,
        "l_bins": config.codebook.size,
        "l_mu": config.codebook.decay,
        "revival_threshold": config.codebook.restart_threshold,
        "loss_fn": {ours: theirs for theirs, ours in _LOSSES.items()}[loss.reconstruction],
        "lmix_l1": loss.mix_l1,
        "lmix_l2": loss.mix_l2,
        "lmix_linf": loss.mix_linf,
        "linf_k": loss.linf_k,
        "spectral": loss.spectral,
        "multispectral": loss.multispectral,
        "use_nonrelative_specloss": not loss.relative,
        "multispec_loss_n_fft": loss.n_ffts,
        "multispec_loss_hop_length": loss.hop_lengths,
        "multispec_loss_window_size": loss.window_lengths,
        "commit": loss.commit,
    }


def prior_config(hps: Hps, shapes: Shapes) -> PriorConfig:
    """The prior that these hyper-parameters and the shapes of the file's tensors describe."""
    need = _reader(hps)
    for name in _UNSUPPORTED:
        if hps.get(name):
            raise CheckpointError(f"The file sets {name}={hps[name]!r}, which no released model uses and is not read.")
    lyrics = _lyrics_config(hps, need)
    prefixed = lyrics is not None and lyrics.encoder is None
    rows_of_embedding = _shape(shapes, "prior.x_emb.weight")[0]
    merged = bool(need("merged_decoder"))
    return PriorConfig(
        level=need("level"),
        codebook_size=rows_of_embedding - (lyrics.vocabulary if lyrics and prefixed else 0),
        transformer=_transformer_config(need, need("n_ctx") + (lyrics.tokens if lyrics and prefixed else 0)),
        labels=_label_config(hps, need, shapes),
        upsampler=_upsampler_config(need, shapes),
        lyrics=lyrics,
        tied_output=not merged,
        recondition=not merged,
    )


def _transformer_config(need: Any, context: int, prefix: str = "") -> TransformerConfig:
    def field(name: str) -> Any:
        return need(prefix + name)

    stack = "prime_" if prefix else "prior_"
    return TransformerConfig(
        context=context,
        width=need(stack + "width"),
        attention=orders.letters(field("attn_order"), need(stack + "depth")),
        heads=field("heads"),
        rows=field("blocks"),
        attention_ratio=float(field("m_attn")),
        mlp_ratio=float(field("m_mlp")),
        tail=field("spread"),
        init_scale=float(field("init_scale")),
        residual_scale=bool(field("res_scale")),
        zero_output=bool(field("zero_out")),
    )


def _lyrics_config(hps: Hps, need: Any) -> LyricsConfig | None:
    if not (hps.get("use_tokens") and hps.get("n_tokens")):
        return None
    encoder = None if need("single_enc_dec") else _transformer_config(need, need("n_tokens"), "prime_")
    return LyricsConfig(
        tokens=need("n_tokens"),
        vocabulary=need("n_vocab"),
        loss_weight=float(need("prime_loss_fraction")),
        encoder=encoder,
        alignment_layer=hps.get("alignment_layer"),
        alignment_head=hps.get("alignment_head"),
    )


def _label_config(hps: Hps, need: Any, shapes: Shapes) -> LabelConfig | None:
    if "y_emb.artist_emb.emb.weight" not in shapes:
        return None
    timing = shapes.get("y_emb.total_length_emb.emb.weight")
    return LabelConfig(
        artists=_shape(shapes, "y_emb.artist_emb.emb.weight")[0],
        genres=_shape(shapes, "y_emb.bow_genre_emb.emb.weight")[0],
        genre_slots=need("max_bow_genre_size"),
        timing_bins=timing[0] if timing else None,
        min_duration_s=float(need("min_duration")) if timing else None,
        max_duration_s=float(need("max_duration")) if timing else None,
        sample_rate=int(hps.get("sr", 44100)) if timing else 44100,
    )


def _upsampler_config(need: Any, shapes: Shapes) -> UpsamplerConfig | None:
    if "conditioner_blocks.0.x_emb.weight" not in shapes:
        return None
    steps = 0
    while f"conditioner_blocks.0.cond.model.{steps + 1}.1.weight" in shapes:
        steps += 1
    # The transposed convolution's kernel is twice its stride.
    stride = _shape(shapes, "conditioner_blocks.0.cond.model.1.1.weight")[2] // 2
    return UpsamplerConfig(
        steps=steps,
        stride=stride,
        width=need("cond_width"),
        depth=need("cond_depth"),
        hidden_ratio=float(need("cond_m_conv")),
        dilation_growth=need("cond_dilation_growth_rate"),
        dilation_cycle=need("cond_dilation_cycle"),
        residual_scale=bool(need("cond_res_scale")),
    )


def prior_hps(config: PriorConfig) -> dict[str, Any]:
    """The original's names for a prior."""
    if config.tied_output != config.recondition:
        raise CheckpointError(
            f"The prior has tied_output={config.tied_output} and recondition={config.recondition}; "
            "the original has one switch for both: keep it in our own format."
        )
    lyrics, labels, upsampler = config.lyrics, config.labels, config.upsampler
    hps = {
        "level": config.level,
        "n_ctx": config.codes_context,
        "merged_decoder": not config.tied_output,
        "labels": labels is not None,
        "use_tokens": lyrics is not None,
        "n_tokens": lyrics.tokens if lyrics else 0,
        "single_enc_dec": lyrics is not None and lyrics.encoder is None,
        "prime_loss_fraction": lyrics.loss_weight if lyrics else 0.0,
    }
    hps |= _transformer_hps(config.transformer, "prior_", "")
    if lyrics is not None:
        hps |= {"n_vocab": lyrics.vocabulary}
        hps |= {"alignment_layer": lyrics.alignment_layer, "alignment_head": lyrics.alignment_head}
        if lyrics.encoder is not None:
            hps |= _transformer_hps(lyrics.encoder, "prime_", "prime_")
    if labels is not None:
        orders.refuse_new_labels(labels)
        hps |= {"y_bins": (labels.genres, labels.artists), "max_bow_genre_size": labels.genre_slots}
        hps |= {"min_duration": labels.min_duration_s, "max_duration": labels.max_duration_s}
        if labels.timing_bins is not None:
            hps |= {"t_bins": labels.timing_bins, "sr": labels.sample_rate}
    if upsampler is not None:
        hps |= {
            "cond_width": upsampler.width,
            "cond_depth": upsampler.depth,
            "cond_m_conv": upsampler.hidden_ratio,
            "cond_dilation_growth_rate": upsampler.dilation_growth,
            "cond_dilation_cycle": upsampler.dilation_cycle,
            "cond_res_scale": upsampler.residual_scale,
            "cond_c_res": 1,  # our export spells residual blocks as the released files do: "blocks"
        }
    return hps


def _transformer_hps(config: TransformerConfig, stack: str, prefix: str) -> dict[str, Any]:
    orders.refuse_new_options(config)
    return {
        f"{stack}depth": config.depth,
        f"{stack}width": config.width,
        f"{prefix}heads": config.heads,
        f"{prefix}attn_order": orders.order(config.attention),
        f"{prefix}blocks": config.rows,
        f"{prefix}m_attn": config.attention_ratio,
        f"{prefix}m_mlp": config.mlp_ratio,
        f"{prefix}spread": config.tail,
        f"{prefix}init_scale": config.init_scale,
        f"{prefix}res_scale": config.residual_scale,
        f"{prefix}zero_out": config.zero_output,
    }


def _reader(hps: Hps) -> Any:
    def need(name: str) -> Any:
        if name not in hps:
            raise CheckpointError(
                f"The file's hyper-parameters lack {name!r}; say what it is with "
                "`jukebox weights import ... --config`, for example --config 5b/prior_level_2."
            )
        return hps[name]

    return need


def _shape(shapes: Shapes, name: str) -> tuple[int, ...]:
    if name not in shapes:
        raise CheckpointError(f"The file lacks the tensor {name!r}; it is no prior of the original: check the file.")
    return shapes[name]
