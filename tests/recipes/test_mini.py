"""The recipes of mini: what is gathered, and that every stage is a command that exists."""

import json
from pathlib import Path

import pytest
import torch

from jukebox import presets
from jukebox.audio.io import read, write
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


def test_voices_are_cut_to_what_they_sing_under_the_names_of_their_singers(tmp_path: Path) -> None:
    stems = tmp_path / "songbook" / "stems"
    stems.mkdir(parents=True)
    sound = torch.rand(1, 8000 * 6) / 2
    write(stems / "b.flac", sound, 8000)
    sung = {"path": "b.flac", "stem": "../stems/b.flac", "title": "Hymn", "split": "train", "notes": [1]}
    times = {"lyrics_lines": [[2.3, 4.4, "la lo"]], "lyrics_words": [[2.3, 3.0, "la"], [3.0, 4.4, "lo"]]}
    late = {"lyrics_lines": [[0.1, 5.9, "la"]], "lyrics_words": [[0.1, 5.9, "la"]]}
    rows = [
        sung | times | {"artist": "Sally Alto"},
        sung | late | {"artist": "Kevin Bass with Choir", "accompaniment": "x.flac", "stem": "../stems/c.flac"},
    ]
    write(stems / "c.flac", sound, 8000)
    songs = entries(tmp_path / "songbook" / "songs", *rows)
    assert collect_voices(songs, tmp_path / "voices") == 2
    found = [json.loads(line) for line in (tmp_path / "voices" / "metadata.jsonl").read_text().splitlines()]
    assert [(row["path"], row["artist"], row["duration_s"]) for row in found] == [
        ("stems/b.flac", "Sally Alto", 3.0),
        ("stems/c.flac", "Kevin Bass", 6.0),
    ]
    assert found[0]["lyrics_words"] == [[0.3, 1.0, "la"], [1.0, 2.4, "lo"]]
    assert found[1]["lyrics_lines"] == late["lyrics_lines"]
    assert not {"stem", "accompaniment", "notes"} & found[1].keys()
    cut = read(tmp_path / "voices" / "stems" / "b.flac", sample_rate=8000)
    assert torch.allclose(cut, sound[:, 16000:40000], atol=2**-15)
    before = (tmp_path / "voices" / "metadata.jsonl").read_bytes()
    assert collect_voices(songs, tmp_path / "voices") == 2
    assert (tmp_path / "voices" / "metadata.jsonl").read_bytes() == before


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


@pytest.mark.parametrize("name", ["song.yaml", "glossary.txt"])
def test_what_is_packed_with_mini_is_what_its_recipes_say(name: str) -> None:
    assert (presets.MINI_FOLDER / name).read_bytes() == (stages.HERE / name).read_bytes()
