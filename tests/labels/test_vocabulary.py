import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukebox.errors import DataError, LabelError
from jukebox.labels.vocabulary import Vocabulary, normalise

SONGS = [
    ("Ada & the Loops", "Folk"),
    ("ada  &  the loops", "folk"),
    ("Ｂｏ", "Ambient"),
    ("Çelik", "unknown"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lists = {
        "v2_artist_ids.txt": "unknown;0\nvarious;0\n;0\nada_the_loops;1\nbo_;2\nc_lik;3\n",
        "v2_genre_ids.txt": "unknown;0\nfolk;1\nrock;2\nslow;3\n",
        "v3_artist_ids.txt": "ada & the loops;1\nsemi;colon;2\ntwice;3\ntwice;4\nunknown;0\n",
        "v3_genre_ids.txt": "folk rock;1\nunknown;0\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_v2_folds_punctuation_and_splits_genres(folder: Path) -> None:
    vocabulary = Vocabulary.released(folder, "v2")
    assert vocabulary.artist_id("  Ada & The LOOPS!") == 1
    assert vocabulary.artist_id("C?lik") == 3
    assert vocabulary.genre_ids("Slow-Folk/Rock") == (3, 1, 2)
    assert vocabulary.genre_ids_or_unknown("") == (0,)
    assert vocabulary.fill_genre_slots((3, 1)) == (3, 1, -1, -1, -1)
    assert vocabulary.artist_name(0) == "_unknown_various"
    assert vocabulary.genre_name((3, 1, -1, -1, -1)) == "slow_folk"


def test_v3_only_lowers_the_case(folder: Path) -> None:
    vocabulary = Vocabulary.released(folder, "v3")
    assert vocabulary.artist_id("ADA & the Loops") == 1
    assert vocabulary.artist_id_or_unknown("ADA & the Loops ") == 0
    assert vocabulary.artist_id("semi;colon") == 2
    assert vocabulary.artist_id("twice") == 4  # of equal names the last counts
    assert len(vocabulary.artists) == 4
    assert vocabulary.artists.id_count == 5
    assert vocabulary.genre_ids("Folk Rock") == (1,)
    assert vocabulary.fill_genre_slots((1,)) == (1,)


def test_a_name_as_it_stands_in_the_list_is_found(folder: Path) -> None:
    artists = Vocabulary.released(folder, "v2").artists
    assert artists.id("bo_") == 2
    assert artists.id_or_unknown("bo_") == 0  # the original's rule strips the underscore


def test_unknown_names_are_refused_with_close_ones(folder: Path) -> None:
    vocabulary = Vocabulary.released(folder, "v2")
    with pytest.raises(LabelError, match=r"artist 'Ada Loop' is not in the list of 6: use 'ada_the_loops' or 'unkn"):
        vocabulary.artist_id("Ada Loop")
    with pytest.raises(LabelError, match=r"artist 'Zzz' is not in the list of 6: use 'unknown'\."):
        vocabulary.artist_id("Zzz")
    with pytest.raises(LabelError, match=r"genre word 'rok' is not in the list of 4: use 'rock'"):
        vocabulary.genre_ids("folk rok")
    assert vocabulary.genre_ids_or_unknown("folk rok") == (1, 0)
    with pytest.raises(LabelError, match="No artist has the number 99: they go from 0 to 3"):
        vocabulary.artist_name(99)
    with pytest.raises(LabelError, match="genre has 6 words: leave some out, this model takes 5"):
        vocabulary.fill_genre_slots((1,) * 6)


def test_damaged_lists_are_refused(folder: Path) -> None:
    (folder / "v3_genre_ids.txt").write_text("folk;1\nrock\n")
    with pytest.raises(DataError, match=r"Line 2 of .*v3_genre_ids\.txt is 'rock'; expected name;number"):
        Vocabulary.released(folder, "v3")
    (folder / "v3_genre_ids.txt").unlink()
    with pytest.raises(DataError, match=r"cannot be read \(FileNotFoundError\): download the label lists"):
        Vocabulary.released(folder, "v3")


def test_open_vocabulary_matches_spellings() -> None:
    vocabulary = Vocabulary.from_songs(SONGS)
    assert vocabulary.artists.entries == (("unknown", 0), ("Ada & the Loops", 1), ("Ｂｏ", 2), ("Çelik", 3))
    assert vocabulary.genres.entries == (("unknown", 0), ("Ambient", 1), ("Folk", 2))
    assert vocabulary.artist_id("BO") == 2
    assert vocabulary.artist_id(" ÇELI\u212a ") == 3
    assert vocabulary.artist_name(1) == "Ada & the Loops"
    assert vocabulary.artist_id("Unknown") == 0
    assert vocabulary.genre_ids("FOLK") == (2,)


def test_empty_data_set_knows_only_unknown() -> None:
    assert Vocabulary.from_songs([]).artists.entries == (("unknown", 0),)


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=8), st.randoms())
def test_open_vocabulary_does_not_depend_on_the_order(songs: list[tuple[str, str]], order: random.Random) -> None:
    shuffled = list(songs)
    order.shuffle(shuffled)
    vocabulary = Vocabulary.from_songs(songs)
    assert Vocabulary.from_songs(shuffled + songs).fingerprint == vocabulary.fingerprint
    assert sorted({number for _, number in vocabulary.artists.entries}) == list(range(vocabulary.artists.id_count))
    for artist, genre in songs:
        assert normalise(artist, "open") in ("", "unknown") or vocabulary.artist_id(artist) > 0
        assert normalise(genre, "open") in ("", "unknown") or vocabulary.genre_ids(genre)[0] > 0


def test_json_round_trip_and_fingerprint(folder: Path) -> None:
    for vocabulary in (Vocabulary.from_songs(SONGS), Vocabulary.released(folder, "v2")):
        assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary
        assert Vocabulary.from_json(vocabulary.to_json()).fingerprint == vocabulary.fingerprint
    assert Vocabulary.from_songs(SONGS).fingerprint != Vocabulary.from_songs(SONGS[:1]).fingerprint


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        "{}",
        '{"rule": "v9", "artists": [], "genres": []}',
        '{"rule": "v2", "artists": 3, "genres": 3}',
        '{"rule": "v2", "artists": [["a"]], "genres": []}',
        '{"rule": "v2", "artists": [["a", "b"]], "genres": []}',
    ],
)
def test_damaged_json_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="This is not a vocabulary"):
        Vocabulary.from_json(text)


def test_search() -> None:
    artists = Vocabulary.from_songs([(name, "") for name in ("Beat", "The Beatniks", "Bleat", "Choir")]).artists
    assert artists.search("BEAT", 2) == ("Beat", "The Beatniks")
    assert artists.search("beat", 3) == ("Beat", "The Beatniks", "Bleat")
    assert artists.search("xyzzy") == ()
