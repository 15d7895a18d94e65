"""What a run of training is, as values: the model, the data, the optimiser, and how the loop goes.

A recipe is a YAML file of these dataclasses (jukebox.training.recipe_file); the run keeps it beside its checkpoints.
"""

from dataclasses import dataclass, field
from typing import Literal

from jukebox.config import Config, PriorConfig, VqvaeConfig
from jukebox.config.base import require
from jukebox.data.crops import CropConfig
from jukebox.errors import ConfigError
from jukebox.training.optim import LearningRateSchedule, OptimizerConfig


@dataclass(frozen=True, kw_only=True)
class RunConfig(Config):
    """How the loop goes.

    Args:
        steps: how many updates there are in all.
        batch: windows of one update, over all workers.
        micro_batch: windows that one worker computes at once; the gradients of several are added up. None for all of
            a worker's share.
        seed: of the weights, the crops and everything else that is drawn.
        precision: "bfloat16" computes products in half precision; weights, sums and losses stay in float32.
        recompute: keep only the inputs of blocks and compute these again for the gradient.
        compile: let torch.compile fuse the model; the first step takes a minute or more.
        average_decay: also keep a moving average of the weights, which is then what is evaluated and exported.
        save_every_steps: how often everything is saved.
        keep: how many saved states are kept; the last whole one always is.
        log_every_steps: how often a line is written.
        evaluate_every_steps: how often the validation songs are looked at.
        evaluate_windows: how many windows of them.
        sample_every_steps: how often sound is put into the log.
        most_skipped: so many steps without a finite gradient one after another end the run.
        loader_threads: threads that prepare the next windows.
    """

    steps: int
    batch: int
    micro_batch: int | None = None
    seed: int = 0
    precision: Literal["float32", "bfloat16"] = "float32"
    recompute: bool = False
    compile: bool = False
    average_decay: float | None = None
    save_every_steps: int = 1000
    keep: int = 2
    log_every_steps: int = 10
    evaluate_every_steps: int = 1000
    evaluate_windows: int = 32
    sample_every_steps: int = 5000
    most_skipped: int = 20
    loader_threads: int = 1

    def __post_init__(self) -> None:
        counts = ("steps", "batch", "save_every_steps", "keep", "log_every_steps", "evaluate_every_steps")
        for name in (*counts, "sample_every_steps", "most_skipped", "evaluate_windows", "loader_threads"):
            require(getattr(self, name) >= 1, self, name, "1 or more")
        require(-(2**63) <= self.seed < 2**64, self, "seed", "a number of 64 bits")
        if self.micro_batch is not None:
            fits = self.micro_batch >= 1 and self.batch % self.micro_batch == 0
            require(fits, self, "micro_batch", f"a divisor of the batch, {self.batch}")
        if self.average_decay is not None:
            require(0 <= self.average_decay < 1, self, "average_decay", "a number in [0, 1), or null")


@dataclass(frozen=True, kw_only=True)
class LoraConfig(Config):
    """Low-rank adaptation: matrices stay as they are and learn a difference of low rank (Hu et al. 2021).

    Args:
        rank: of the difference.
        alpha: the difference is scaled by alpha / rank.
        targets: patterns of parameter names, as in "transformer.layers.*.attention.qkv.weight"; every parameter that
            one of them matches must have two dimensions or more.
    """

    rank: int = 16
    alpha: float = 16.0
    targets: tuple[str, ...] = ("transformer.layers.*.weight",)

    def __post_init__(self) -> None:
        require(self.rank >= 1, self, "rank", "1 or more")
        require(self.alpha > 0, self, "alpha", "a number above 0")
        require(len(self.targets) >= 1, self, "targets", "at least one pattern")


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(Config):
    """Training that begins from a model instead of random weights.

    Args:
        model: a folder, a .pth.tar file, mini or the name of a released model, as everywhere.
        labels: where the label lists of a released model are, if `model` has no vocabulary of its own.
        new_artists, new_genres: what the row of a name that the model does not know begins as: the "mean" of all
            rows, or the row of a name that it knows.
        frozen: patterns of parameter names that stay as they are.
        lora: train differences of low rank; everything that no pattern of `trained` matches is then frozen.
        trained: patterns of parameter names that are trained as a whole beside LoRA, as in "labels.*".
        frozen_precision: how frozen matrices of linear layers are kept: "int8" takes a quarter of the memory.
    """

    model: str
    labels: str | None = None
    new_artists: str = "mean"
    new_genres: str = "mean"
    frozen: tuple[str, ...] = ()
    lora: LoraConfig | None = None
    trained: tuple[str, ...] = ("labels.*",)
    frozen_precision: Literal["float32", "bfloat16", "int8"] = "float32"

    def __post_init__(self) -> None:
        alone = self.frozen_precision == "float32" or self.lora is not None or len(self.frozen) > 0
        require(alone, self, "frozen_precision", "float32, since nothing is frozen (give lora or frozen)")


@dataclass(frozen=True, kw_only=True)
class DataConfig(Config):
    """What is learnt from.

    Args:
        path: a folder of `jukebox data prepare`, or for a prior one of `jukebox data tokenize`.
        crops: how windows are taken; the length of a prior's windows is its own.
    """

    path: str
    crops: CropConfig = field(default_factory=CropConfig)


@dataclass(frozen=True, kw_only=True)
class Recipe(Config):
    """What VQ-VAEs and priors have in common."""

    data: DataConfig
    run: RunConfig
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: LearningRateSchedule = field(default_factory=LearningRateSchedule)
    finetune: FinetuneConfig | None = None


def _one_origin(recipe: "VqvaeRecipe | PriorRecipe") -> None:
    """A model is described, or comes from somewhere."""
    if (recipe.model is None) == (recipe.finetune is None):
        both = "both model and finetune" if recipe.model is not None else "neither model nor finetune"
        raise ConfigError(
            f"{type(recipe).__name__} has {both}; give model for a new one, or finetune with the model to begin from."
        )


@dataclass(frozen=True, kw_only=True)
class VqvaeRecipe(Recipe):
    """Training of a VQ-VAE.

    Args:
        model: what it is; None to take it from `finetune`.
        bandwidth_s: seconds of sound whose loudness scales the losses.
    """

    model: VqvaeConfig | None = None
    bandwidth_s: float = 600.0

    def __post_init__(self) -> None:
        _one_origin(self)
        require(self.bandwidth_s > 0, self, "bandwidth_s", "a number of seconds above 0")
        finetune = self.finetune
        if finetune is not None and finetune.frozen_precision == "int8":
            raise ConfigError("FinetuneConfig.frozen_precision is 'int8'; a VQ-VAE has no linear layers: use float32.")


@dataclass(frozen=True, kw_only=True)
class AlignmentConfig(Config):
    """Attention that is told which word is sung, where the data know it.

    Args:
        weight: how many times the loss counts -log2 of the share of attention that the model's alignment head
            (lyrics.alignment_layer, lyrics.alignment_head) gives to the word being sung.
        also: layers whose head of the same number is taught the same, and counts as much. What an early layer has found
            is heard by those after it, which find the place again, better.
    """

    weight: float = 0.1
    also: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        require(self.weight > 0, self, "weight", "a number above 0 (leave alignment out for none)")


@dataclass(frozen=True, kw_only=True)
class HidingConfig(Config):
    """Windows of which the prior does not see everything that came before, so that it learns to need its conditions.

    What has been written says most about what follows, and a prior that always sees it hardly learns what artist, genre
    and lyrics say. In some windows one stretch of codes is hidden from the positions after them; these codes are
    predicted all the same.

    Args:
        windows: how many of all windows.
        longest: of a stretch, as a share of the window; every length up to it is equally likely, and so is its place.
    """

    windows: float
    longest: float = 1.0

    def __post_init__(self) -> None:
        require(0 <= self.windows <= 1, self, "windows", "a share, 0 to 1")
        require(0 < self.longest <= 1, self, "longest", "a share above 0, at most 1")


@dataclass(frozen=True, kw_only=True)
class PriorRecipe(Recipe):
    """Training of a prior.

    Args:
        model: what it is; None to take it from `finetune`.
        vqvae: whose codes it learns: needed for a data set of sound, for sound in the log and for `embed_codebooks`.
        embed_codebooks: begin the tables of codes as features of the VQ-VAE's vectors, near where these are near, with
            this standard deviation; None for random tables. It saves a new prior most of its first steps.
        alignment: also teach one head which word is being sung; None for not.
        hiding: hide some of the codes from those after them; None for not.
    """

    model: PriorConfig | None = None
    vqvae: str | None = None
    embed_codebooks: float | None = None
    alignment: AlignmentConfig | None = None
    hiding: HidingConfig | None = None

    def __post_init__(self) -> None:
        _one_origin(self)
        if self.embed_codebooks is not None:
            require(self.embed_codebooks > 0, self, "embed_codebooks", "a number above 0, or null")
            if self.model is None or self.vqvae is None:
                missing = "model" if self.model is None else "vqvae"
                raise ConfigError(
                    f"PriorRecipe has embed_codebooks and no {missing}; it is for a new model of the codes of a VQ-VAE "
                    "that is named."
                )
        if self.model is not None and self.model.matrix_bits is not None:
            raise ConfigError(
                f"PriorRecipe has model.matrix_bits: {self.model.matrix_bits}; leave it out: matrices are trained "
                "whole, and `jukebox weights pack` comes afterwards."
            )
        if self.model is not None and self.alignment is not None:
            self.model.aligned_layers(self.alignment.also)
