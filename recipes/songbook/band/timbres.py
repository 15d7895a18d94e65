"""The instruments, by General MIDI program, and what each plays well."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timbre:
    """An accompanying instrument: its name in the artist's, its General MIDI program, its figures, its octave."""

    name: str
    program: int
    figures: tuple[str, ...]
    octaves: int = 0


ALL = ("chorale", "arpeggio", "alberti", "waltz", "pulse", "strum")
HELD = ("chorale", "pulse")
TIMBRES = {
    t.name: t
    for t in (
        Timbre("Organ", 19, ("chorale", "accompaniment")),
        Timbre("Reed Organ", 20, ("chorale", "waltz")),
        Timbre("Piano", 0, ALL),
        Timbre("Electric Piano", 4, ("chorale", "arpeggio", "alberti", "pulse")),
        Timbre("Harpsichord", 6, ("chorale", "alberti", "arpeggio")),
        Timbre("Music Box", 10, ("arpeggio", "alberti"), 1),
        Timbre("Vibraphone", 11, ("chorale", "arpeggio")),
        Timbre("Marimba", 12, ("pulse", "alberti")),
        Timbre("Accordion", 21, ("waltz", "chorale")),
        Timbre("Guitar", 24, ("arpeggio", "strum", "waltz")),
        Timbre("Steel Guitar", 25, ("strum", "waltz", "arpeggio")),
        Timbre("Harp", 46, ("arpeggio", "strum")),
        Timbre("Strings", 48, HELD),
        Timbre("Choir", 52, ("chorale", "accompaniment")),
        Timbre("Brass", 61, ("chorale",)),
        Timbre("Pad", 89, HELD),
    )
}
SPARSE = (
    ("Pad", "drone"),
    ("Strings", "drone"),
    ("Reed Organ", "drone"),
    ("Piano", "bass"),
    ("Guitar", "bass"),
    ("Vibraphone", "bass"),
)
"""(instrument, figure) of sparse songs."""
WRITTEN = ("Piano", "Electric Piano", "Harpsichord", "Harp", "Guitar")
"""For a piano part that is played as the composer wrote it."""
