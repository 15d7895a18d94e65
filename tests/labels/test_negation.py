"""What a description denies: it does not count for what it names, and it counts for what denies it too."""

import re

import pytest

from jukebox.errors import LabelError
from jukebox.labels.description import describe
from jukebox.labels.glossary import Glossary, built_in
from jukebox.labels.negation import split_denied
from jukebox.labels.vocabulary import Vocabulary

OPEN = Vocabulary.from_songs([("Ada", "jazz"), ("No Doubt", "ska"), ("Bo", "folk")])


@pytest.mark.parametrize(
    ("text", "denied"),
    [
        ("slow jazz without drums", "without drums"),
        ("banjo, no vocals, calm", "no vocals"),
        ("not a woman, a deep man", "not a woman"),
        ("neither sad nor fast, in a church", "neither sad nor fast"),
        ("no drums or bass but flutes", "no drums or bass"),
        ("never loud and very soft", "never loud"),
        ("isn’t sad with violins", "isn’t sad"),
        ("I don't want drums, guitars or bass: flutes", "don't want drums, guitars or bass"),
        ("no drums, a soft voice or two", "no drums"),
        ("instead of guitars a piano", "instead of guitars"),
        ("no singing on the beach", "no singing"),
        ("a song that is not sung by a woman", "not sung by a woman"),
        ("hymn without drums by Ada", "without drums"),
        ("not only drums but also flutes", ""),
        ("nothing but drums", ""),
        ("not without drums", ""),
        ("No. I want a note on a knot", "No"),
        ("", ""),
    ],
)
def test_what_is_denied_ends_where_the_sentence_turns(text: str, denied: str) -> None:
    said, found = split_denied(text)
    assert found.strip() == denied
    assert "".join(said.split()) == "".join(text.replace(denied, "").split())


@pytest.mark.parametrize("negation", ["no", "without", "not", "never any", "it hasn't"])
def test_no_denied_word_counts(negation: str) -> None:
    """Every entry is found by its words, and not where they are denied; the rest is found as before."""
    glossary = Glossary(tuple(entry for entry in built_in().entries if " no " not in f" {entry.words} "))
    for entry in glossary.entries[::5]:
        word = re.findall(r"\w+", entry.words)[0]
        found = glossary.search(f"banjo, {negation} {word}")
        assert {match.because for match in found} == {("banjo",)}, word
        assert found == glossary.search("banjo")


def test_what_denies_the_same_is_found() -> None:
    glossary = Glossary.from_text("hymn: voices, without drums\nmarch: drums and trumpets\n")
    assert [match.entry.names[0] for match in glossary.search("something with no drums")] == ["hymn"]
    assert glossary.search("something with no drums")[0].because == ("no drums",)
    assert [match.entry.names[0] for match in glossary.search("drums")] == ["march"]


def test_names_that_are_denied_are_not_chosen() -> None:
    assert describe("jazz, but not like Bo", OPEN).artist == "unknown"
    assert describe("jazz like Ada, not like Bo", OPEN).artist == "Ada"
    assert describe("folk by No Doubt", OPEN).artist == "No Doubt"
    assert describe("not jazz but folk", OPEN).genre == "folk"
    own = Glossary.from_text("Ada: woman, high\nBo: man, deep\n")
    assert describe("a man, not a woman", OPEN, own).artist == "Bo"
    with pytest.raises(LabelError, match="Nothing that this model knows"):
        describe("not a woman", OPEN, own)
