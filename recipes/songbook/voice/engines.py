"""Speaking engines: a phrase's phones spoken in natural time, as spectra. HTS is driven by labels, flite by phones.

HTS asked for long durations puts noise into vowels, so everything is spoken naturally and stretched afterwards.
"""

import re
import tempfile
from pathlib import Path

import numpy as np

from recipes.songbook.tools import FESTIVAL_VOICE, ToolError, run
from recipes.songbook.voice.phones import VOICELESS
from recipes.songbook.voice.timing import TimedPhrase
from recipes.songbook.voice.vocoder import FRAME_S, Speech, analyse, mel_cepstrum_to_grid

HTS_RATE, HTS_WARPING, HTS_ORDER = 32000, 0.45, 45
HTS_SPEED = 0.85


def speak_hts(phrase: TimedPhrase, formants: float) -> Speech:
    """A phrase by the HTS voice `slt`.

    Args:
        phrase: with labels.
        formants: factor on formant frequencies.

    Returns:
        Spectra without aperiodicity.
    """
    labels = [phrase.labels[0], *(phrase.labels[phone.label] for phone in phrase.phones), phrase.labels[-1]]
    with tempfile.TemporaryDirectory(prefix="songbook-") as folder:
        text, cepstra, durations = (Path(folder) / name for name in ("labels", "cepstra", "durations"))
        text.write_text("".join(re.sub(r"^\s*\S+\s+\S+\s+", "", label) + "\n" for label in labels))
        files = ["-om", str(cepstra), "-od", str(durations)]
        run(["hts_engine", "-m", str(FESTIVAL_VOICE), *files, "-r", str(HTS_SPEED), str(text)])
        cepstrum = np.fromfile(cepstra, dtype=np.float32).reshape(-1, HTS_ORDER).astype(np.float64)
        rows = [line.split() for line in durations.read_text().splitlines()]
    if len(rows) != len(labels):
        raise ToolError(f"hts_engine gave {len(rows)} durations for {len(labels)} phones: is it another version?")
    edges = [(int(row[0]) / 1e7, int(row[1]) / 1e7) for row in rows]
    log_power = mel_cepstrum_to_grid(cepstrum, HTS_WARPING, HTS_RATE, formants, post_filter=1.18)
    return Speech(log_power, None, edges[1:-1])


def speak_flite(phrase: TimedPhrase, speaker: str, formants: float) -> Speech:
    """A phrase by one of flite's voices.

    Args:
        phrase: its phones are all that is used.
        speaker: "awb", "rms", "slt" or "kal16".
        formants: factor on formant frequencies.

    Returns:
        Spectra with the aperiodicity that was measured.
    """
    import soundfile

    names = ["ax" if phone.name == "axr" else phone.name for phone in phrase.phones]
    with tempfile.TemporaryDirectory(prefix="songbook-") as folder:
        wave_file = Path(folder) / "spoken.wav"
        printed = run(["flite", "-voice", speaker, "-psdur", "-p", f"pau {' '.join(names)} pau", "-o", str(wave_file)])
        wave, rate = soundfile.read(wave_file, dtype="float64")
    spans, before = [], 0.0
    for item in printed.split():
        name, _, end = item.partition(":")
        if end:
            if name != "pau":
                spans.append((before, float(end)))
            before = float(end)
    if len(spans) != len(names):
        raise ToolError(f"flite spoke {len(spans)} phones and was asked for {len(names)}: is it another version?")
    voiced = [span for name, span in zip(names, spans, strict=True) if name not in VOICELESS]
    log_power, aperiodicity = analyse(np.asarray(wave, dtype=np.float64), rate, formants, voiced)
    last = (len(log_power) - 1) * FRAME_S
    return Speech(log_power, aperiodicity, [(min(a, last), min(b, last)) for a, b in spans])
