import re
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from jukebox.config import Config
from jukebox.errors import ConfigError, LabelError
from jukebox.labels.labels import Blend, Labels
from jukebox.labels.lyric_times import TimedText
from jukebox.sampling.request import Given, LevelSettings, Prime, SongRequest

FULL = SongRequest(
    model="1b_lyrics",
    songs=(Labels(artist="Björk", lyrics="one\ntwo: three\n", offset_s=3.0, total_duration_s=200.0), Labels()),
    seconds=20.0,
    takes=3,
    first_take=2,
    seed=-7,
    levels=(
        LevelSettings(level=2, temperature=0.98, top_k=40, hop_fraction=0.125),
        LevelSettings(level=0, top_p=0.9, one_window=True),
    ),
    lowest_level=1,
    parallel_windows=4,
    given=Given(source="song", item="song_take_1", levels=(2, 1), start_s=1.5, duration_s=4.0),
    joined=(Given(source="other", duration_s=2.0), Given(source="song.codes")),
)


@pytest.mark.parametrize(
    "request_",
    [
        FULL,
        replace(FULL, given=None, joined=(), prime=Prime(recording="a.wav", start_s=2.0)),
        SongRequest(model="x", seconds=1.0),
    ],
)
def test_files_and_back(request_: SongRequest, tmp_path: Path) -> None:
    for name, text in (("a.yaml", request_.to_yaml()), ("a.json", request_.to_json())):
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert SongRequest.read(tmp_path / name) == request_


def test_what_is_usual_is_not_written() -> None:
    assert SongRequest(model="x", seconds=1.0).to_yaml() == "model: x\nseconds: 1.0\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("model: [", "is neither YAML nor JSON"),
        ("- 1", "The request is [1]; expected an object with named fields"),
        ("model: x", "seconds of the request is None; expected a length, as no codes are given"),
        ("{model: x, seconds: -1}", "seconds of the request is -1.0; expected a length in seconds above 0"),
        ("{model: x, seconds: 1, takes: 0}", "takes of the request is 0; expected 1 or more"),
        ("{model: x, seconds: 1, sed: 0}", "The request has no field 'sed'"),
        ("{model: x, seconds: 1, songs: []}", "songs of the request is (); expected at least one song"),
        ("{model: x, seconds: 1, parallel_windows: 0}", "parallel_windows of the request is 0; expected 1 or more"),
        ("{model: x, seconds: 1, levels: [{level: 0, top_k: 0}]}", "Level 0: top_k is 0; expected a number of tokens"),
        (
            "{model: x, seconds: 1, levels: [{level: 0, hop_fraction: 2}]}",
            "hop_fraction of a level's settings is 2.0; expected a share",
        ),
        ("{model: x, seconds: 1, levels: [{level: 0}, {level: 0}]}", "expected each level at most once"),
        ("{model: x, seconds: 1, prime: {recording: a}, given: {source: b}}", "both a recording (prime) and codes"),
        ("{model: x, seconds: 1, joined: [{source: b}]}", "parts that follow (joined), but none that they follow"),
        ("{model: x, given: {source: a}, joined: [3]}", "A part is 3; expected an object"),
        (
            "{model: x, given: {source: a}, joined: {source: b}}",
            "joined of the request is {'source': 'b'}; expected a list",
        ),
        ("{model: x, seconds: 1, prime: {recording: a, start_s: -1}}", "start_s of the recording is -1.0; expected"),
    ],
)
def test_mistakes_are_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SongRequest.from_text(text)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "least"),
    [
        (SongRequest, {"seconds": 1}),
        (Labels, {}),
        (Blend, {"weight": 0.5, "artist": "a"}),
        (TimedText, {"start_s": 0, "end_s": 1, "text": "la"}),
        (LevelSettings, {"level": 0}),
        (Prime, {"recording": "a.wav"}),
        (Given, {"source": "song"}),
    ],
)
def test_no_sentence_has_a_name_of_the_program(kind: type[Config], least: dict[str, Any]) -> None:
    """Of every field with values of other kinds or outside its range, of one that it lacks, and of one that is none."""
    wrong: list[Any] = [{}, {"none": 1}, 3]
    wrong += [least | {field.name: value} for field in fields(kind) for value in ([], -1.5, -1, "?", {}, [{}])]
    said = set[str]()
    for values in wrong:
        try:
            kind.from_dict(values)
        except (ConfigError, LabelError) as error:
            said.add(str(error))
    assert len(said) > len(fields(kind))
    for sentence in said:
        found = re.search(r"\b[A-Z][a-z]+(?:[A-Z.]\w+)|Given|Prime|Labels|Blend|\b(?:int|float|str|bool)\b", sentence)
        assert found is None, sentence


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        SongRequest.read(tmp_path / "nowhere.yaml")


def test_names_say_only_what_differs() -> None:
    one = SongRequest(model="x", seconds=1.0)
    assert [name for *_, name in one.item_names()] == ["song"]
    assert [name for *_, name in replace(one, first_take=2).item_names()] == ["song_take_2"]
    assert [name for *_, name in replace(one, songs=(Labels(), Labels())).item_names()] == ["song_1", "song_2"]
