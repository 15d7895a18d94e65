"""rank: tables, JSON and commands of takes, and one sentence for every mistake."""

import json
import shutil
from pathlib import Path

import pytest

from jukebox.cli.main import main
from jukebox.evaluation.ranking import RANK
from tests.commands import refused

LYRICS = "la la lo\n" * 20


@pytest.fixture(scope="module")
def sketch(short_windows: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A session with three takes of a sketch."""
    folder = tmp_path_factory.mktemp("songs") / "my sketch"
    words = ["generate", "--model", "tiny-random", "--seconds", "0.05", "--artist", "nobody"]
    words += ["--lyrics", LYRICS]
    assert main([*words, "--takes", "3", "--lowest-level", "2", "--no-previews", "-o", str(folder)]) == 0
    return folder


def test_takes_of_a_song_are_one_table_and_the_best_have_commands(
    sketch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = shutil.copytree(sketch, tmp_path / "other")
    capsys.readouterr()
    assert main(["rank", str(sketch), "--json"]) == 0
    takes = json.loads(capsys.readouterr().out)
    assert [take["place"] for take in takes] == [1, 2, 3]
    assert sorted(take["item"] for take in takes) == ["song_take_0", "song_take_1", "song_take_2"]
    scores = [take["score"] for take in takes]
    assert scores == sorted(scores, reverse=True)
    assert (takes[0]["artist"], takes[0]["lyrics"], takes[0]["session"]) == ("nobody", LYRICS, str(sketch))
    assert (sketch / RANK).is_file()

    assert main(["rank", str(sketch), str(sketch), "--best", "2"]) == 0
    heading, columns, *rows, empty, first, second = capsys.readouterr().out.splitlines()
    assert heading == "nobody, unknown, 'la la lo', 0.05 seconds"
    assert columns.split() == ["score", "seconds", "sung", "variety", "bits", "take"]
    assert [row.rpartition("#")[2] for row in rows] == [take["item"] for take in takes[:2]]
    assert empty == ""
    assert first == f"jukebox upsample '{sketch}' --item {takes[0]['item']} -o '{sketch}_{takes[0]['item']}'"
    assert takes[1]["item"] in second

    assert main(["rank", str(other), str(sketch), "--json"]) == 0
    both = json.loads(capsys.readouterr().out)
    assert len(both) == 6
    assert len({(take["item"], take["score"]) for take in both}) == 3  # the same twice has the same score


def test_mistakes_are_one_sentence(sketch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "holds no session" in refused(capsys, "rank", tmp_path)
    assert "not a folder" in refused(capsys, "rank", tmp_path / "none")
    assert "--best is 0" in refused(capsys, "rank", sketch, "--best", "0")
    empty = shutil.copytree(sketch, tmp_path / "empty", ignore=shutil.ignore_patterns("level_*"))
    assert "has no codes of the top level" in refused(capsys, "rank", empty)


def test_from_inside_a_session_its_sketches_are_finished_beside_it(
    sketch: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(sketch)
    assert main(["rank", ".", "--best", "1"]) == 0
    assert f"-o '{sketch.parent.resolve()}/my sketch_song_take_" in capsys.readouterr().out


def test_takes_with_and_without_followed_lyrics_are_not_compared(
    sketch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "followed"
    words = ["generate", "--request", str(sketch / "request.yaml"), "--follow-lyrics", "--no-previews"]
    assert main([*words, "-o", str(other)]) == 0
    capsys.readouterr()
    assert main(["rank", str(sketch), str(other), "--json"]) == 0
    assert [song["place"] for song in json.loads(capsys.readouterr().out)] == [1, 2, 3, 1, 2, 3]


def test_takes_of_another_length_have_a_table_of_their_own(
    sketch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each length is ranked as it is alone."""
    other = tmp_path / "longer"
    words = ["generate", "--request", str(sketch / "request.yaml"), "--seconds", "0.08", "--no-previews"]
    assert main([*words, "-o", str(other)]) == 0
    alone = []
    for folders in ([sketch], [other], [sketch, other]):
        capsys.readouterr()
        assert main(["rank", *map(str, folders), "--json"]) == 0
        alone.append(json.loads(capsys.readouterr().out))
    labels = ("artist", "genre", "lyrics")
    assert [alone[0][0][name] for name in labels] == [alone[1][0][name] for name in labels]
    assert alone[2] == alone[1] + alone[0]
    assert main(["rank", str(sketch), str(other)]) == 0
    headings = [line for line in capsys.readouterr().out.splitlines() if line.startswith("nobody")]
    assert headings == [f"nobody, unknown, 'la la lo', {length} seconds" for length in ("0.08", "0.05")]


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_measures_that_cannot_be_kept_are_shown_all_the_same(
    sketch: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    full = shutil.copytree(sketch, tmp_path / "full", ignore=shutil.ignore_patterns(RANK))
    (full / RANK).mkdir()  # a file cannot take its place
    capsys.readouterr()
    assert main(["rank", str(full), *words]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("song_take_") == 3
    assert captured.err.startswith(f"The measures could not be kept: {full / RANK} cannot be written (")
    assert captured.err.count("\n") == 1
