"""Instruments to sound: a MIDI file played by fluidsynth on a General MIDI soundfont."""

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recipes.songbook.band.performance import PlayedNote
from recipes.songbook.tools import SOUNDFONT, run
from recipes.songbook.voice.vocoder import SAMPLE_RATE

TICKS_PER_S = 960
DRUM_CHANNEL = 9


def play(
    instrument: tuple[PlayedNote, ...], program: int, drums: tuple[PlayedNote, ...], length_s: float
) -> NDArray[np.float64]:
    """Play notes.

    Args:
        instrument: of the General MIDI `program`.
        program: from 0.
        drums: of the drum kit.
        length_s: of the result.

    Returns:
        Mono, without reverb or chorus, [samples].
    """
    import soundfile

    with tempfile.TemporaryDirectory(prefix="songbook-") as folder:
        midi, wave = Path(folder) / "notes.mid", Path(folder) / "notes.wav"
        write_midi(midi, instrument, program, drums)
        quiet = ["-ni", "-q", "-r", str(SAMPLE_RATE), "-g", "0.5", "-R", "0", "-C", "0"]
        few = ["-o", "synth.cpu-cores=1", "-o", "synth.dynamic-sample-loading=1", "-o", "synth.polyphony=128"]
        run(["fluidsynth", *quiet, *few, "-O", "float", "-T", "wav", "-F", str(wave), str(SOUNDFONT), str(midi)])
        stereo, _ = soundfile.read(wave, dtype="float64", always_2d=True)
    mono = stereo.mean(axis=1)
    sound = np.zeros(round(length_s * SAMPLE_RATE))
    sound[: len(mono)] = mono[: len(sound)]
    return sound


def write_midi(path: Path, instrument: tuple[PlayedNote, ...], program: int, drums: tuple[PlayedNote, ...]) -> None:
    """Write notes as a MIDI file in which a tick is 1/960 s."""
    import mido

    events = []
    for channel, notes in ((0, instrument), (DRUM_CHANNEL, drums)):
        for note in notes:
            on, off = round(note.start_s * TICKS_PER_S), round(note.end_s * TICKS_PER_S)
            events.append((on, 1, "note_on", channel, note.pitch, note.velocity))
            events.append((max(on + 1, off), 0, "note_off", channel, note.pitch, 0))
    track = mido.MidiTrack(
        [mido.MetaMessage("set_tempo", tempo=500000), mido.Message("program_change", program=program)]
    )
    before = 0
    for tick, _, kind, channel, pitch, velocity in sorted(events):
        track.append(mido.Message(kind, channel=channel, note=pitch, velocity=velocity, time=tick - before))
        before = tick
    file = mido.MidiFile(type=0, ticks_per_beat=TICKS_PER_S // 2)
    file.tracks.append(track)
    file.save(path)
