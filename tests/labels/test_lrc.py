"""LRC files as programs write them."""

import re

import pytest

from jukebox.errors import DataError, LabelError
from jukebox.labels.labels import Labels
from jukebox.labels.lrc import parse_lrc
from jukebox.labels.lyric_times import places


def times(text: str) -> list[tuple[float, float, str]]:
    return [(t.start_s, t.end_s, t.text) for t in parse_lrc(text)[1]]


def test_lines_last_until_the_next_and_may_come_twice() -> None:
    text = "[ti:Title]\n[00:10.50]One line\n[00:12.00][01:02.25]Chorus\n[00:15.00]\nno time\n"
    assert parse_lrc(text)[0] == "One line\nChorus\nChorus"
    assert times(text) == [(10.5, 12.0, "One line"), (12.0, 15.0, "Chorus"), (62.25, 66.25, "Chorus")]


def test_words_and_offset() -> None:
    text = "[offset:+500]\n[00:01.00]<00:01.00>two <00:01.50>words<00:02.00>\n[00:03.00]<00:03.10>more\n"
    lyrics, timed = parse_lrc(text)
    assert lyrics == "two words\nmore"
    assert times(text) == [(0.5, 1.0, "two"), (1.0, 1.5, "words"), (2.6, 6.6, "more")]
    assert places(lyrics, timed) is not None


def test_fractions_of_a_second_have_any_number_of_digits() -> None:
    assert times("[00:01.1234]four\n[00:02.5]one\n[1:3:000001]six\n[00:70]none\n") == [
        (1.1234, 2.5, "four"),
        (2.5, 63.000001, "one"),
        (63.000001, 70.0, "six"),
        (70.0, 74.0, "none"),
    ]


@pytest.mark.parametrize("line", ["plain last", "[1:2.5.3]bad", "[chorus]", "  [00:99", "[ar:x] sung"])
def test_labels_lose_no_line_without_a_word(line: str) -> None:
    """What is read of files for training leaves such lines out."""
    text = f"[ar: Some [One]]\n\n[00:01.00]first\n{line}\n[00:03.00]\n"
    assert parse_lrc(text)[0] == "first"
    with pytest.raises(LabelError, match=rf"^Line 4 of the lyrics, {re.escape(repr(line.strip()))}, has no time"):
        Labels(lyrics=text).timed()


def test_lines_about_the_song_are_not_sung() -> None:
    about = "[ti:Title]\n[length: 03:20]\n[offset:-250]\n [re:x][ve:1]\n[#:a remark]\n   \n"
    assert Labels(lyrics=f"{about}[00:01.00]first").timed().lyrics == "first"


def test_what_has_no_times_is_refused() -> None:
    with pytest.raises(DataError, match="no line with a time"):
        parse_lrc("just words\n[ar:Somebody]\n")


def test_labels_with_lyrics_in_that_form_have_times() -> None:
    timed = Labels(lyrics="[ti:Hymn]\n[00:01.00]One line\n[00:03.50]Another").timed()
    assert timed.lyrics == "One line\nAnother"
    assert [(each.start_s, each.end_s) for each in timed.lyric_times] == [(1.0, 3.5), (3.5, 7.5)]
    assert timed.timed() == timed
    plain = Labels(lyrics="One line\n[chorus] at 10:30")
    assert plain.timed() == plain
    with pytest.raises(LabelError, match="look like an LRC file"):
        Labels(lyrics="[00:01.00]\n[00:03.00] ").timed()
