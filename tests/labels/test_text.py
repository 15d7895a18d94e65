import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukebox.errors import ConfigError, LabelError
from jukebox.labels.text import PADDING_TOKEN, V2_ALPHABET, V3_ALPHABET, LyricAlphabet

RUSSIAN = LyricAlphabet(characters="абвгдеёжзийклмнопрстуфхцчшщъыьэюя abcdefghijklmnopqrstuvwxyz\n")
FRENCH = LyricAlphabet(characters="AÉaéz \\")
ALPHABETS = st.sampled_from([V2_ALPHABET, V3_ALPHABET, RUSSIAN, FRENCH])


def test_released_sizes() -> None:
    assert V2_ALPHABET.token_count == 80
    assert V3_ALPHABET.token_count == 79


@given(ALPHABETS, st.text())
def test_decode_of_encode_is_clean(alphabet: LyricAlphabet, lyrics: str) -> None:
    clean = alphabet.clean(lyrics)
    tokens = alphabet.encode(lyrics)
    assert alphabet.decode(tokens) == clean
    assert len(tokens) == len(clean)
    assert PADDING_TOKEN not in tokens
    assert set(clean) <= set(alphabet.characters)


@given(ALPHABETS, st.text())
def test_clean_is_idempotent(alphabet: LyricAlphabet, lyrics: str) -> None:
    clean = alphabet.clean(lyrics)
    assert alphabet.clean(clean) == clean


@given(ALPHABETS)
def test_own_characters_stay_and_have_their_token(alphabet: LyricAlphabet) -> None:
    assert alphabet.encode(alphabet.characters) == tuple(range(1, alphabet.token_count))


def test_unknown_characters_are_spelled_or_dropped() -> None:
    assert V2_ALPHABET.clean("a_b #c\\d é 🎵+") == "ab c\nd e +"
    assert V3_ALPHABET.clean("1+1") == "11"
    assert RUSSIAN.clean("Привет, été!") == "привет ete"  # capitals become small: the alphabet has none
    assert FRENCH.clean("Éa e\u0301 À\\") == "Éa é A\\"  # combining accent composed, own backslash kept


def test_padding_decodes_to_nothing() -> None:
    assert V2_ALPHABET.decode([0, 0, 8, 35]) == "Hi"


def test_foreign_token_is_refused() -> None:
    with pytest.raises(LabelError, match=r"lyric token 80 is outside 0\.\.79: decode with the alphabet"):
        V2_ALPHABET.decode([80])


def test_bad_alphabets_are_refused() -> None:
    with pytest.raises(ConfigError, match="alphabet is empty"):
        LyricAlphabet(characters="")
    with pytest.raises(ConfigError, match="has 'b' more than once"):
        LyricAlphabet(characters="abcb")


def test_json_round_trip() -> None:
    assert LyricAlphabet.from_json(RUSSIAN.to_json()) == RUSSIAN
