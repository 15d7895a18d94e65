"""A description finds what it names and what it describes, in whatever of it a model knows, and says by which words."""

from pathlib import Path

import pytest

from jukebox.errors import DataError, LabelError
from jukebox.labels.description import describe
from jukebox.labels.glossary import Entry, Glossary, built_in, plain
from jukebox.labels.vocabulary import Vocabulary

OPEN = Vocabulary.from_songs(
    [
        ("Ada and the Loops", "death metal"),
        ("War", "bluegrass"),
        ("Bo", "bossa nova"),
        ("Cy", "hip hop"),
        ("Dee", "jazz"),
    ]
)


@pytest.fixture
def v2(tmp_path: Path) -> Vocabulary:
    (tmp_path / "v2_artist_ids.txt").write_text("unknown;0\nada_and_the_loops;1\n")
    words = ("unknown", "death", "metal", "rock", "latin", "brazilian", "roll", "n", "country", "blues")
    (tmp_path / "v2_genre_ids.txt").write_text("".join(f"{word};{index}\n" for index, word in enumerate(words)))
    return Vocabulary.released(tmp_path, "v2")


@pytest.mark.parametrize(
    ("description", "genre"),
    [
        ("growled vocals over blast beats", "death metal"),
        ("banjo and fiddle, played fast in the mountains", "bluegrass"),
        ("soft nylon guitar and a whisper on the beach in Rio", "bossa nova"),
        ("rapping over dusty samples", "hip hop"),
        ("something jazzy", "jazz"),
        ("hiphop", "hip hop"),
        ("bosanova, please", "bossa nova"),  # misspelt
    ],
)
def test_what_is_described_or_named_is_found(description: str, genre: str) -> None:
    found = describe(description, OPEN)
    assert (found.artist, found.genre) == ("unknown", genre)
    assert found.because
    assert all(plain(word) in plain(description) for word in found.because)
    assert genre in str(found)
    assert genre not in found.others


def test_a_broader_genre_stands_in_where_the_name_is_missing(v2: Vocabulary) -> None:
    for description, genre in {
        "growled vocals over blast beats": "death metal",
        "bossa nova": "brazilian",
        "slide guitar at the crossroads in Mississippi": "blues",
        "rock and roll": "rock 'n' roll",
        "a cowboy with a broken heart": "country",
    }.items():
        found = describe(description, v2)
        assert found.genre == genre
        assert 0 not in v2.genre_ids(found.genre)
        assert len(v2.genre_ids(found.genre)) <= v2.genre_slots


def test_an_artist_is_meant_where_it_is_said_so() -> None:
    assert describe("jazz by Ada and the Loops, please", OPEN).artist == "Ada and the Loops"
    assert describe("jazz in the style of WAR.", OPEN).artist == "WAR"
    assert describe("jazz against war", OPEN).artist == "unknown"
    assert describe("jazz like nobody else", OPEN).artist == "unknown"
    assert describe("like Bo", OPEN) == describe("like Bo ", OPEN)
    assert describe("like Bo", OPEN).genre == "unknown"


def test_a_model_has_words_of_its_own() -> None:
    own = Glossary.from_text(
        "# voices\nAda and the Loops: woman, high\nWar: man, deep, church\ndeath metal: slow, sweet\n"
    )
    found = describe("a deep man sings jazz", OPEN, own)
    assert (found.artist, found.genre) == ("War", "jazz")
    assert set(found.because) == {"deep", "man", "jazz"}
    assert describe("a slow and sweet thing", OPEN, own).genre == "death metal"
    assert describe("jazz by Bo, a man", OPEN, own).artist == "Bo"


@pytest.mark.parametrize("description", ["", "qwerty", "the of and", "??"])
def test_nothing_is_guessed_for_nothing(description: str) -> None:
    with pytest.raises(LabelError, match="say instruments"):
        describe(description, OPEN)


@pytest.mark.parametrize("line", ["jazz", ": words", "jazz:", "< pop: words"])
def test_a_line_that_is_no_entry_is_said(line: str, tmp_path: Path) -> None:
    (tmp_path / "glossary.txt").write_text(f"# a comment\n\n{line}\n")
    with pytest.raises(DataError, match="Line 3 of"):
        Glossary.read(tmp_path / "glossary.txt")
    with pytest.raises(DataError, match="cannot be read"):
        Glossary.read(tmp_path / "none.txt")


def test_every_entry_of_the_package_is_found_by_its_own_words() -> None:
    glossary = built_in()
    for entry in glossary.entries:
        assert glossary.search(f"{', '.join(entry.names)}: {entry.words}")[0].entry == entry


def test_every_broader_genre_leads_somewhere() -> None:
    """Broader genres are entries too, or general words of the released lists; none is broader than itself."""
    entries = {plain(name): entry for entry in built_in().entries for name in entry.names}
    for entry in built_in().entries:
        seen, waiting = set[Entry](), [entries.get(plain(name)) for name in entry.broader]
        while waiting:
            each = waiting.pop()
            assert each != entry
            if each is not None and each not in seen:
                seen.add(each)
                waiting += [entries.get(plain(name)) for name in each.broader]
