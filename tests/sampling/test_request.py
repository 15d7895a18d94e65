from dataclasses import replace
from pathlib import Path

import pytest

from jukebox.errors import ConfigError
from jukebox.labels.labels import Labels
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
        ("- 1", "SongRequest is [1]; expected an object with named fields"),
        ("model: x", "SongRequest.seconds is None; expected a length, as no codes are given"),
        ("{model: x, seconds: -1}", "SongRequest.seconds is -1.0; expected a length in seconds above 0"),
        ("{model: x, seconds: 1, takes: 0}", "SongRequest.takes is 0; expected 1 or more"),
        ("{model: x, seconds: 1, sed: 0}", "SongRequest has no field 'sed'"),
        ("{model: x, seconds: 1, songs: []}", "SongRequest.songs is (); expected at least one song"),
        ("{model: x, seconds: 1, parallel_windows: 0}", "SongRequest.parallel_windows is 0; expected 1 or more"),
        ("{model: x, seconds: 1, levels: [{level: 0, top_k: 0}]}", "top_k is 0; expected a number of tokens"),
        ("{model: x, seconds: 1, levels: [{level: 0, hop_fraction: 2}]}", "hop_fraction is 2.0; expected a share"),
        ("{model: x, seconds: 1, levels: [{level: 0}, {level: 0}]}", "expected each level at most once"),
        ("{model: x, seconds: 1, prime: {recording: a}, given: {source: b}}", "both a recording (prime) and codes"),
        ("{model: x, seconds: 1, joined: [{source: b}]}", "parts that follow (joined), but none that they follow"),
        ("{model: x, given: {source: a}, joined: [3]}", "Given is 3; expected an object"),
        (
            "{model: x, given: {source: a}, joined: {source: b}}",
            "SongRequest.joined is {'source': 'b'}; expected a list",
        ),
        ("{model: x, seconds: 1, prime: {recording: a, start_s: -1}}", "start_s is -1.0; expected a number of seconds"),
    ],
)
def test_mistakes_are_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SongRequest.from_text(text)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        SongRequest.read(tmp_path / "nowhere.yaml")


def test_names_say_only_what_differs() -> None:
    one = SongRequest(model="x", seconds=1.0)
    assert [name for *_, name in one.item_names()] == ["song"]
    assert [name for *_, name in replace(one, first_take=2).item_names()] == ["song_take_2"]
    assert [name for *_, name in replace(one, songs=(Labels(), Labels())).item_names()] == ["song_1", "song_2"]
