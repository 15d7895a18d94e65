"""Words to phones: poetic spellings, and the front end's answer brought back to words."""

import pytest

from recipes.songbook.tools import missing
from recipes.songbook.voice.frontend import SpokenSyllable, _with_vowels, respell, speak


@pytest.mark.parametrize(
    ("written", "last", "spoken"),
    [
        ("Heav’n,", "Heav’n,", ["heaven"]),
        ("o'er", "o'er", ["ore"]),
        ("Lord's", "Lord's", ["lord's"]),
        ("'neath", "'neath", ["neath"]),
        ("blessed", "ed", ["bless", "id"]),
        ("blessèd", "sèd", ["bless", "id"]),
        ("blessed", "blessed", ["blessed"]),
        ("seed", "seed", ["seed"]),
        ("Cœur!", "Cœur!", ["coeur"]),
        ("--", "--", ["ah"]),
    ],
)
def test_written_words_are_respelled_in_plain_letters(written: str, last: str, spoken: list[str]) -> None:
    found = respell(written, last)
    assert found == spoken


def test_a_syllable_without_a_vowel_joins_the_one_before() -> None:
    syllables = [SpokenSyllable(1, [("g", 0), ("aa", 1), ("d", 2)]), SpokenSyllable(0, [("z", 3)])]
    (joined,) = _with_vowels(syllables)
    assert [phone for phone, _ in joined.phones] == ["g", "aa", "d", "z"]


@pytest.mark.skipif("festival" in missing(), reason="festival is not installed")
def test_festival_answers_as_many_words_as_it_is_asked() -> None:
    asked = [[["god's"], ["what", "air"], ["heaven"]], [["ah"]]]
    first, second = speak(asked)
    assert [len(word) for word in first.words] == [1, 2, 2]
    assert [phone for phone, _ in first.words[0][0].phones] == ["g", "aa", "d", "z"]
    assert len(second.words) == 1
    assert all("-pau+" in labels[0] and "-pau+" in labels[-1] for labels in (first.labels, second.labels))
