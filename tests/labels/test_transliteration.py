import pytest
from hypothesis import given
from hypothesis import strategies as st

from jukebox.labels.transliteration import to_ascii


@given(st.text())
def test_result_is_ascii(text: str) -> None:
    assert to_ascii(text).isascii()


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_is_untouched(text: str) -> None:
    assert to_ascii(text) == text


@given(st.text(), st.text())
def test_every_character_is_spelled_alone(first: str, second: str) -> None:
    assert to_ascii(first + second) == to_ascii(first) + to_ascii(second)


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("Motörhead, Sigur Rós, Dvořák, Beyoncé", "Motorhead, Sigur Ros, Dvorak, Beyonce"),
        ("ÆGIR Œuvre Þór ŋ", "AEGIR OEuvre Thor ng"),
        ("“a” ‘b’ „c‟ d— e– f… ¿g? ¡h!", '"a" \'b\' ,,c" d-- e- f... ?g? !h!'),
        ("1½ 3⅓ x² H₂O №1 Ⅳ ①", "1 1/2 3 1/3 x2 H2O No. 1 IV 1"),
        ("€ £ © ™ ×", "EUR PS (c) (tm) x"),
        ("Юрий Чебышёв подъём", "Iurii Chebyshiov pod'iom"),
        ("Αθήνα ευχαριστώ ἁρμονία", "Athena eukharisto armonia"),
        ("שלום", "SHlvm"),
        ("مرحبا", "mrHb"),
        ("사랑 친구", "sarang cingu"),
        ("おはよう、ジュン。", "ohayou, ziyun. "),
        ("爱 and 爱", "Ai  and Ai "),
        ("「歌」", "[Ge ] "),
        ("हिन्दी कृष्ण", "hindii kRssnn"),
        ("🎵♫ ∑ ⇒", "  "),
        ("h̷i", "hi"),
        ("𝓛𝓸𝓿𝓮", "Love"),
    ],
)
def test_scripts_are_spelled_as_the_released_models_saw_them(text: str, spelled: str) -> None:
    assert to_ascii(text) == spelled
