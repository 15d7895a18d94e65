"""A picture of a stem: its spectrogram with the intended pitch and the words where they start."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jukebox.checkpoints.files import replacing
from recipes.songbook.voice.vocoder import SAMPLE_RATE

SHOWN_S = 12.0
HIGHEST_HZ = 6000


def picture(path: Path, stem: NDArray[np.float64], entry: dict[str, Any]) -> None:
    """Draw the twelve seconds from the first word.

    Args:
        path: a .png file.
        stem: [samples] at 44.1 kHz.
        entry: of `metadata.jsonl`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    start = max(0.0, entry["lyrics_words"][0][0] - 0.3)
    piece = stem[int(start * SAMPLE_RATE) : int((start + SHOWN_S) * SAMPLE_RATE)]
    figure = Figure(figsize=(14, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.specgram(
        piece + 1e-7,
        NFFT=1024,
        Fs=SAMPLE_RATE,
        noverlap=768,
        cmap="magma",
        vmin=-130,
        xextent=(start, start + len(piece) / SAMPLE_RATE),
    )
    cents = np.array(entry["pitch_cents"], dtype=np.float64)
    times = np.arange(len(cents)) * entry["pitch_step_s"]
    hertz = np.where(cents > 0, 440 * 2 ** ((cents - 6900) / 1200), np.nan)
    axes.plot(times, hertz, color="cyan", linewidth=0.8)
    for begin, _, word in entry["lyrics_words"]:
        if start <= begin < start + SHOWN_S:
            axes.axvline(begin, color="white", linewidth=0.4)
            axes.text(begin, HIGHEST_HZ * 0.96, word, color="white", fontsize=8, rotation=90, va="top")
    axes.set_xlim(start, start + SHOWN_S)
    axes.set_ylim(0, HIGHEST_HZ)
    axes.set_xlabel("seconds")
    axes.set_ylabel("Hz")
    axes.set_title(f"{entry['title']} - {entry['artist']} (stem)")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=80)
