"""Tags: everything comes back from every format, and other programs find it where they look for it."""

from pathlib import Path

import av
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from jukebox.audio.io import Tags, read_tags, write
from jukebox.errors import AudioError
from tests.audio.sounds import chord, save, save_m4a

SUFFIXES = ("wav", "flac", "ogg", "mp3")
FULL = Tags(
    title="Überall – 日本 😀",
    artist="Señor Ärtist",
    genre="Röck",
    lyrics='First line\n\n  zweite Zeile: ñ = ß\r\nlast; one \\ "quoted" 歌\n',
    model="5b_lyrics",
    seed=2**63 - 1,
)

letters = st.text(st.characters(codec="utf-8", categories=("L", "S")), min_size=1, max_size=30)
lines = st.text(st.sampled_from("ab 歌ñ=;:\n\"'\\"), min_size=1, max_size=200).filter(lambda text: text.strip())
tags = st.builds(
    Tags,
    title=st.none() | letters,
    artist=st.none() | letters,
    genre=st.none() | letters,
    lyrics=st.none() | lines,
    model=st.none() | letters,
    seed=st.none() | st.integers(-(2**63), 2**63),
)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_everything_comes_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    write(path, chord(1, 2000), 44_100, FULL)
    assert read_tags(str(path)) == FULL
    write(path, chord(1, 2000), 44_100)
    assert read_tags(path) == Tags()


@settings(max_examples=60, deadline=None)
@given(suffix=st.sampled_from(SUFFIXES), written=tags)
def test_any_tags_come_back(tmp_path_factory: pytest.TempPathFactory, suffix: str, written: Tags) -> None:
    path = tmp_path_factory.mktemp("tags") / f"a.{suffix}"
    write(path, chord(1, 500), 44_100, written)
    assert read_tags(path) == written


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_long_lyrics_come_back(tmp_path: Path, suffix: str) -> None:
    """Longer than an Ogg page, and than seven bits of an ID3 size."""
    written = Tags(title="Epic", lyrics="one more line of the song\n" * 8_000)
    write(tmp_path / f"a.{suffix}", chord(1, 60_000), 44_100, written)
    assert read_tags(tmp_path / f"a.{suffix}") == written
    assert soundfile.info(tmp_path / f"a.{suffix}").frames == 60_000


def test_standard_fields_are_where_other_programs_look(tmp_path: Path) -> None:
    for suffix in ("wav", "flac", "ogg"):
        write(tmp_path / f"a.{suffix}", chord(1, 2000), 44_100, FULL)
        with soundfile.SoundFile(tmp_path / f"a.{suffix}") as file:
            assert (file.title, file.artist, file.genre) == (FULL.title, FULL.artist, FULL.genre)
    write(tmp_path / "a.mp3", chord(1, 2000), 44_100, FULL)
    head = (tmp_path / "a.mp3").read_bytes()
    for frame in (b"TIT2", b"TPE1", b"TCON", b"USLT", b"TXXX"):
        assert frame in head
    with av.open(str(tmp_path / "a.flac")) as file:
        assert file.metadata["LYRICS"] == FULL.lyrics


def test_ordinary_files(tmp_path: Path) -> None:
    assert read_tags(save(tmp_path / "a.wav", chord(1, 100))) == Tags()
    assert read_tags(save_m4a(tmp_path / "a.m4a", chord(1, 3000))) == Tags()
    with soundfile.SoundFile(tmp_path / "b.flac", "w", 44_100, 1) as file:
        file.title, file.comment = "Plain", "Model: unknown to us, a comment of somebody\nand more"
        file.write(chord(1, 100)[0].numpy())
    assert read_tags(tmp_path / "b.flac") == Tags(title="Plain")
    wav = save(tmp_path / "c.wav", chord(1, 100)).read_bytes()
    chunk = b"LIST" + (16).to_bytes(4, "little") + b"INFOINAM" + (4).to_bytes(4, "little") + b"\xfcber"
    (tmp_path / "c.wav").write_bytes(wav[:4] + (len(wav) + 16).to_bytes(4, "little") + wav[8:] + chunk)
    assert read_tags(tmp_path / "c.wav") == Tags(title="über")  # Latin-1, as old programs wrote it


def test_what_has_no_tags(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="there is no file"):
        read_tags(tmp_path / "no.wav")
    (tmp_path / "a.txt").write_text("words")
    with pytest.raises(AudioError, match="not a sound file of a known format"):
        read_tags(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"title": "two\nlines"}, "has a line break"),
        ({"lyrics": "a\0b"}, "is not text"),
        ({"model": "\ud800"}, "is not"),
    ],
)
def test_text_that_no_file_can_hold(fields: dict[str, str], sentence: str) -> None:
    with pytest.raises(AudioError, match=sentence):
        Tags(**fields)
