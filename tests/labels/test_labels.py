import math
from dataclasses import replace

import pytest

from jukebox.errors import ConfigError, LabelError
from jukebox.labels.labels import Blend, LabelEncoder, Labels, LabelTokens, NameShare, SongTokens
from jukebox.labels.text import V2_ALPHABET, LyricAlphabet
from jukebox.labels.timing import SongSpan
from jukebox.labels.vocabulary import NameList, Vocabulary

VOCABULARY = Vocabulary(
    rule="v2",
    artists=NameList(kind="artist", rule="v2", entries=(("unknown", 0), ("bo", 1))),
    genres=NameList(kind="genre word", rule="v2", entries=(("unknown", 0), ("slow", 1), ("folk", 2))),
)
ENCODER = LabelEncoder(vocabulary=VOCABULARY, alphabet=LyricAlphabet(characters="abcdef"), lyric_window=4)
SPAN = SongSpan(total_length_samples=600, offset_samples=200, window_length_samples=200)


def test_a_song_and_its_windows() -> None:
    song = ENCODER.song(Labels(artist="Bo", genre="Slow folk", lyrics="abcdef"))
    assert song.lyric_tokens == (1, 2, 3, 4, 5, 6)
    assert song.lyric_indices(SPAN) == (1, 2, 3, 4)
    window = song.window(SPAN)
    assert window == LabelTokens(span=SPAN, artist_id=1, genre_ids=(1, 2, -1, -1, -1), lyric_tokens=(2, 3, 4, 5))
    assert window.packed() == (600, 200, 200, 1, 1, 2, -1, -1, -1, 2, 3, 4, 5)
    assert song.window(SPAN, "float32") == window


def test_a_model_without_lyrics_gets_none() -> None:
    encoder = LabelEncoder(vocabulary=VOCABULARY, alphabet=V2_ALPHABET, lyric_window=0)
    song = encoder.song(Labels(lyrics="la la"))
    assert len(song.lyric_tokens) == 5
    assert song.window(SPAN).packed() == (600, 200, 200, 0, 0, -1, -1, -1, -1)


def test_lyrics_around_a_character_are_the_same_wherever_the_window_is() -> None:
    tokens = SongTokens(artist_id=0, genre_ids=(0,), lyric_tokens=tuple(range(1, 101)), lyric_window=10)
    spans = [SongSpan(total_length_samples=1000, offset_samples=at, window_length_samples=50) for at in (0, 300, 900)]
    for character, first in ((0, 0), (5, 0), (50, 45), (99, 90), (100, 90)):
        for span in spans:
            assert tokens.around(character).lyric_indices(span, "float32") == tuple(range(first, first + 10))
    assert tokens.can_be_followed
    assert not tokens.around(3).can_be_followed
    assert not replace(tokens, lyric_window=100).can_be_followed


def test_unknown_names_are_refused_or_zero() -> None:
    labels = Labels(artist="Nobody", genre="slow polka")
    with pytest.raises(LabelError, match="artist 'Nobody' is not in the list"):
        ENCODER.song(labels)
    silent = LabelEncoder(vocabulary=VOCABULARY, alphabet=V2_ALPHABET, lyric_window=4, unknown_is_zero=True)
    song = silent.song(labels)
    assert (song.artist_id, song.genre_ids) == (0, (1, 0, -1, -1, -1))
    with pytest.raises(LabelError, match="The genre has 6 words"):
        silent.song(Labels(genre="a b c d e f"))


def test_a_blend_names_what_is_mixed_in() -> None:
    labels = Labels(
        artist="bo", genre="folk", blend=(Blend(weight=0.25, genre="slow"), Blend(weight=0.5, artist="unknown"))
    )
    song = ENCODER.song(labels)
    assert song.blend == (
        NameShare(weight=0.25, artist_id=1, genre_ids=(1, -1, -1, -1, -1)),
        NameShare(weight=0.5, artist_id=0, genre_ids=(2, -1, -1, -1, -1)),
    )
    assert song.window(SPAN).blend == song.blend
    assert Labels.from_json(labels.to_json()) == labels
    with pytest.raises(LabelError, match="genre word 'polka'"):
        ENCODER.song(Labels(blend=(Blend(weight=0.25, genre="polka"),)))
    for weight in (0.0, -1.0, 1.5, math.nan):
        with pytest.raises(ConfigError, match="a share above 0, up to 1"):
            Blend(weight=weight, artist="bo")
    with pytest.raises(LabelError, match="neither artist nor genre"):
        Blend(weight=0.5)
    with pytest.raises(LabelError, match=r"are 1\.2 in all"):
        Labels(blend=(Blend(weight=0.6, artist="bo"), Blend(weight=0.6, artist="unknown")))


def test_bad_durations_are_refused() -> None:
    for total in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(
            LabelError, match=r"total_duration_s is .*: give a length in seconds above 0, or leave it out"
        ):
            Labels(total_duration_s=total)
    for offset in (-1.0, math.nan):
        with pytest.raises(LabelError, match=r"offset_s is .*: give a position in seconds, 0 or more"):
            Labels(offset_s=offset)
    with pytest.raises(LabelError, match=r"offset_s is 9\.0 in a song of 9\.0 seconds: music must start before"):
        Labels(total_duration_s=9.0, offset_s=9.0)
    assert Labels(offset_s=9.0).total_duration_s is None
