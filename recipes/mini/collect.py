"""The music mini learns from, as folders for `jukebox data prepare`: everything, and the voices alone."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jukebox.audio.io import probe, read, write
from jukebox.checkpoints.files import replacing
from jukebox.errors import DataError

FREE = ("CC0", "CC Public Domain", "Public Domain", "CC-BY-3", "CC-BY-4")
"""How the licences begin whose music may be in weights that are given away; share-alike ones are left out."""

HELD_OUT = {
    ("DS10Forum", "The Laundry Room"),
    ("TAD", "Oceanside"),
    ("Kevin MacLeod", "Dance of the Sugar Plum Fairy"),
    ("Software-Entwicklungskit", "Sodium"),
    ("Software-Entwicklungskit", "Sodium (lead vocal)"),
    ("Software-Entwicklungskit", "Francium (instrumental)"),
}
"""Recordings that are never trained on: of artists with several, so that their label is known."""

BULKY = ("notes", "syllables", "pitch_cents", "pitch_step_s", "arrangement")
"""What the songbook knows of a song and no stage of mini reads."""

ACCOMPANIED = " with "
"""What stands in the songbook between a singer's name and the instrument's."""

METADATA = "metadata.jsonl"
STEMS = "stems"

LEAD_S, REST_S = 0.3, 0.6
"""Silence that is left of a voice's rests before its first word and after its last, while others played."""


def collect(corpus: Path, songbook: Path, out: Path) -> dict[str, int]:
    """Write `out`: links to both folders, and one metadata file.

    Args:
        corpus: a folder with `metadata.jsonl` that has a `licence` for each recording.
        songbook: the `songs` folder of a songbook.
        out: made if it is not there.

    Returns:
        How many songs come from each.

    Raises:
        DataError: a metadata file is missing or damaged.
    """
    recordings = [_recording(entry) for entry in _entries(corpus) if str(entry.get("licence")).startswith(FREE)]
    sung = [_sung(entry) for entry in _entries(songbook)]
    _write(out, {"corpus": corpus, "songbook": songbook}, [*recordings, *sung])
    return {"recordings": len(recordings), "songs": len(sung)}


def collect_voices(songbook: Path, out: Path) -> int:
    """Write `out`: the songbook's voices without what accompanies them, each under the name of the singer.

    A voice begins with its first word and ends with its last one, but for a moment of silence; files that are there
    stay.

    Args:
        songbook: the `songs` folder of a songbook; `stems` lies beside it.
        out: made if it is not there.

    Returns:
        How many songs there are.

    Raises:
        DataError: the metadata file is missing or damaged.
        AudioError: a stem is missing or damaged.
    """
    (out / STEMS).mkdir(parents=True, exist_ok=True)
    voices = [_voice(entry, songbook, out) for entry in _entries(songbook)]
    _write(out, {}, voices)
    return len(voices)


def _write(out: Path, folders: Mapping[str, Path], entries: Iterable[dict[str, Any]]) -> None:
    """Links to folders, and the metadata of what is in them."""
    out.mkdir(parents=True, exist_ok=True)
    for name, folder in folders.items():
        link = out / name
        link.unlink(missing_ok=True)
        link.symlink_to(folder.resolve(), target_is_directory=True)
    with replacing(out / METADATA) as temporary:
        temporary.write_text("".join(json.dumps(entry) + "\n" for entry in entries), encoding="utf-8")


def _recording(entry: dict[str, Any]) -> dict[str, Any]:
    held_out = (entry["artist"], entry["title"]) in HELD_OUT
    return entry | {"path": f"corpus/{entry['path']}", "split": "validation" if held_out else "train"}


def _sung(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in BULKY} | {"path": f"songbook/{entry['path']}"}


def _voice(entry: dict[str, Any], songbook: Path, out: Path) -> dict[str, Any]:
    known = {name: value for name, value in entry.items() if name not in (*BULKY, "stem", "accompaniment")}
    singer = entry["artist"].partition(ACCOMPANIED)[0]
    stem, path = songbook / entry["stem"], out / STEMS / Path(entry["stem"]).name
    first_s, last_s = entry["lyrics_words"][0][0], entry["lyrics_words"][-1][1]
    start_s = max(0.0, first_s - LEAD_S)
    if not path.is_file():
        rate = probe(stem).sample_rate
        sound = read(stem, start_s=start_s, duration_s=last_s + REST_S - start_s, sample_rate=rate)
        write(path, sound, rate)
    times = {
        name: [[round(start - start_s, 3), round(end - start_s, 3), text] for start, end, text in entry[name]]
        for name in ("lyrics_lines", "lyrics_words")
    }
    duration_s = round(probe(path).duration_s, 4)
    return known | times | {"path": f"{STEMS}/{path.name}", "artist": singer, "duration_s": duration_s}


def _entries(folder: Path) -> Iterator[dict[str, Any]]:
    path = folder / METADATA
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                yield json.loads(line)
            except ValueError as error:
                raise DataError(f"{path}, line {number}, is no JSON ({error}); mend it or make it again.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); name a folder that has one.") from error
