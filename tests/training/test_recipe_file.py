from pathlib import Path

import pytest

from jukebox import presets
from jukebox.errors import ConfigError
from jukebox.training.recipe import PriorRecipe, Recipe, VqvaeRecipe
from jukebox.training.recipe_file import read_recipe, write_recipe

RECIPES = sorted((Path(__file__).parent.parent.parent / "recipes").glob("*.yaml"))
SMALL = "data: {path: here}\nmodel: {}\nrun: {steps: 3, batch: 2}\n"


def kind_of(path: Path) -> type[Recipe]:
    return VqvaeRecipe if "vqvae" in path.name else PriorRecipe


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_recipe_reads_and_comes_back_the_same(path: Path, tmp_path: Path) -> None:
    recipe = read_recipe(path, kind_of(path))
    write_recipe(tmp_path / "again.yaml", recipe)
    assert read_recipe(tmp_path / "again.yaml", type(recipe)) == recipe


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("paper_vqvae", "5b/vqvae"),
        ("paper_upsampler_bottom", "5b/prior_level_0"),
        ("paper_upsampler_middle", "5b/prior_level_1"),
        ("paper_top", "5b/prior_level_2"),
        ("released_1b_lyrics", "1b_lyrics/prior_level_2"),
    ],
)
def test_the_papers_recipes_are_the_released_models(name: str, part: str) -> None:
    path = next(path for path in RECIPES if path.stem == name)
    assert read_recipe(path, kind_of(path)).model == presets.part_config(part)  # pyright: ignore


def test_every_field_can_be_set(tmp_path: Path) -> None:
    settings = ["run.steps=7", "optimizer.learning_rate=3e-4", "model.strides=[4, 2, 2]", "schedule.decay=cosine"]
    recipe = read_recipe(write(tmp_path, SMALL), VqvaeRecipe, [*settings, "run.recompute=true", "run.micro_batch=null"])
    assert recipe.model is not None
    assert (recipe.run.steps, recipe.optimizer.learning_rate, recipe.model.strides) == (7, 3e-4, (4, 2, 2))
    assert (recipe.run.recompute, recipe.schedule.decay) == (True, "cosine")


@pytest.mark.parametrize(
    ("text", "settings", "message"),
    [
        (SMALL, ["run.stepz=3"], "RunConfig has no field 'stepz'"),
        (SMALL, ["optimiser.learning_rate=3"], "VqvaeRecipe has no field 'optimiser'"),
        (SMALL, ["run.steps=many"], "RunConfig.steps is 'many'; expected a whole number"),
        (SMALL, ["run.steps.more=1"], "sets a field of 'steps', which is 3"),
        (SMALL, ["run.steps"], "'run.steps' is no setting; write field=value"),
        (SMALL, ["run.steps=[1"], "is not YAML"),
        (SMALL, ["model=null"], "has neither model nor finetune"),
        (SMALL, ["finetune.model=5b"], "has both model and finetune"),
        (SMALL + "run: {steps: 4, batch: 2}\n", [], "The field 'run' stands twice"),
        (SMALL, ["run.micro_batch=3"], "micro_batch is 3; expected a divisor of the batch, 2"),
        (SMALL, ["run.precision=half"], "RunConfig.precision is 'half'; expected one of 'float32', 'bfloat16'"),
        ("just words", [], "expected named fields"),
        ("a: [", [], "is not YAML"),
    ],
)
def test_mistakes_are_named(text: str, settings: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_recipe(write(tmp_path, text), VqvaeRecipe, settings)
    assert message in str(caught.value)


def test_tables_of_codes_need_a_vqvae_and_a_new_model(tmp_path: Path) -> None:
    data = "data: {path: codes}\nrun: {steps: 4, batch: 2}\nembed_codebooks: 0.2\n"
    with pytest.raises(ConfigError, match="embed_codebooks and no model"):
        read_recipe(write(tmp_path, data + "finetune: {model: 5b}\n"), PriorRecipe)
    with pytest.raises(ConfigError, match=r"embed_codebooks is -1\.0; expected a number above 0"):
        read_recipe(write(tmp_path, data + "finetune: {model: 5b}\n"), PriorRecipe, ["embed_codebooks=-1.0"])


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_recipe(tmp_path / "none.yaml", VqvaeRecipe)
