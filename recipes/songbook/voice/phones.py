"""The phones of American English (the CMU set): their kinds and how long a sung consonant takes."""

VOWELS = frozenset(
    ["aa", "ae", "ah", "ao", "aw", "ax", "axr", "ay", "eh", "er", "ey", "ih", "ix", "iy", "ow", "oy", "uh", "uw"]
)
VOICELESS = frozenset(["p", "t", "k", "ch", "f", "th", "s", "sh", "hh", "pau"])
VOICED_FRICATIVES = frozenset(["v", "dh", "z", "zh", "jh"])
STOPS = frozenset(["p", "t", "k", "b", "d", "g", "ch", "jh"])

CONSONANT_S = {
    **dict(p=0.106, t=0.10, k=0.106, b=0.081, d=0.075, g=0.081, ch=0.138, jh=0.112),
    **dict(f=0.125, th=0.112, s=0.15, sh=0.15, hh=0.081, v=0.075, dh=0.062, z=0.106, zh=0.106),
    **dict(m=0.088, n=0.081, ng=0.10, l=0.081, r=0.075, w=0.075, y=0.069),
}
"""Seconds, a quarter more than in slow speech, which makes words plainer; a vowel has what is left of its notes."""


def consonant_s(phone: str) -> float:
    """How long a consonant takes where there is time enough, in seconds."""
    return CONSONANT_S.get(phone, 0.09)
