"""One song: sung, played, mixed, and written as sound with everything that is known about it."""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jukebox.audio.ogg import replace_serial
from jukebox.checkpoints.files import replacing
from recipes.songbook.band import synth
from recipes.songbook.band.mix import Mixed, mix, room
from recipes.songbook.band.performance import perform
from recipes.songbook.band.timbres import TIMBRES
from recipes.songbook.songs.describe import describe, lrc
from recipes.songbook.songs.plan import Song
from recipes.songbook.voice.sing import SungPhrase, place, sing
from recipes.songbook.voice.timing import TimedPhrase, plan
from recipes.songbook.voice.vocoder import SAMPLE_RATE
from recipes.songbook.voice.voices import VOICES

FORMATS = {"flac": ("FLAC", "PCM_16"), "ogg": ("OGG", "VORBIS")}
FOLDERS = {"mix": "songs", "stem": "stems", "accompaniment": "accompaniments"}
RECORDS = "records"
VORBIS_BLOCK = 65536


def render_song(song: Song, out: Path, sound_format: str, family: str, held_out: bool) -> dict[str, Any]:
    """Make a song and write its files; the record comes last, so a song with a record is whole.

    Args:
        song: of the plan.
        out: the run's folder.
        sound_format: "flac" or "ogg".
        family, held_out: which songs stay together, and whether this one is for validation.

    Returns:
        The song's entry for `metadata.jsonl`.
    """
    phrases, sung, mixed = make(song)
    files = {}
    parts = {"mix": mixed.mix, "stem": mixed.stem, "accompaniment": mixed.accompaniment}
    for part, sound in parts.items():
        if sound is not None:
            files[part] = f"{FOLDERS[part]}/{song.name}.{sound_format}"
            _write(out / files[part], sound, sound_format, song)
    entry = describe(song, phrases, sung, files, family, held_out)
    entry["loudness_lufs"] = round(mixed.loudness_lufs, 2)
    with replacing((out / files["mix"]).with_suffix(".lrc")) as path:
        path.write_text(lrc(entry), encoding="utf-8")
    with replacing(out / RECORDS / f"{song.name}.json") as path:
        path.write_text(json.dumps(entry, ensure_ascii=False) + "\n", encoding="utf-8")
    return entry


def make(song: Song) -> tuple[list[TimedPhrase], list[SungPhrase], Mixed]:
    """The song's phrases in time, the same sung, and the mix; nothing is written."""
    arrangement = song.arrangement
    performance = perform(song.score, arrangement)
    phrases = plan([syllable for verse in performance.verses for syllable in verse])
    voice = VOICES[arrangement.voice]
    sung = [
        sing(phrase, voice, arrangement.formants, np.random.default_rng([arrangement.seed, 2, index]))
        for index, phrase in enumerate(phrases)
    ]
    dry = place(sung, performance.length_s)
    band = None
    if arrangement.timbre is not None:
        program = TIMBRES[arrangement.timbre].program
        band = synth.play(performance.instrument, program, performance.drums, performance.length_s)
    response = room(arrangement.reverb_s, arrangement.wet, np.random.default_rng([arrangement.seed, 4]))
    return phrases, sung, mix(dry, band, arrangement.voice_db, response)


def _write(path: Path, sound: NDArray[np.float64], sound_format: str, song: Song) -> None:
    import soundfile

    container, coding = FORMATS[sound_format]
    with replacing(path) as temporary:
        with soundfile.SoundFile(temporary, "w", SAMPLE_RATE, channels=1, format=container, subtype=coding) as file:
            file.title, file.artist = song.score.title, song.arrangement.artist()
            for start in range(0, len(sound), VORBIS_BLOCK):  # the Vorbis encoder overflows its stack on whole songs
                file.write(sound[start : start + VORBIS_BLOCK])
        if sound_format == "ogg":
            renumbered = temporary.with_suffix(".ogg")
            replace_serial(temporary, renumbered, zlib.crc32(path.name.encode()))
            renumbered.replace(temporary)
