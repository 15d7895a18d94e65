"""The shelf is what is on the disk: sessions of any origin, whole or damaged, and nothing of it is ever deleted."""

import json
import os
import shutil
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from jukebox.errors import ConfigError, DataError
from jukebox.sampling.request import Given, SongRequest
from jukebox.sampling.session import Session
from jukebox.studio.notes import NOTES
from jukebox.studio.shelf import Shelf
from jukebox.studio.song import plain

REQUEST = SongRequest(model="tiny-random", seconds=1.0, takes=2, seed=5)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "songs")


def begin(folder: Path, request: SongRequest = REQUEST) -> None:
    """A session as a command begins it."""
    with Session(folder) as session:
        session.begin(request, "model")


def finish(folder: Path, request: SongRequest) -> None:
    for _, _, name in request.item_names():
        for suffix in (".flac", ".codes"):
            (folder / f"{name}{suffix}").write_bytes(b"sound")


def test_a_session_of_a_command_is_a_song_with_its_takes(shelf: Shelf) -> None:
    begin(shelf.folder / "hymn")
    (shelf.folder / "no session").mkdir()
    (song,) = shelf.songs()
    assert (song.name, song.title, song.request, song.problem) == ("hymn", "hymn", REQUEST, None)
    assert [take.name for take in song.takes] == ["song_take_0", "song_take_1"]
    assert not song.finished
    (shelf.folder / "hymn/previews").mkdir()
    (shelf.folder / "hymn/previews/song_take_1.level_2.flac").write_bytes(b"sound")
    take = shelf.songs()[0].takes[1]
    assert {level: url.split("?")[0] for level, url in take.sounds.items()} == {
        2: "hymn/previews/song_take_1.level_2.flac"
    }
    assert not take.finished
    finish(shelf.folder / "hymn", REQUEST)
    song = shelf.songs()[0]
    assert song.finished
    assert [url.split("?")[0] for url in song.takes[1].files] == ["hymn/song_take_1.flac", "hymn/song_take_1.codes"]
    assert song.takes[1].sounds.keys() == {0, 2}
    assert json.dumps(plain(song))


def test_a_song_is_below_the_one_that_it_goes_on_from_wherever_the_shelf_is(shelf: Shelf, tmp_path: Path) -> None:
    begin(shelf.folder / "first")
    given = Given(source=str(shelf.folder / "first"), item="song_take_1")
    begin(shelf.folder / "second", replace(REQUEST, given=given))
    begin(shelf.folder / "third", replace(REQUEST, given=Given(source=str(tmp_path / "elsewhere.codes"))))
    elsewhere = Given(source=str(tmp_path / "elsewhere.codes"))
    begin(shelf.folder / "fourth", replace(REQUEST, given=given, joined=(elsewhere, given)))
    moved = Shelf(shelf.folder.rename(tmp_path / "moved"))
    parents = {song.name: (song.parent, song.parent_take) for song in moved.songs()}
    first = ("first", "song_take_1")
    assert parents == {"first": (None, None), "second": first, "third": (None, None), "fourth": first}
    joined = {song.name: song.joined for song in moved.songs()}
    assert joined == {"first": (), "second": (), "third": (), "fourth": (None, "first")}


def test_a_damaged_session_is_said_and_hides_no_other(shelf: Shelf) -> None:
    for name in ("sound", "damaged", "half"):
        begin(shelf.folder / name)
    for file in ("session.json", "session.previous.json", "request.yaml"):
        (shelf.folder / "damaged" / file).write_text("}")
    for file in ("session.json", "session.previous.json"):  # request.yaml is enough
        (shelf.folder / "half" / file).unlink()
    songs = {song.name: song for song in shelf.songs()}
    assert songs["sound"].request == songs["half"].request == REQUEST
    assert songs["damaged"].request is None
    assert songs["damaged"].problem is not None
    assert songs["damaged"].takes == ()


def test_a_request_is_read_again_when_it_is_another(shelf: Shelf) -> None:
    begin(shelf.folder / "hymn")
    assert shelf.songs()[0].request == REQUEST
    shutil.rmtree(shelf.folder / "hymn")
    begin(shelf.folder / "hymn", replace(REQUEST, seed=6))
    assert shelf.songs()[0].request == replace(REQUEST, seed=6)


def test_what_is_removed_can_be_put_back_and_its_name_stays_taken(shelf: Shelf) -> None:
    begin(shelf.folder / "hymn")
    files = {path: path.read_bytes() for path in (shelf.folder / "hymn").rglob("*") if path.is_file()}
    shelf.remove("hymn")
    assert shelf.songs() == []
    assert shelf.removed() == ["hymn"]
    assert shelf.new_path("hymn").name == "hymn_2"
    shelf.restore("hymn")
    assert shelf.removed() == []
    assert {path: path.read_bytes() for path in files} == files
    for deed in (shelf.restore, shelf.remove, shelf.path):
        with pytest.raises(ConfigError, match="waltz"):
            deed("waltz")


def test_names_that_were_taken_since_stay_apart(shelf: Shelf) -> None:
    for seed in (1, 2):  # the second is begun by a command, which knows nothing of what was removed
        begin(shelf.folder / "hymn", replace(REQUEST, seed=seed))
        shelf.remove("hymn")
    begin(shelf.folder / "hymn", replace(REQUEST, seed=3))
    assert shelf.removed() == ["hymn", "hymn_2"]
    for name in shelf.removed():
        shelf.restore(name)
    seeds = {song.name: song.request.seed for song in shelf.songs() if song.request is not None}
    assert seeds == {"hymn": 3, "hymn_2": 1, "hymn_2_2": 2}


def test_any_name_comes_back_as_it_was_and_is_its_childrens_parent_again(shelf: Shelf) -> None:
    name = "v1.2 (mix), #1 " + "x" * 80
    begin(shelf.folder / name)
    begin(shelf.folder / "child", replace(REQUEST, given=Given(source=str(shelf.folder / name))))
    shelf.remove(name)
    assert shelf.removed() == [name]
    shelf.restore(name)
    assert {song.name: song.parent for song in shelf.songs()} == {name: None, "child": name}


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
def test_a_name_that_is_no_text_hides_no_other(shelf: Shelf) -> None:
    begin(shelf.folder / "hymn")
    begin(shelf.folder / "other")
    os.rename(os.fsencode(shelf.folder / "other"), os.fsencode(shelf.folder) + b"/caf\xe9")
    assert [song.name for song in shelf.songs()] == ["hymn"]


def test_what_others_do_in_the_folder_is_seen(shelf: Shelf) -> None:
    before = shelf.signature()
    assert shelf.signature() == before
    begin(shelf.folder / "hymn")
    begun = shelf.signature()
    finish(shelf.folder / "hymn", REQUEST)
    finished = shelf.signature()
    shutil.rmtree(shelf.folder / "hymn")
    assert len({before, begun, finished, shelf.signature()}) == 4


def test_notes_that_come_at_once_are_all_kept(shelf: Shelf) -> None:
    begin(shelf.folder / "hymn", replace(REQUEST, takes=8))
    names = [f"song_take_{take}" for take in range(8)]
    threads = [threading.Thread(target=shelf.note, args=("hymn",), kwargs={"starred": {name: True}}) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [take.starred for take in shelf.songs()[0].takes] == [True] * 8


def test_notes_stay_and_damaged_ones_are_no_loss(shelf: Shelf) -> None:
    begin(shelf.folder / "hymn")
    shelf.note("hymn", title="  A  hymn ")
    shelf.note("hymn", starred={"song_take_0": True, "song_take_1": True})
    shelf.note("hymn", starred={"song_take_0": False})
    song = Shelf(shelf.folder).songs()[0]
    assert song.title == "A hymn"
    assert [take.starred for take in song.takes] == [False, True]
    for damage in ("}", "[]", '{"title": 3, "starred": 4}', '{"starred": [3]}'):
        (shelf.folder / "hymn" / NOTES).write_text(damage)
        song = shelf.songs()[0]
        assert (song.title, [take.starred for take in song.takes]) == ("hymn", [False, False])


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("hymn", "hymn_2"),
        ("HYMN", "HYMN_2"),
        ("../../etc", "etc"),
        ("", "song"),
        (" / ", "sound"),
        (".hidden", "hidden"),
        ("größer, ja!", "größer ja"),
        ("x" * 99, "x" * 60),
    ],
)
def test_any_name_is_a_folder_of_the_shelf(shelf: Shelf, asked: str, name: str) -> None:
    begin(shelf.folder / "hymn")
    path = shelf.new_path(asked)
    assert (path.parent, path.name) == (shelf.folder, name)


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="choose another folder"):
        Shelf(tmp_path / "file")
