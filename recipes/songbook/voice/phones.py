"""The phones of American English (the CMU set): their kinds and how long a sung consonant takes."""

VOWELS = frozenset(
    ["aa", "ae", "ah", "ao", "aw", "ax", "axr", "ay", "eh", "er", "ey", "ih", "ix", "iy", "ow", "oy", "uh", "uw"]
)
VOICELESS = frozenset(["p", "t", "k", "ch", "f", "th", "s", "sh", "hh", "pau"])
VOICED_FRICATIVES = frozenset(["v", "dh", "z", "zh", "jh"])
STOPS = frozenset(["p", "t", "k", "b", "d", "g", "ch", "jh"])

CONSONANT_S = {
    **dict(p=0.085, t=0.08, k=0.085, b=0.065, d=0.06, g=0.065, ch=0.11, jh=0.09),
    **dict(f=0.1, th=0.09, s=0.12, sh=0.12, hh=0.065, v=0.06, dh=0.05, z=0.085, zh=0.085),
    **dict(m=0.07, n=0.065, ng=0.08, l=0.065, r=0.06, w=0.06, y=0.055),
}
"""Seconds; a vowel has what is left of its notes."""


def consonant_s(phone: str) -> float:
    """How long a consonant takes where there is time enough, in seconds."""
    return CONSONANT_S.get(phone, 0.07)
