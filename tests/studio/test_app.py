"""The studio over HTTP: what it writes is what the command writes, and nobody reaches anything but its shelf."""

import contextlib
import io
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from starlette.testclient import TestClient

from jukebox.audio.io import read, write
from jukebox.sampling.events import Message
from jukebox.sampling.request import SongRequest
from jukebox.studio.app import make_app
from jukebox.studio.catalogue import Catalogue
from jukebox.studio.shelf import Shelf
from jukebox.studio.studio import Studio
from tests.studio.conftest import REQUEST, wait


def begun(client: TestClient, name: str = "hymn", **changes: Any) -> str:
    answer = client.post("/api/songs", json={"request": REQUEST | changes, "name": name})
    assert answer.status_code == 200, answer.text
    return answer.json()["name"]


def refused(client: TestClient, **changes: Any) -> str:
    before = client.get("/api/state").json()["songs"]
    body = json.dumps({"request": REQUEST | changes, "name": "hymn"})  # in ASCII: also what is no text
    answer = client.post("/api/songs", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    state = client.get("/api/state").json()
    assert state["songs"] == before
    return answer.json()["error"]


def song(client: TestClient, name: str) -> dict[str, Any]:
    return next(each for each in client.get("/api/state").json()["songs"] if each["name"] == name)


def codes(folder: Path) -> bytes:
    return next(folder.glob("*.codes")).read_bytes()


@pytest.fixture(scope="module")
def alone(catalogue: Catalogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The song as the command writes it."""
    folder = tmp_path_factory.mktemp("alone") / "song"
    for _ in catalogue.jukebox("tiny-random").write_session(folder, SongRequest.from_dict(REQUEST)):
        pass
    return folder


def test_a_song_has_the_bytes_of_the_command(client: TestClient, studio: Studio, alone: Path) -> None:
    name = begun(client)
    wait(lambda: song(client, name)["finished"])
    found = song(client, name)
    assert codes(studio.shelf.folder / name) == codes(alone)
    assert (studio.shelf.folder / name / "song.flac").read_bytes() == (alone / "song.flac").read_bytes()
    (take,) = found["takes"]
    for file in (*take["files"], *take["sounds"].values()):
        assert client.get(f"/files/{file}").status_code == 200
    part = client.get(f"/files/{take['sounds']['0']}", headers={"range": "bytes=0-9"})
    assert (part.status_code, len(part.content)) == (206, 10)  # a player seeks


def test_a_song_that_is_stopped_goes_on_to_the_same_bytes(client: TestClient, studio: Studio) -> None:
    name = begun(client, seconds=0.6)
    wait(lambda: studio.worker.state()["levels"])
    client.post(f"/api/songs/{name}/stop", json={})
    wait(lambda: not studio.worker.busy())
    assert not song(client, name)["finished"]
    client.post(f"/api/songs/{name}/go-on", json={})
    wait(lambda: song(client, name)["finished"])
    whole = begun(client, seconds=0.6)
    wait(lambda: song(client, whole)["finished"])
    assert codes(studio.shelf.folder / name) == codes(studio.shelf.folder / whole)


def test_a_song_that_lacks_only_its_lyrics_goes_on(client: TestClient, studio: Studio) -> None:
    """A command was killed when it had written the sound, and not yet when each word is sung."""
    folder = studio.shelf.folder / "hymn"
    jukebox = studio.catalogue.jukebox("tiny-random")
    with contextlib.closing(jukebox.write_session(folder, SongRequest.from_dict(REQUEST))) as events:
        next(event for event in events if isinstance(event, Message) and "lyrics" in event.text)
    assert (folder / "song.flac").is_file()
    assert not song(client, "hymn")["finished"]
    client.post("/api/songs/hymn/go-on", json={})
    wait(lambda: not studio.worker.busy())
    assert song(client, "hymn")["finished"]
    assert any("lyrics.lrc" in file for file in song(client, "hymn")["takes"][0]["files"])


def test_what_waits_can_be_stopped_and_the_rest_is_written(client: TestClient, studio: Studio) -> None:
    names = [begun(client, seed=seed) for seed in range(3)]
    assert names == ["hymn", "hymn_2", "hymn_3"]
    client.post(f"/api/songs/{names[1]}/stop", json={})
    refusal = client.post(f"/api/songs/{names[2]}/remove", json={})
    wait(lambda: not studio.worker.busy())
    assert [song(client, name)["finished"] for name in names] == [True, False, True]
    assert refusal.status_code == 400
    assert "stop it first" in refusal.json()["error"]


def test_what_is_being_stopped_can_be_gone_on_with_at_once(client: TestClient, studio: Studio) -> None:
    name = begun(client, seconds=0.6)
    wait(lambda: studio.worker.state()["levels"])
    for deed in ("stop", "go-on"):
        client.post(f"/api/songs/{name}/{deed}", json={})
    wait(lambda: not studio.worker.busy())
    assert song(client, name)["finished"]


def test_a_song_that_is_taken_away_while_it_is_written_is_said(client: TestClient, studio: Studio) -> None:
    name = begun(client, seconds=0.6)
    wait(lambda: studio.worker.state()["levels"])
    (studio.shelf.folder / name).rename(studio.shelf.folder.parent / "elsewhere")
    wait(lambda: not studio.worker.busy())
    assert studio.worker.state()["problems"]


def test_songs_of_others_are_news(client: TestClient, studio: Studio, alone: Path) -> None:
    before = studio.version
    studio.look()
    assert studio.version == before
    shutil.copytree(alone, studio.shelf.folder / "theirs")
    studio.look()
    assert studio.version > before


def test_songs_go_on_from_takes_of_the_shelf(client: TestClient, studio: Studio) -> None:
    sketch = begun(client, takes=2, lowest_level=2)
    wait(lambda: song(client, sketch)["finished"])
    given = {"source": sketch, "item": "song_take_1"}
    longer = begun(client, "longer", seconds=0.2, given=given | {"duration_s": 0.05}, lowest_level=2)
    finer = begun(client, "finer", seconds=None, given=given | {"levels": [2]}, first_take=1)
    wait(lambda: not studio.worker.busy())
    assert studio.worker.state()["problems"] == {}
    assert [song(client, name)["parent"] for name in (longer, finer)] == [sketch, sketch]
    assert song(client, finer)["finished"]
    whole = begun(client, "whole", first_take=1)  # the same noise: as if it had been written at once
    wait(lambda: song(client, whole)["finished"])
    assert codes(studio.shelf.folder / finer) == codes(studio.shelf.folder / whole)


def test_a_beginning_that_is_too_long_or_cut_is_said(client: TestClient, studio: Studio) -> None:
    first = begun(client)
    wait(lambda: song(client, first)["finished"])
    part = {"source": first, "start_s": 0.05, "duration_s": 9}
    assert "begin with less" in refused(client, given={"source": first}, seconds=0.09)
    assert "duration_s of a part is -3.0" in refused(client, given=part | {"duration_s": -3})
    second = begun(client, given=part)
    wait(lambda: song(client, second)["finished"])
    assert any("so much of it is taken" in said for said in client.get("/api/state").json()["work"]["said"][second])


def test_parts_of_songs_of_the_shelf_are_joined(client: TestClient, studio: Studio) -> None:
    sketch = begun(client, takes=2, lowest_level=2)
    wait(lambda: song(client, sketch)["finished"])
    part = {"source": sketch, "item": "song_take_1", "levels": [2]}
    finer = begun(client, "finer", seconds=None, given=part, first_take=1)
    pieces = {"given": part | {"duration_s": 0.04}, "joined": [part | {"start_s": 0.04}]}
    joined = begun(client, "joined", seconds=None, first_take=1, **pieces)
    wait(lambda: not studio.worker.busy())
    assert studio.worker.state()["problems"] == {}
    found = song(client, joined)
    assert (found["parent"], found["parent_take"], found["joined"]) == (sketch, "song_take_1", [sketch])
    assert codes(studio.shelf.folder / joined) == codes(studio.shelf.folder / finer)
    wrong = refused(client, **(pieces | {"joined": [{"source": f"../{studio.shelf.folder.name}/{sketch}"}]}))
    assert "no song" in wrong


def test_takes_of_one_sketch_are_heard_side_by_side(client: TestClient, studio: Studio) -> None:
    sketch = begun(client, lowest_level=2)
    wait(lambda: not studio.worker.busy())
    wide = begun(client, seconds=None, given={"source": sketch, "item": "song", "levels": [2]}, takes=2, lowest_level=1)
    wait(lambda: not studio.worker.busy())
    assert song(client, wide)["stereo"] is None
    assert client.post(f"/api/songs/{wide}/stereo", json={}).status_code == 200
    heard = client.get(f"/files/{song(client, wide)['stereo']}")
    sound, _ = soundfile.read(io.BytesIO(heard.content), always_2d=True)
    assert sound.shape[1] == 2
    refusal = client.post(f"/api/songs/{sketch}/stereo", json={})
    assert "two or three different takes" in refusal.json()["error"]


def test_a_take_is_heard_while_it_is_written(client: TestClient, studio: Studio) -> None:
    heard = list[bytes]()

    def hear() -> None:
        wait(lambda: studio.worker.live("hymn", "song") is not None)
        heard.append(client.get("/live/hymn/song").content)

    listener = threading.Thread(target=hear)
    listener.start()
    name = begun(client, seconds=0.6)
    listener.join()
    wait(lambda: song(client, name)["finished"])
    live, rate = soundfile.read(io.BytesIO(heard[0]), dtype="float32", always_2d=True)
    file = read(studio.shelf.folder / name / "song.flac", sample_rate=rate)
    torch.testing.assert_close(torch.from_numpy(live).T, file, atol=2 / 32768, rtol=1e-4)
    assert client.get(f"/live/{name}/song").status_code == 404


def test_recordings_are_what_songs_begin_with(client: TestClient, studio: Studio, tmp_path: Path) -> None:
    write(tmp_path / "intro.wav", 0.3 * torch.randn(1, 22050).clamp(-1, 1), 22050)
    sound = (tmp_path / "intro.wav").read_bytes()
    assert client.put("/api/recordings/my intro.WAV", content=sound).json() == {
        "name": "my intro.wav", "duration_s": 1.0
    }  # fmt: skip
    assert client.put("/api/recordings/my intro.wav", content=sound).json()["name"] == "my intro_2.wav"
    refusal = client.put("/api/recordings/words.wav", content=b"la la la")
    assert refusal.status_code == 400
    assert "words.wav" in refusal.json()["error"]
    assert ".part" not in refusal.json()["error"]
    (studio.shelf.recordings / "damaged.wav").write_bytes(b"RIFF")
    assert client.put("/api/recordings/x.w%00v", content=sound).json()["name"] == "x.wv"
    (studio.shelf.recordings / "x.wv").unlink()
    assert [each["name"] for each in client.get("/api/recordings").json()] == ["my intro.wav", "my intro_2.wav"]
    name = begun(client, prime={"recording": "my intro.wav", "duration_s": 0.05})
    wait(lambda: not studio.worker.busy())
    assert song(client, name)["finished"]
    for outside in ("../hymn/song.flac", "/etc/passwd", ".hidden", "", "none.wav"):
        assert "no recording" in refused(client, prime={"recording": outside})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"songs": [{"artist": "nobdy"}]}, "'nobdy'"),
        ({"seconds": -1}, "above 0"),
        ({"seconds": None}, "a length"),
        ({"takes": "many"}, "takes of the request is 'many'; expected a whole number"),
        ({"tempo": 3}, "no field 'tempo'"),
        ({"model": "/etc"}, "not offered"),
        ({"given": {"source": "none"}}, "no song 'none'"),
        ({"given": {"source": ".."}}, "no song '..'"),
        ({"given": 3}, "expected an object"),
        ({"takes": 1000}, "64 at once"),
        ({"takes": 10_000_000}, "10000 or fewer at once"),
        ({"songs": [{"artist": "nobody", "lyrics": "\ud800"}]}, "no text"),
        ({"joined": [{"source": "none"}]}, "no song 'none'"),
        ({"joined": [{"source": "/etc"}]}, "no song '/etc'"),
        ({"joined": [{"item": "song"}]}, "no song ''"),
        ({"joined": [3]}, "expected an object"),
        ({"joined": "none"}, "expected a list"),
        ({"levels": [{"level": 1, "top_p": 2}]}, "Level 1: top_p is 2.0; expected"),
        ({"songs": [{"artist": "nobody", "blend": [{"weight": 2, "artist": "nobody"}]}]}, "weight of a blend is 2.0"),
    ],
)
def test_a_wrong_request_is_a_sentence_and_writes_nothing(client: TestClient, changes: Any, sentence: str) -> None:
    assert sentence in refused(client, **changes)


def test_what_is_no_request_is_a_sentence(client: TestClient) -> None:
    for body in ("la", "[]", '{"request": 3}', '{"request": {}, "name": 3}', "{}"):
        answer = client.post("/api/songs", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 400, body
        assert answer.json()["error"].endswith(".")
    for body in ("[" * 100_000, json.dumps({"name": "x" * (5 << 20)})):
        answer = client.post("/api/songs", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 400
    assert client.post("/api/songs/none/go-on", json={}).status_code == 400
    assert client.post("/api/songs/none/sing", json={}).status_code == 400


def test_only_files_of_songs_are_given_away(client: TestClient, studio: Studio, tmp_path: Path) -> None:
    name = begun(client)
    wait(lambda: song(client, name)["finished"])
    (tmp_path / "secret.json").write_text("{}")
    (studio.shelf.folder / "link.json").symlink_to(tmp_path / "secret.json")
    for path in (
        "../secret.json",
        "%2e%2e/secret.json",
        "link.json",
        f"{name}/.lock",
        f"{name}/codes",
        name,
        "",
        "%00.wav",
        "x" * 5000,
    ):
        assert client.get(f"/files/{path}").status_code == 404, path


def test_titles_stars_and_removed_songs(client: TestClient, studio: Studio) -> None:
    name = begun(client)
    wait(lambda: not studio.worker.busy())
    client.post(f"/api/songs/{name}/note", json={"title": "Mine", "starred": {"song": True}})
    found = song(client, name)
    assert (found["title"], found["takes"][0]["starred"]) == ("Mine", True)
    client.post(f"/api/songs/{name}/remove", json={})
    assert client.get("/api/state").json()["removed"] == [name]
    client.post(f"/api/songs/{name}/restore", json={})
    assert song(client, name) == found


def test_a_form_is_told_what_a_model_knows(client: TestClient) -> None:
    model = client.get("/api/model", params={"model": "tiny-random"}).json()
    assert [level["level"] for level in model["levels"]] == [2, 1, 0]
    assert model["sings"]
    assert model["follows"]
    assert client.get("/api/names/artists", params={"model": "tiny-random", "text": "body"}).json()
    assert client.get("/api/names/voices", params={"model": "tiny-random"}).status_code == 400
    assert client.get("/api/model", params={"model": "/etc"}).status_code == 400
    described = client.post("/api/describe", json={"model": "tiny-random", "text": "a waltz, sung by nobody"}).json()
    assert (described["artist"], described["genre"]) == ("nobody", "waltz")
    assert client.post("/api/describe", json={"model": "tiny-random", "text": "qwerty"}).status_code == 400
    read_as = client.post("/api/lyrics", json={"model": "tiny-random", "lyrics": "la ☃"}).json()["lyrics"]
    assert "☃" not in read_as
    assert "level" in client.post("/api/estimate", json={"request": REQUEST}).json()


def test_what_goes_wrong_in_a_song_is_said_and_the_next_is_written(client: TestClient, studio: Studio) -> None:
    first = begun(client, seconds=0.6)
    wait(lambda: studio.worker.state()["levels"])
    client.post(f"/api/songs/{first}/stop", json={})
    wait(lambda: not studio.worker.busy())
    for file in (studio.shelf.folder / first).glob("session*.json"):
        values = json.loads(file.read_text())
        file.write_text(json.dumps(values | {"sha256": "other"}))
    (studio.shelf.folder / first / "request.yaml").write_text("model: none\nseconds: 1\n")
    client.post(f"/api/songs/{first}/go-on", json={})
    second = begun(client)
    wait(lambda: song(client, second)["finished"])
    problem = client.get("/api/state").json()["work"]["problems"][first]
    assert "none" in problem


def test_pages_of_other_sites_change_nothing(client: TestClient) -> None:
    body = {"request": REQUEST, "name": "hymn"}
    assert client.get("/api/state", headers={"host": "evil.example:4410"}).status_code == 403
    assert client.get("/api/state", headers={"host": "[x"}).status_code == 403
    assert client.post("/api/songs", json=body, headers={"origin": "http://evil.example"}).status_code == 403
    assert client.put("/api/recordings/a.wav", content=b"", headers={"origin": "null"}).status_code == 403
    plain = client.post("/api/songs", content=json.dumps(body), headers={"content-type": "text/plain"})
    assert plain.status_code == 403
    assert client.post("/api/songs/hymn/stop", json={}, headers={"origin": "http://localhost"}).status_code == 200
    assert client.get("/api/state").json()["songs"] == []


def test_a_network_needs_the_key(tmp_path: Path, catalogue: Catalogue) -> None:
    studio = Studio(Shelf(tmp_path), catalogue)
    with TestClient(make_app(studio, "secret"), base_url="http://10.0.0.7:4410") as stranger:
        assert stranger.get("/api/state").status_code == 403
        assert stranger.get("/?key=wrong").status_code == 403
        assert stranger.get("/?key=secret").status_code == 200
        assert stranger.get("/api/state").status_code == 200  # the browser has a cookie now


def test_the_page_has_everything_that_it_names(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    for name in (
        "studio.css",
        "studio.js",
        "form.js",
        "beginnings.js",
        "player.js",
        "vendor/wavesurfer.esm.js",
        "vendor/LICENSE",
    ):
        assert client.get(f"/web/{name}").status_code == 200
