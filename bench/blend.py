"""What mixing two artists does: the pitch that a model sings at, by the share of the second.

For each share so many takes of the top level are written and decoded, and the median of their fundamental frequency is
taken where there is one (autocorrelation of 46 ms, 60 to 1000 Hz). Where names are mixed, and not chosen between, takes
lie between the two; how far the quarters are apart shows which.

    python bench/blend.py --model mini --artists "Kevin Bass" "Sally Alto" --genre hymn
"""

import argparse
import json

import numpy as np

from jukebox.labels.labels import Blend, Labels
from jukebox.pipeline import load
from jukebox.sampling.request import SongRequest

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
FRAME_S, LEAST_HZ, MOST_HZ, VOICED = 0.046, 60.0, 1000.0, 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--artists", nargs=2, required=True, metavar="NAME")
    parser.add_argument("--genre", default="unknown")
    parser.add_argument("--lyrics", default="Morning light is on the water, all the hills are green and gold;")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--takes", type=int, default=16)
    arguments = parser.parse_args()
    jukebox, (first, second) = load(arguments.model), arguments.artists
    print(f"| share of {second} | Hz, median of takes | a quarter below | a quarter above |\n| --- | --- | --- | --- |")
    results = {}
    for share in SHARES:
        blend = (Blend(weight=share, artist=second),) if share else ()
        labels = Labels(
            artist=first, genre=arguments.genre, lyrics=arguments.lyrics, blend=blend, total_duration_s=11.0
        )
        request = SongRequest(
            model=arguments.model,
            songs=(labels,),
            seconds=arguments.seconds,
            takes=arguments.takes,
            lowest_level=jukebox.model.top,
        )
        rate = jukebox.model.grid.sample_rate
        takes = [pitch_hz(song.audio().mean(0).numpy(), rate) for song in jukebox.generate_all(request)]
        results[share] = [round(float(value), 1) for value in np.nanquantile(takes, (0.5, 0.25, 0.75))]
        print(f"| {share:.0%} | " + " | ".join(f"{value:.0f}" for value in results[share]) + " |", flush=True)
    print(json.dumps(results))


def pitch_hz(sound: np.ndarray, rate: int) -> float:
    """The median fundamental frequency of the frames that have one; NaN where none has."""
    size = int(FRAME_S * rate)
    frames = np.lib.stride_tricks.sliding_window_view(sound, size)[:: size // 2]
    frames = (frames - frames.mean(1, keepdims=True)) * np.hanning(size)
    loud = (frames**2).mean(1)
    frames = frames[loud > 0.05 * np.quantile(loud, 0.95)]
    correlation = np.fft.irfft(np.abs(np.fft.rfft(frames, 2 * size)) ** 2)[:, :size]
    window = np.fft.irfft(np.abs(np.fft.rfft(np.hanning(size), 2 * size)) ** 2)[:size]
    low, high = int(rate / MOST_HZ), int(rate / LEAST_HZ)
    normal = correlation[:, low:high] / correlation[:, :1] / (window[low:high] / window[0])
    voiced = normal.max(1) > VOICED
    # The first place that is nearly as high as the highest: not a multiple of the period.
    first = (normal > 0.9 * normal.max(1, keepdims=True)).argmax(1)
    return float(np.median(rate / (low + first[voiced]))) if voiced.any() else float("nan")


if __name__ == "__main__":
    main()
