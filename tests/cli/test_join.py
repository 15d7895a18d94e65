"""join: parts as a person names them, what is written of them, and one sentence for every mistake."""

import shutil
from pathlib import Path

import pytest

from jukebox.checkpoints.codes import load_codes
from jukebox.cli.join import parse_part
from jukebox.cli.main import main
from jukebox.sampling.request import SongRequest
from jukebox.sampling.session import is_session
from tests.commands import refused


@pytest.fixture(scope="module")
def songs(short_windows: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the song `whole` and two takes of a sketch, in a folder that looks like a part."""
    place = tmp_path_factory.mktemp("songs")
    song = ["generate", "--model", "tiny-random", "--seconds", "0.05", "--seed", "2", "--artist", "nobody"]
    song += ["--parallel-windows", "1", "--no-previews", "--format", "wav", "-o"]
    assert main([*song, str(place / "whole")]) == 0
    assert main([*song, str(place / "my song#2@0-9"), "--takes", "2", "--lowest-level", "2"]) == 0
    return place


def joined(folder: Path, *words: object) -> Path:
    assert main(["join", *map(str, words), "--no-previews", "--format", "wav", "-o", str(folder)]) == 0
    return folder


def test_a_song_in_parts_with_all_levels_is_the_song(songs: Path, tmp_path: Path) -> None:
    whole = songs / "whole"
    again = joined(tmp_path / "song", f"{whole}@-0.02", f"{whole}#song@0.02-.03", f"{whole}@0.03-", "--levels", "2,1,0")
    for name in ("song.codes", "song.wav"):
        assert (again / name).read_bytes() == (whole / name).read_bytes()


def test_without_levels_it_is_the_top_upsampled(songs: Path, tmp_path: Path) -> None:
    song = joined(tmp_path / "song", f"{songs / 'whole'}@0-0.02", f"{songs / 'whole'}@0.02-")
    upsample = ["upsample", str(songs / "whole"), "--parallel-windows", "1", "--no-previews", "--format", "wav", "-o"]
    assert main([*upsample, str(tmp_path / "upsampled")]) == 0
    for name in ("song.codes", "song.wav"):
        assert (song / name).read_bytes() == (tmp_path / "upsampled" / name).read_bytes()


def test_parts_of_other_songs_are_gone_on_with_and_the_first_says_the_rest(songs: Path, tmp_path: Path) -> None:
    sketch, file = f"{songs / 'my song#2@0-9'}#song_take_1@-0.02", songs / "whole/song.codes"
    song = joined(tmp_path / "song", sketch, f"{file}@0.03-", sketch, "--seconds", "0.07", "--genre", "waltz")
    request = SongRequest.read(song / "request.yaml")
    assert (request.takes, request.first_take, request.seed, request.lowest_level) == (1, 1, 2, 2)
    assert (request.songs[0].artist, request.songs[0].genre) == ("nobody", "waltz")
    found, first = (load_codes(each / "song_take_1.codes").codes for each in (song, songs / "my song#2@0-9"))
    second = load_codes(file).codes[2]
    row = [*first[2][:6].tolist(), *second[10:].tolist(), *first[2][:6].tolist()]
    assert found.keys() == {2}
    assert found[2][: len(row)].tolist() == row
    assert len(found[2]) == 24
    longer = ["continue", str(song), "--seconds", "0.08", "--no-previews", "-o", str(tmp_path / "longer")]
    assert main(longer) == 0
    codes = load_codes(tmp_path / "longer/song_take_1.codes").codes[2]
    assert codes[:24].tolist() == found[2].tolist()
    assert joined(tmp_path / "named", file, file, "--model", "tiny-random", "--artist", "nobody", "--lowest-level", "2")


def test_a_part_is_a_path_an_item_and_a_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("song", "a b", "song#1", "song@1-2"):
        Path(name).mkdir()

    def read(text: str) -> tuple[str, str | None, float, float | None]:
        part = parse_part(text)
        return str(Path(part.source).relative_to(tmp_path)), part.item, part.start_s, part.duration_s

    assert read("song") == ("song", None, 0.0, None)
    assert read("song@-5") == ("song", None, 0.0, 5.0)
    assert read("song@3-") == ("song", None, 3.0, None)
    assert read("a b#song_take_1@.25-1.5") == ("a b", "song_take_1", 0.25, 1.25)
    assert read("song#1") == ("song#1", None, 0.0, None)  # what is there is taken as it stands
    assert read("song#1#1@1-2") == ("song#1", "1", 1.0, 1.0)
    assert read("song@1-2") == ("song@1-2", None, 0.0, None)
    assert read("song@1-2@1-2") == ("song@1-2", None, 1.0, 1.0)
    assert read("song@0.1-0.3")[3] == 0.2


def test_mistakes_are_one_sentence(songs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole, sketch, out = songs / "whole", songs / "my song#2@0-9", ("-o", tmp_path / "song")
    for part in ("none", "none#song", f"{whole}@3", f"{whole}@3:5", f"{whole}@1.2.3-4", "x" * 5000):
        assert "a part is SESSION_OR_CODES[#ITEM][@START-END]" in refused(capsys, "join", part, whole, *out)
    for part in ("@5-3", "@5-5"):
        assert "ends where it begins or before" in refused(capsys, "join", f"{whole}{part}", *out)
    assert "no token from 3 s on" in refused(capsys, "join", whole, f"{whole}@3-", *out)
    assert "has no song 'song_take_7'" in refused(capsys, "join", f"{sketch}#song_take_7", *out)
    assert "has no song 'song_take_7'" in refused(capsys, "join", whole, f"{sketch}#song_take_7", *out)
    assert "say which by its name (item)" in refused(capsys, "join", whole, sketch, *out)
    assert "has no codes of level 0" in refused(capsys, "join", f"{sketch}#song_take_0", "--levels", "2,0", *out)
    assert "--levels is '3'" in refused(capsys, "join", whole, "--levels", "3", *out)
    assert "a song is a folder" in refused(capsys, "join", whole, "-o", tmp_path / "song.wav")
    assert "holds no session" in refused(capsys, "join", songs, "--model", "tiny-random", *out)
    assert "expected a length in seconds above 0" in refused(capsys, "join", whole, "--seconds", "-1", *out)
    short = ("--total", "0.06", "--artist", "nobody")
    assert "give a longer total" in refused(capsys, "join", whole, whole, *short, *out)
    assert "use 'nobody'" in refused(capsys, "join", whole, "--artist", "nobdy", *out)
    (tmp_path / "words.codes").write_text("la la")
    assert "not a codes file" in refused(capsys, "join", whole, tmp_path / "words.codes", *out)
    shutil.copytree(whole, tmp_path / "half", ignore=shutil.ignore_patterns("*.codes"))
    assert "is not finished; finish it by" in refused(capsys, "join", whole, tmp_path / "half", *out)
    assert not is_session(tmp_path / "song")
