"""The recipes of mini: what is gathered, and that every stage is a command that exists."""

import json
from pathlib import Path

import pytest

from jukebox.cli.main import COMMANDS
from jukebox.config import PriorConfig, VqvaeConfig
from jukebox.errors import DataError
from jukebox.sampling.request import SongRequest
from jukebox.training.recipe import PriorRecipe, VqvaeRecipe
from jukebox.training.recipe_file import read_recipe
from recipes.mini import __main__ as stages
from recipes.mini.collect import collect, collect_voices


def entries(folder: Path, *rows: dict[str, object]) -> Path:
    folder.mkdir()
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_only_free_recordings_are_gathered_and_some_are_held_out(tmp_path: Path) -> None:
    known = {"artist": "TAD", "path": "a.ogg"}
    corpus = entries(
        tmp_path / "corpus",
        known | {"title": "Cue", "licence": "CC0-1.0"},
        known | {"title": "Oceanside", "licence": "CC-BY-3.0"},
        known | {"title": "Other", "licence": "CC-BY-SA-3.0"},
        known | {"title": "Nothing said"},
    )
    songs = entries(tmp_path / "songs", {"path": "b.flac", "title": "Hymn", "split": "train", "notes": [1]})
    assert collect(corpus, songs, tmp_path / "music") == {"recordings": 2, "songs": 1}
    rows = [json.loads(line) for line in (tmp_path / "music" / "metadata.jsonl").read_text().splitlines()]
    assert [(row["title"], row["split"]) for row in rows] == [
        ("Cue", "train"),
        ("Oceanside", "validation"),
        ("Hymn", "train"),
    ]
    assert (tmp_path / "music" / "songbook").resolve() == songs
    assert "notes" not in rows[2]


def test_voices_are_gathered_under_the_names_of_their_singers(tmp_path: Path) -> None:
    sung = {"path": "b.flac", "stem": "../stems/b.flac", "title": "Hymn", "split": "train", "notes": [1]}
    rows = [sung | {"artist": "Sally Alto"}, sung | {"artist": "Kevin Bass with Choir", "accompaniment": "x.flac"}]
    (tmp_path / "songbook").mkdir()
    songs = entries(tmp_path / "songbook" / "songs", *rows)
    assert collect_voices(songs, tmp_path / "voices") == 2
    found = [json.loads(line) for line in (tmp_path / "voices" / "metadata.jsonl").read_text().splitlines()]
    assert [(row["path"], row["artist"]) for row in found] == [
        ("stems/b.flac", "Sally Alto"),
        ("stems/b.flac", "Kevin Bass"),
    ]
    assert not {"stem", "accompaniment", "notes"} & found[1].keys()
    assert (tmp_path / "voices" / "stems").resolve() == tmp_path / "songbook" / "stems"


def test_a_folder_without_metadata_is_refused_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        collect(tmp_path, tmp_path, tmp_path / "music")
    assert stages.main(["music", "-w", str(tmp_path), "--corpus", str(tmp_path)]) == 2
    assert stages.main(["pack", "-w", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_stages_are_commands_and_recipes_fit_each_other() -> None:
    commands = stages._commands(Path("work"), Path("corpus"))
    for stage in set(stages.STAGES) - {"songs", "music"}:
        assert all(words[1] in COMMANDS for words in commands[stage])
    vqvae = read_recipe(stages.HERE / "vqvae.yaml", VqvaeRecipe).model
    assert isinstance(vqvae, VqvaeConfig)
    assert vqvae.hops == (8, 32, 128)
    for level, name in enumerate(("bottom", "middle", "top")):
        prior = read_recipe(stages.HERE / f"{name}.yaml", PriorRecipe).model
        assert isinstance(prior, PriorConfig)
        assert (prior.level, prior.codebook_size) == (level, vqvae.codebook.size)
    assert SongRequest.read(stages.HERE / "song.yaml").seconds == 10
