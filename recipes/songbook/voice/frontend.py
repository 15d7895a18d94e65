"""Words to phones by festival: its dictionary, its rules for unknown words, and the labels that HTS voices need."""

import re
import unicodedata
from dataclasses import dataclass

from recipes.songbook.tools import run
from recipes.songbook.voice.phones import VOWELS

ELISIONS = {
    "heav'n": "heaven", "heav'ns": "heavens", "heav'nly": "heavenly", "o'er": "ore", "e'er": "air", "ne'er": "nair",
    "whate'er": "what air", "where'er": "where air", "whene'er": "when air", "howe'er": "how air", "flow'r": "flower",
    "flow'rs": "flowers", "pow'r": "power", "pow'rs": "powers", "show'rs": "showers", "tow'r": "tower", "hour": "hour",
    "giv'n": "given", "ev'n": "even", "e'en": "een", "ris'n": "risen", "fall'n": "fallen", "driv'n": "driven",
    "'tis": "tizz", "'twas": "twuzz", "'twill": "twill", "'twixt": "twixt", "'neath": "neath", "'gainst": "gainst",
    "'mid": "mid", "'midst": "midst", "th'": "the", "thro'": "through", "tho'": "though", "ev'ry": "every",
    "ev'ning": "evening", "spir't": "spirit", "wand'ring": "wandering", "wond'rous": "wondrous", "gen'rous": "generous",
    "vict'ry": "victory", "mem'ry": "memory", "lab'ring": "laboring", "glor'ous": "glorious", "dang'rous": "dangerous",
    "num'rous": "numerous", "lov'st": "lovest", "thou'rt": "thowrt", "ag'd": "aged", "wi'": "with", "an'": "and",
    "sayest": "say est", "art": "art", "hallelujah": "hal lay loo yah", "alleluia": "al lay loo yah",
    "hosanna": "hozanna",
    "saviour": "savior", "thine": "thine", "o": "oh", "ah": "ah", "lo": "lo", "wert": "wurt", "shouldst": "shudst",
}  # fmt: skip
"""Poetic spellings that letter-to-sound rules get wrong, respelled."""

KEPT_APOSTROPHE = re.compile(r"'(s|ll|d|m|re|ve|t)$")
SCHEME = r"""
(voice_cmu_us_slt_arctic_hts)
(define (songbook_utterance text)
  (let ((u (eval (list 'Utterance 'Text text))))
    (Initialize u) (Text u) (Token_POS u) (Token u) (POS u) (Phrasify u) (Word u) (Pauses u)
    (Intonation u) (PostLex u) (Duration u) (Int_Targets u) u))
(define (songbook_word w)
  (mapcar (lambda (sy) (format t " |%s" (item.feat sy "stress"))
    (mapcar (lambda (sg) (format t " %s" (item.name sg))) (item.daughters sy)))
    (item.daughters (item.relation w 'SylStructure))))
(define (songbook_dump text)
  (let ((u (songbook_utterance text)))
    (format t "P\n")
    (mapcar (lambda (tk) (format t "T") (mapcar songbook_word (item.daughters tk)) (format t "\n"))
      (utt.relation.items u 'Token))
    (format t "S") (mapcar (lambda (s) (format t " %s" (item.name s))) (utt.relation.items u 'Segment))
    (format t "\n")
    (mapcar (lambda (s) (format t "L %s\n" s)) (hts_dump_feats_string_list u hts_feats_list))))
"""


@dataclass(slots=True)
class SpokenSyllable:
    """A syllable of the dictionary: its stress, and its phones each with its place among the phrase's labels."""

    stress: int
    phones: list[tuple[str, int]]


@dataclass(slots=True)
class SpokenPhrase:
    """A phrase as festival speaks it: the syllables of every word, and HTS labels, silence first and last."""

    words: list[list[SpokenSyllable]]
    labels: list[str]


def respell(word: str, last_syllable: str) -> list[str]:
    """The words, in plain letters, by which a written word is spoken.

    Args:
        word: as written, with punctuation.
        last_syllable: of the score, since `bless-ed` on two notes is not `blessed` on one.

    Returns:
        One or more; "ah" where nothing is left.
    """
    folded = unicodedata.normalize("NFKD", word.lower().replace("’", "'").replace("‘", "'").replace("`", "'"))
    folded = folded.replace("æ", "ae").replace("œ", "oe").replace("ß", "ss").replace("ø", "o")
    spoken: list[str] = []
    for part in re.sub(r"[^a-z' ]", "", re.sub("[-—–]", "", folded)).split():
        plain = part if part in ELISIONS else part.strip("'")
        if plain in ELISIONS:
            spoken += ELISIONS[plain].split()
        elif plain:
            spoken.append(plain if KEPT_APOSTROPHE.search(plain) else plain.replace("'", ""))
    ending = re.sub(r"[^a-z]", "", unicodedata.normalize("NFKD", last_syllable.lower()))
    marked = "e\u0300d" in folded and ending.endswith("ed")
    apart = ending == "ed" and spoken[-1:] and len(spoken[-1]) > 4 and spoken[-1][-3] not in "tdei"
    if spoken and spoken[-1].endswith("ed") and (marked or apart):
        stem = spoken[-1][:-2]
        spoken[-1:] = [stem if stem[-1] == stem[-2] else stem + "e", "id"]
    return spoken or ["ah"]


def speak(phrases: list[list[list[str]]]) -> list[SpokenPhrase]:
    """Look phrases up.

    Args:
        phrases: for each phrase, for each word, the words of `respell`.

    Returns:
        As many phrases, with as many words each. A word without a vowel ("'s") joins the syllable before it.
    """
    calls = [f'(songbook_dump "{" ".join(" ".join(word) for word in phrase)}")' for phrase in phrases]
    output = run(["festival", "--pipe"], stdin=SCHEME + "\n".join(calls))
    blocks = output.split("P\n")[1:]
    assert len(blocks) == len(phrases), "festival answers each phrase"
    return [_phrase(block.splitlines(), words) for block, words in zip(blocks, phrases, strict=True)]


def _phrase(lines: list[str], words: list[list[str]]) -> SpokenPhrase:
    labels = [line[2:].strip() for line in lines if line.startswith("L ")]
    segments = next(line for line in lines if line.startswith("S")).split()[1:]
    places = iter([i for i, name in enumerate(segments) if name != "pau"])
    tokens: list[list[SpokenSyllable]] = []
    for line in lines:
        if line.startswith("T "):  # the words below a token come as lines of their own, empty
            parts = [part.split() for part in line.split("|")[1:]]
            tokens.append([SpokenSyllable(int(float(p[0])), [(x, next(places)) for x in p[1:]]) for p in parts])
    assert len(tokens) == sum(len(word) for word in words), f"festival changed the words {words}: {lines}"
    spoken, here = [], 0
    for word in words:
        syllables = [s for token in tokens[here : here + len(word)] for s in token]
        spoken.append(_with_vowels(syllables))
        here += len(word)
    return SpokenPhrase(spoken, labels)


def _with_vowels(syllables: list[SpokenSyllable]) -> list[SpokenSyllable]:
    kept: list[SpokenSyllable] = []
    for syllable in syllables:
        if kept and not any(phone in VOWELS for phone, _ in syllable.phones):
            kept[-1] = SpokenSyllable(kept[-1].stress, kept[-1].phones + syllable.phones)
        else:
            kept.append(syllable)
    return kept
