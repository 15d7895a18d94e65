"""How often a description finds a right genre: `labels.glossary` beside the names alone, and beside a sentence encoder.

The hundred descriptions of `data/descriptions.tsv` were written by somebody who had not seen the glossary, with every
genre that a listener would accept; the first eighty do not name their genre, the last twenty do. An entry is right
where one of its names is among those.

    python bench/describe.py
    python bench/describe.py --encoder FOLDER     # a model of sentence-transformers, which must be installed
"""

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path

from jukebox.labels.glossary import Entry, Glossary, built_in

DESCRIPTIONS = Path(__file__).parent / "data" / "descriptions.tsv"
UNNAMED = 80

Ranked = Callable[[str], list[Entry]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, metavar="FOLDER", help="a model of sentence-transformers")
    arguments = parser.parse_args()
    glossary = built_in()
    names = Glossary(tuple(Entry(names=entry.names, broader=(), words="") for entry in glossary.entries))
    ways: dict[str, Ranked] = {
        "glossary": lambda text: [match.entry for match in glossary.search(text)],
        "names alone": lambda text: [match.entry for match in names.search(text)],
    }
    if arguments.encoder is not None:
        ways |= encoder_ways(arguments.encoder, glossary)
    cases = [line.split("\t") for line in DESCRIPTIONS.read_text(encoding="utf-8").splitlines()]
    parts = {"not named": cases[:UNNAMED], "named": cases[UNNAMED:]}
    print(f"{len(glossary.entries)} entries\n\n| way | descriptions | first is right | one of three | one of five |")
    print("| --- | --- | --- | --- | --- |")
    results = {}
    for way, ranked in ways.items():
        for part, chosen in parts.items():
            found = [[right(entry, accepted) for entry in ranked(text)[:5]] for text, accepted in chosen]
            counts = [sum(any(hits[:most]) for hits in found) for most in (1, 3, 5)]
            results[f"{way}, {part}"] = counts
            shown = " | ".join(f"{count / len(chosen):.0%}" for count in counts)
            print(f"| {way} | {len(chosen)} {part} | {shown} |", flush=True)
    print(json.dumps(results))


def encoder_ways(folder: Path, glossary: Glossary) -> dict[str, Ranked]:
    """The same entries by the distance of their vectors: of the names, and of names and words."""
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(str(folder), device="cpu")

    def ways(texts: list[str]) -> Ranked:
        known = encoder.encode(texts, convert_to_tensor=True, normalize_embeddings=True)

        def ranked(text: str) -> list[Entry]:
            scores = known @ encoder.encode(text, convert_to_tensor=True, normalize_embeddings=True)
            return [glossary.entries[int(index)] for index in scores.argsort(descending=True)]

        return ranked

    return {
        "encoder, names": ways([entry.names[0] for entry in glossary.entries]),
        "encoder, names and words": ways([f"{', '.join(entry.names)}: {entry.words}" for entry in glossary.entries]),
    }


def right(entry: Entry, accepted: str) -> bool:
    return bool({spelt(name) for name in entry.names} & {spelt(name) for name in accepted.split(",")})


def spelt(name: str) -> str:
    return (
        re.sub(r"\W+", " ", name.lower().replace("'n'", "and").replace("&", "and")).replace("hiphop", "hip hop").strip()
    )


if __name__ == "__main__":
    main()
