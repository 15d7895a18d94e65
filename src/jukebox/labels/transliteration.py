"""Any text to ASCII, in the conventions that the released lyric models were trained with.

`anyascii` knows every script. The tables below are the places where the models saw another spelling: the
romanisation of Cyrillic in library catalogues, classical Greek, the Unicode names of Hangul syllables and
Indic letters, one word per Chinese character, no pictures. The recorded lyrics in tests/golden/text pin them.
"""

import unicodedata
from functools import lru_cache


def _pairs(text: str) -> dict[str, str]:
    """`"Ж=Zh ж=zh Ъ="` as a dictionary; a right side may be empty."""
    return dict(entry.split("=", 1) for entry in text.split())


_PUNCTUATION = {
    "\u200b": " ",  # zero width space
    "\u2028": "\n",  # line separator
    "\u2029": "\n\n",  # paragraph separator
    "\u037e": "?",  # Greek question mark
    "№": "No. ",
    **_pairs("―=-- —=-- ‚=, „=,, ‧=. ·= ⁅=-[ ⁆=]- ⁊=7 ←=- →=- ↔=- −=- ∕=/ ∗=* ∼=~ ∶=:"),
    **_pairs("¢=C ￠=C £=PS ￡=PS ¤=$? §=SS ©=(c) ®=(r) ™=(tm) ℠=(sm) ×=x ℃=degC ℉=degF"),
    **_pairs("₠=ECU ₡=CL ₣=FF ₥=mil ₪=NS ₫=D"),
}
_LATIN = _pairs("Æ=AE Ǣ=AE Ǽ=AE Œ=OE Ŋ=NG ẞ=SS ĸ=k Ǝ=3 Ə= ə=")
_CYRILLIC = _pairs(
    "Ѐ=Ie Ё=Io Ѓ=Gj Ї=Yi Ћ=Tsh Ќ=Kj Й=I Ю=Iu Я=Ia Ґ=G' Ә= ѐ=ie ё=io ѓ=gj ї=yi ћ=tsh ќ=kj й=i ю=iu я=ia ґ=g' ә="
)
_GREEK = _pairs("Β=B Η=E Ξ=Ks Υ=U Φ=Ph Χ=Kh β=b η=e υ=u φ=ph χ=kh")
_HEBREW = _pairs(
    "א=A ב=b ח=KH ך=k כ=k ע= ף=p פ=p ץ=TS צ=TS ק=q ש=SH \u05b0= \u05bc=' \u05c1="  # sheva, dagesh, shin dot
)
_ARABIC = _pairs(
    "ء= ؤ=w' إ= ئ=y' ة= ح=H ص=S ض=D ط=T ظ=Z ع= غ=G ى= \u064b=an \u064c=un \u064d=in \u0651=W"  # tanwin, shadda
)
_ARMENIAN = _pairs("Թ=T Չ=Ch Ց=Ts Փ=P Ք=K թ=t չ=ch ց=ts փ=p ք=k Ռ=Rh ռ=rh Ը=E ը=e")
_THAI = _pairs("จ=cch ฤ=R ฦ=L อ= า=aa ี=ii ื=uue ู=uu")
_JAPANESE = {
    "、": ", ",
    "。": ". ",
    **_pairs("っ=tsu じ=zi ぢ=di づ=du ふ=hu を=wo ゐ=wi ゑ=we ッ=tsu ジ=zi ヂ=di ヅ=du フ=hu ヲ=wo ヰ=wi ヱ=we"),
    **_pairs('・= 々=" ゛=: ゜=; ゙=: ゚=; ﾞ=: ﾟ=;'),
    **dict.fromkeys("』〉》", " "),
    **dict.fromkeys("『〈《", ""),
    **_pairs("〖=[[ 〘=(( 〚=[["),
    **{mark: ascii + " " for mark, ascii in _pairs("」=] 】=)] 〕=] 〗=]] 〙=)) 〛=]] 〜=").items()},
}
_OVERRIDES = {
    **_PUNCTUATION,
    **_LATIN,
    **_CYRILLIC,
    **_HEBREW,
    **_ARABIC,
    **_ARMENIAN,
    **_THAI,
    **_JAPANESE,
}

_PICTURES = (  # arrows, mathematics, geometric signs, dingbats, emoji: not read aloud, so dropped
    range(0x2190, 0x2460),
    range(0x2580, 0x2C00),
    range(0x1D000, 0x1D200),
    range(0x1F000, 0x1F100),
    range(0x1F1E6, 0x1FC00),
)
_CHINESE = (range(0x3400, 0xA000), range(0xF900, 0xFB00), range(0x20000, 0x33480))
_INDIC = range(0x0900, 0x0D80)
_INDIC_SIGNS = _pairs("CANDRABINDU=N ANUSVARA=N VISARGA=H VIRAMA= NUKTA=")


def to_ascii(text: str) -> str:
    """Spell a text in ASCII, character by character.

    Args:
        text: any text. ASCII characters, control characters among them, stay as they are.

    Returns:
        Text of code points below 128. Pictures and characters without a reading are dropped.
    """
    return text if text.isascii() else "".join(map(_character, text))


@lru_cache(maxsize=1 << 16)
def _character(character: str) -> str:
    if character.isascii():
        return character
    if character in _OVERRIDES:
        return _OVERRIDES[character]
    from anyascii import anyascii

    code = ord(character)
    name = unicodedata.name(character, "")
    category = unicodedata.category(character)
    if name.startswith("HANGUL SYLLABLE "):
        return name.removeprefix("HANGUL SYLLABLE ").lower()
    if name.startswith("GREEK ") and category.startswith("L"):
        base = unicodedata.normalize("NFD", character)[0]  # without accents and breathings
        return _GREEK.get(base, anyascii(base))
    if name.startswith("HALFWIDTH KATAKANA LETTER "):
        return _character(unicodedata.normalize("NFKC", character))
    if name.startswith("VULGAR FRACTION "):
        return " " + anyascii(character)  # 1½ is not 11/2
    if any(code in block for block in _CHINESE) and category == "Lo":
        return anyascii(character) + " "
    if code in _INDIC and category[0] in "LM":
        return _indic(name)
    if category in ("So", "Sm") and any(code in block for block in _PICTURES):
        return ""
    return anyascii(character)


def _indic(name: str) -> str:
    """The Unicode name spells the sound: LETTER TTHA is tth (no inherent a), VOWEL SIGN II is ii."""
    sound = name.rsplit(" ", 1)[-1]
    if " SIGN " in name and " VOWEL SIGN " not in name:
        return _INDIC_SIGNS.get(sound, "")
    if "VOCALIC" in name:
        return sound
    consonant = " LETTER " in name and sound[0] not in "AEIOU"
    return (sound.removesuffix("A") if consonant else sound).lower()
