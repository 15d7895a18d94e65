"""What following the lyrics does: the same songs with an even spread of their words and with `follow_lyrics`.

A text many windows long is given to songs that should take more or less time for it than a singer takes: so many
characters a second. Only the top level is written. Of every song is measured, by what the alignment head hears
(`lyrics.json`, read with the windows as they were shown):

- how many characters the lyrics of a window are from those around what is sung in its middle;
- the words that are sung (for `SUNG_S` at least), and the share of those between the first and the last of them;
- with `--listen`, the words of these that a recogniser chooses among ten (`bench/words.py`, but words of the text); it
  knows nothing of the head but the times.

    python bench/follow.py WORK --listen          # WORK keeps the sessions: killed, it goes on
    python bench/follow.py WORK --cost            # processor time of one short song with and without, in turn
"""

import argparse
import dataclasses
import itertools
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import soxr

from jukebox.audio.io import read
from jukebox.labels.labels import Labels
from jukebox.pipeline import Jukebox, load
from jukebox.sampling.checked import load_tensors
from jukebox.sampling.events import Message
from jukebox.sampling.request import SongRequest
from jukebox.sampling.session import Session, centres_name

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # recipes lie beside bench and are not installed
from recipes.songbook.check.listen import HEARING_RATE, Listener, vocabulary

SUNG_S = 0.1
COST_S = 12.0
TEXT = """\
Slow is the river,
deep is the sea,
long is the winter,
wait for me.
When the morning comes with the wind from the mountain and the rain on the roof of the house where we sleep,
then the children will run through the fields to the harbour and the boats will come home from the rolling deep.
Low is the candle,
cold is the stone,
dark is the valley,
all alone.
There are seven white horses that wait by the water and a garden of roses that nobody knows,
there are letters and lanterns and ribbons and riders and a road that goes on where the green river flows.
Sing to the morning,
sing to the day,
sing for the sorrow
far away.
Every bird in the branches is calling another and the bells of the village are ringing for you,
every window is open and every door is unbolted and the sky over everything is burning blue.
Rest now, my brother,
rest, weary friend,
here is the ocean,
here the end.
"""


def labels_of(rate: float, artist: str, genre: str) -> Labels:
    """A song that the text is to be sung in at so many characters a second."""
    return Labels(artist=artist, genre=genre, lyrics=TEXT, total_duration_s=round(len(TEXT) / rate, 1))


def shown_off(jukebox: Jukebox, folder: Path, request: SongRequest, sung: dict[str, dict]) -> list[int]:
    """Of every window but the first of each song: its first character less that of the lyrics around what is sung."""
    top, grid, found = jukebox.model.top, jukebox.model.grid, []
    with Session(folder) as session:
        plan = jukebox.plan(request, session)
    kept = load_tensors(folder / "codes" / f"level_{top}.safetensors", print)
    assert kept is not None
    context = jukebox.model.level(top).config.codes_context
    for item, (chain,) in zip(plan.items, plan.levels[0].chains, strict=True):
        characters = sung[item.name]["characters"]
        tokens, heard = item.tokens[top], kept[0].get(centres_name(f"{item.name}/0"))
        first = first_heard(sung[item.name], TEXT)
        for index, window in enumerate(chain.windows[1:]):
            span = item.span(grid, top, window.start, context)
            told = tokens if heard is None else tokens.around(int(heard[index]))
            middle_s = (span.offset_samples - item.offset_samples + span.window_length_samples / 2) / grid.sample_rate
            at = first + int(np.searchsorted([each["end_s"] for each in characters], middle_s, side="right"))
            indices = told.lyric_indices(span, "float32")
            found.append(indices[0] - tokens.around(at).lyric_indices(span)[0])
    return found


def cost(jukebox: Jukebox, request: SongRequest) -> dict[str, float]:
    """Seconds of the processor for the top level of one song: medians of three, in turn."""
    spent: dict[str, list[float]] = {"even": [], "followed": []}
    jukebox.generate_all(dataclasses.replace(request, seconds=1.0))
    for name in 3 * list(spent):
        began_s = time.process_time()
        jukebox.generate_all(dataclasses.replace(request, follow_lyrics=name == "followed"))
        spent[name].append(time.process_time() - began_s)
    return {name: statistics.median(each) for name, each in spent.items()}


def first_heard(sung: dict, text: str) -> int:
    """The place in the text of the first character that is sung."""
    said = "".join(each["text"] for each in sung["characters"])
    return text.index(said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--artists", nargs="+", default=["Sally Alto", "Kevin Bass"])
    parser.add_argument("--genre", default="hymn")
    parser.add_argument("--rates", type=float, nargs="+", default=[12.0, 6.0], help="characters a second")
    parser.add_argument("--seconds", type=float, default=36.0)
    parser.add_argument("--takes", type=int, default=3, help="of each artist")
    parser.add_argument("--listen", action="store_true")
    parser.add_argument("--cost", action="store_true")
    arguments = parser.parse_args()
    jukebox, results = load(arguments.model), {}
    if arguments.cost:
        labels = labels_of(arguments.rates[0], arguments.artists[0], arguments.genre)
        lowest, levels = jukebox.model.top, jukebox.model.usual.levels
        request = jukebox.request(labels, seconds=COST_S, lowest_level=lowest, levels=levels)
        print(json.dumps(cost(jukebox, request)))
        return
    listener = others = None
    if arguments.listen:
        listener = Listener()
        others = vocabulary([{"lyrics_words": [(0, 0, word) for word in TEXT.split()]}], listener)
    print("| characters a second | words | windows off by | words sung | without a gap | of ten chosen |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    for rate in arguments.rates:
        for follow in (False, True):
            request = SongRequest(
                model=jukebox.model.name,
                songs=tuple(labels_of(rate, artist, arguments.genre) for artist in arguments.artists),
                seconds=arguments.seconds,
                takes=arguments.takes,
                lowest_level=jukebox.model.top,
                levels=jukebox.model.usual.levels,
                follow_lyrics=follow,
            )
            folder = arguments.work / f"{rate:g}_{'followed' if follow else 'even'}"
            names = [name for _, _, name in request.item_names()]
            times = {name: folder / f"lyrics{name.removeprefix('song')}.json" for name in names}
            if not all(path.exists() for path in times.values()):
                for event in jukebox.write_session(folder, request):
                    if isinstance(event, Message):
                        print(event.text, file=sys.stderr, flush=True)
            sung = {name: json.loads(path.read_text()) for name, path in times.items()}
            row: dict[str, float] = {}
            off = np.abs(shown_off(jukebox, folder, request, sung))
            row |= {"windows": len(off), "off_mean": float(off.mean()), "off_90": float(np.quantile(off, 0.9))}
            counts, shares, right, asked = [], [], 0, 0
            for name in names:
                words = [word for line in sung[name]["lines"] for word in line["words"]]
                heard = [word["end_s"] - word["start_s"] >= SUNG_S for word in words]
                ends = np.flatnonzero(heard)
                counts.append(sum(heard))
                shares.append(sum(heard) / (ends[-1] - ends[0] + 1))
                if listener is not None and others is not None:
                    sound = read(folder / f"{name}.flac", sample_rate=jukebox.model.grid.sample_rate).mean(0)
                    timed = [
                        (each["start_s"], each["end_s"], each["text"]) for each in itertools.compress(words, heard)
                    ]
                    entry = {"lyrics_lines": [(0.0, arguments.seconds, "")], "lyrics_words": timed}
                    sound = soxr.resample(sound.double().numpy(), jukebox.model.grid.sample_rate, HEARING_RATE)
                    found = listener.hear(sound, entry, others, 0)
                    right, asked = right + found.right, asked + found.asked
            row |= {"sung": float(np.mean(counts)), "sung_error": float(np.std(counts, ddof=1) / len(counts) ** 0.5)}
            row |= {"gapless": float(np.mean(shares)), "right": right, "asked": asked}
            results[folder.name] = row
            print(
                f"| {rate:g} | {'followed' if follow else 'evenly spread'} | {row['off_mean']:.0f} (one in ten over "
                f"{row['off_90']:.0f}) | {row['sung']:.1f} ±{row['sung_error']:.1f} | {row['gapless']:.2f} "
                f"| {right} of {asked} |",
                flush=True,
            )
    print(json.dumps(results))


if __name__ == "__main__":
    main()
