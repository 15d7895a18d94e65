"""What `--parallel-windows` costs at the seams of a model's songs, and what it gains.

Songs are written twice from one request, exactly and in N chains: same labels, same noise, same codes of the level
above (those of --recording, else written by the model, exactly). Then, at every seam, which is where a chain's first
kept code follows the last one of the chain before:

- Excess loss: bits per token in the 64 / 256 / 1024 codes after a seam, more than at other places of the same songs (at
  least 1024 codes after a seam, and a context after the song's beginning); and more than in the exact song at the same
  positions. Every code is scored with the left context that exact sampling would give it: by the exact plan's windows,
  by the distribution that is sampled from. `surprise` is the loss less the entropy of that distribution: 0 on average
  for a code that was drawn with all its context, whatever the music; the exact songs show it.
- Spectral flux: the largest mean rise of the log-mel spectrum in the 46 ms around a seam, as a z-score among the same
  at all other places of its song; the exact song at the same places is the control.
- Crops: the Frechet distance (`evaluation.distribution`) of crops centred on seams from crops half-way to the next one,
  and how often a random exchange within the pairs gives a distance as large (p).
- Warm-up: share of its codes that are those of the chain before, at its beginning and at its end.
- Phase: where parts and warm-up are multiples of the hop, the windows after a seam are those of the exact song, which
  hides most of the cost; the length is chosen so that they are not, and the share of such windows is shown.
- Gain: codes of the song per CPU-second (per second on a GPU), one song alone, the warm-up's codes not counted.

Means stand with their standard error over seams. An aim is met where the mean plus two of them is below it, missed
where the mean less two is above it; else, or with fewer than 16 seams, it is undecided. Weights decide all of it:
random ones say nothing about music.

    python bench/seams.py --model tiny-random --level 1
    python bench/seams.py --model FOLDER --level 1 --chains 4 16 --recording A.flac B.flac --start 10
    python bench/seams.py --model mini --level 1 --chains 8 --warm-up 1024 0 --start 10 --recording A.flac B.flac C.flac
                                      # as mini's song.yaml asks for, beside a hard cut: how bad it can be
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from seam_measures import (
    LEAST_CROP,
    SPANS,
    Mean,
    Scored,
    Written,
    crop_distance,
    crop_pairs,
    excess,
    flux_scores,
    same_codes,
)
from torch import Tensor

from jukebox.errors import JukeboxError
from jukebox.evaluation.distribution import clip_samples
from jukebox.labels.labels import Labels
from jukebox.models import Parts, find
from jukebox.prior.prior import Prior
from jukebox.sampling import windows
from jukebox.sampling.beginnings import beginnings_of
from jukebox.sampling.engine import Engine, listened
from jukebox.sampling.engines import engine_for
from jukebox.sampling.events import Finished
from jukebox.sampling.generate import generate
from jukebox.sampling.level import window_conditions
from jukebox.sampling.noise import noise_key
from jukebox.sampling.plan import Beginning, Item, SongPlan, plan_song
from jukebox.sampling.request import Prime, SongRequest
from jukebox.sampling.strand import Strand, joined
from jukebox.sampling.writing import Pace, write_level
from jukebox.vqvae.streaming import decode_stream

AIM_BITS, AIM_Z, SPEED_S = 0.02, 0.5, 20.0


class Bench:
    """A model and what its songs are written from."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.level, self.seed, self.device = arguments.level, arguments.seed, torch.device(arguments.device)
        self.parts: Parts = find(arguments.model)
        self.model = self.parts.model
        self.model.vqvae.to(self.device)
        if not 0 <= self.level < self.model.top:
            sys.exit(f"{self.model.name} has its top at level {self.model.top}: choose a level below, 0 or more.")
        self.known = self.model.level(self.level)
        self.context, self.hop = self.known.config.codes_context, self.model.grid.hops[self.level]
        seconds = arguments.seconds or self._usual_seconds(max(arguments.chains))
        songs = len(arguments.recording) or arguments.songs
        self.request = SongRequest(
            model=arguments.model,
            songs=(Labels(artist=arguments.artist, genre=arguments.genre),),
            takes=songs,  # each has noise of its own
            seconds=seconds,
            seed=self.seed,
            lowest_level=self.level,
            parallel_windows=1,
        )
        self.above = self._above(arguments.recording, arguments.start, seconds)
        self.exact_plan = self.plan(1)

    def _usual_seconds(self, chains: int) -> float:
        """Parts with places far from their seams, whose borders fall on all phases of the exact song's windows."""
        moved_on = max(1, int(self.known.hop_fraction * self.context))
        part = math.ceil(2 * max(SPANS) / moved_on) * moved_on + int(0.618 * moved_on)  # the golden ratio spreads best
        return chains * part * self.hop / self.model.grid.sample_rate

    def _above(self, recordings: Sequence[str], start_s: float, seconds: float) -> list[Beginning]:
        """The codes of the level above of every song."""
        level = self.level + 1
        if not recordings:
            say(f"writing level {level} and what is above it, exactly")
            request = replace(self.request, lowest_level=level)
            plan = plan_song(request, self.model)
            *_, last = generate(plan, self.model, self.engine, seed=self.seed)
            assert isinstance(last, Finished)
            return [Beginning(codes={level: last.codes[name][level]}) for _, _, name in request.item_names()]
        found = []
        for recording in recordings:
            prime = Prime(recording=recording, start_s=start_s, duration_s=seconds)
            request = SongRequest(model=self.request.model, seconds=seconds, prime=prime)
            (beginning,) = beginnings_of(request, self.model)
            found.append(Beginning(codes={level: beginning.codes[level]}))
        return found

    def prior(self, level: int) -> Prior:
        return self.parts.prior(level).to(self.device, torch.float32)

    def engine(self, level: int, slots: int) -> Engine:
        return engine_for(self.prior(level), slots)

    def plan(self, chains: int, warm_up: int = 0) -> SongPlan:
        windows.WARM_UP = warm_up
        request = replace(self.request, parallel_windows=chains)
        plan = plan_song(request, self.model, self.above)
        if [each.level for each in plan.levels] != [self.level]:
            sys.exit("A recording is shorter than the songs are to be: give fewer --seconds, or longer recordings.")
        return plan

    def strands(self, plan: SongPlan, index: int) -> list[Strand]:
        """The chains of a song, none of them begun."""
        item, (level,) = plan.items[index], plan.levels
        return [
            Strand(
                chain,
                torch.zeros(0, dtype=torch.int64),
                key=noise_key(self.seed, item.take, self.level),
                sampling=level.sampling,
                condition=lambda window: self.conditions(item, window),
            )
            for chain in level.chains[index]
        ]

    def conditions(self, item: Item, window: windows.PlannedWindow):
        tokens, above = item.tokens[self.level], item.given[self.level + 1]
        return window_conditions(self.model, self.level, item, window, tokens=tokens, above=above)

    def written(self, plan: SongPlan, index: int, strands: Sequence[Strand]) -> Written:
        length, chains = plan.levels[0].length, plan.levels[0].chains[index]
        codes = listened(joined(list(strands), length, torch.zeros(0, dtype=torch.int64)).long())
        return Written(codes=codes, chains=chains, strands=tuple(strand.codes for strand in strands))

    def clock_s(self) -> float:
        """CPU-seconds; on a GPU, seconds."""
        return time.process_time() if self.device.type == "cpu" else time.perf_counter()

    def exact(self) -> tuple[list[Written], float]:
        """Every song, written side by side; and codes per second of the first one alone."""
        began_s, new = self.clock_s(), 0
        alone = write_level(self.engine(self.level, 1), self.strands(self.exact_plan, 0), Pace())
        for count in alone:
            new += count
            if self.clock_s() - began_s > SPEED_S:
                break
        rate = new / (self.clock_s() - began_s)
        alone.close()
        strands = [self.strands(self.exact_plan, index) for index in range(len(self.exact_plan.items))]
        everything = [strand for each in strands for strand in each]
        for _ in write_level(self.engine(self.level, len(everything)), everything, Pace()):
            pass
        return [self.written(self.exact_plan, index, each) for index, each in enumerate(strands)], rate

    def chained(self, plan: SongPlan) -> tuple[list[Written], float]:
        """Every song in its chains, one song after another, and their codes per second."""
        songs: list[Written] = []
        engine = self.engine(self.level, max(len(each) for each in plan.levels[0].chains))
        began_s = self.clock_s()
        for index in range(len(plan.items)):
            strands = self.strands(plan, index)
            for _ in write_level(engine, strands, Pace()):
                pass
            songs.append(self.written(plan, index, strands))
        return songs, sum(len(song.codes) for song in songs) / (self.clock_s() - began_s)

    @torch.no_grad()
    def scored(self, prior: Prior, index: int, codes: Tensor) -> Scored:
        """A song's codes, each with the left context that it has when the song is written exactly."""
        item, (level,) = self.exact_plan.items[index], self.exact_plan.levels
        ((chain,), temperature) = level.chains[index], level.sampling.temperature
        bits, surprise = np.zeros(len(codes)), np.zeros(len(codes))
        for window in chain.windows:
            conditions = self.conditions(item, window).to(self.device)
            part = codes[window.start : window.end].to(self.device)[None]
            prefix = prior.layout.prefix
            logits = prior(part, conditions).logits[0, prefix:].float() / temperature
            logarithms = logits.log_softmax(-1) / math.log(2)
            targets = prior.layout.tokens(part, conditions.lyrics)[0, prefix:]
            loss = -logarithms.gather(-1, targets[:, None])[:, 0]
            entropy = -(logarithms.exp2() * logarithms).nan_to_num().sum(-1)
            new = slice(window.first - window.start, None)
            bits[window.first : window.end] = loss[new].double().cpu().numpy()
            surprise[window.first : window.end] = (loss - entropy)[new].double().cpu().numpy()
        return Scored(bits=bits, surprise=surprise)

    def sound(self, codes: Tensor) -> Tensor:
        pieces = decode_stream(self.model.vqvae, [codes.to(self.device)], self.level)
        return torch.cat([piece.cpu() for piece in pieces], 1)


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def crop_length(bench: Bench, plan: SongPlan) -> int:
    """Samples of a crop: half a part at most, so that the two of a pair share nothing."""
    parts = [chain.end - chain.kept for each in plan.levels[0].chains for chain in each]
    if min(parts) < max(SPANS) + 64:
        sys.exit(
            f"A part has {min(parts)} codes; more than {max(SPANS) + 64} are needed: more --seconds or fewer chains."
        )
    length = min(clip_samples(bench.model.grid.sample_rate), min(parts) * bench.hop // 2)
    if length < LEAST_CROP:
        sys.exit(f"Half a part has {length} samples; {LEAST_CROP} are needed: give more --seconds or fewer chains.")
    return length


def shared_windows(exact: SongPlan, plan: SongPlan) -> float:
    """Share of the windows of all chains but the first that lie where one of the exact song lies."""
    found = []
    for (whole,), chains in zip(exact.levels[0].chains, plan.levels[0].chains, strict=True):
        places = {(window.start, window.end) for window in whole.windows}
        found += [(window.start, window.end) in places for chain in chains[1:] for window in chain.windows]
    return sum(found) / max(1, len(found))


def measure(
    bench: Bench,
    chains: int,
    warm_up: int,
    prior: Prior,
    exact_scored: Sequence[Scored],
    exact_sounds: Sequence[Tensor],
) -> dict[str, Any]:
    """Everything about one number of chains and one warm-up."""
    plan = bench.plan(chains, warm_up)
    length, rate = crop_length(bench, plan), bench.model.grid.sample_rate
    say(f"{chains} chains, warm-up {warm_up}: writing {len(plan.items)} songs")
    songs, speed = bench.chained(plan)
    say(f"{chains} chains, warm-up {warm_up}: scoring, and listening to the seams")
    scored = [bench.scored(prior, index, song.codes) for index, song in enumerate(songs)]
    at_seams, control, pairs = [], [], []
    for song, other in zip(songs, exact_sounds, strict=True):
        samples, sound = [seam * bench.hop for seam in song.seams], bench.sound(song.codes)
        at_seams += flux_scores(sound, samples, rate)
        control += flux_scores(other, samples, rate)
        pairs += crop_pairs(sound, song, bench.hop, length, rate)
    new = sum(chain.new_tokens for each in plan.levels[0].chains for chain in each)
    loss, flux_z = excess(songs, scored, exact_scored, bench.context), Mean.of(at_seams)
    return {
        "chains": chains,
        "warm_up": min(warm_up, bench.context // 2),
        "seams": sum(len(song.seams) for song in songs),
        "shared_windows": shared_windows(bench.exact_plan, plan),
        "loss": loss,
        "flux_z": flux_z,
        "verdicts": {"bits": loss["excess over other places, 256"].verdict(AIM_BITS), "flux": flux_z.verdict(AIM_Z)},
        "flux_z_exact": Mean.of(control),
        "crop_s": length / rate,
        "crops": crop_distance(pairs),
        "same_codes": same_codes(songs),
        "written_per_kept": new / sum(len(song.codes) for song in songs),
        "tokens_per_s": speed,
    }


def table(rows: Sequence[dict[str, Any]], exact_rate: float, exact_surprise: Mean) -> None:
    """A column for each number of chains."""

    def line(title: str, cells: Sequence[object]) -> None:
        print(f"| {title} | " + " | ".join(map(str, cells)) + " |")

    line("", [f"{row['chains']} chains, warm-up {row['warm_up']}" for row in rows])
    line("---", ["---"] * len(rows))
    line("seams", [row["seams"] for row in rows])
    line("windows after a seam that the exact song has too", [f"{row['shared_windows']:.0%}" for row in rows])
    for kind in ("excess over other places", "excess over the exact song", "surprise"):
        for span in SPANS:
            line(f"{kind}, {span} codes, bit per token", [row["loss"][f"{kind}, {span}"] for row in rows])
    line(f"aim: over other places, 256, at most {AIM_BITS}", [row["verdicts"]["bits"] for row in rows])
    line("flux z-score at seams", [row["flux_z"] for row in rows])
    line("the same places of the exact songs", [row["flux_z_exact"] for row in rows])
    line(f"aim: flux z-score below {AIM_Z}", [row["verdicts"]["flux"] for row in rows])
    shown = [f"{r['crops']['distance']:.2f} ({r['crops']['exchanged']:.2f}, p {r['crops']['p']:.3f})" for r in rows]
    line("distance of crops (sides exchanged)", shown)
    for name in rows[0]["same_codes"]:
        shares = [row["same_codes"][name] for row in rows]
        cells = ["none" if math.isnan(share) else f"{share:.1%}" for share in shares]
        line(f"codes of the warm-up that are those of the chain before: {name}", cells)
    line("codes written for each kept", [f"{row['written_per_kept']:.2f}" for row in rows])
    line("codes per CPU-second (on a GPU: second)", [f"{row['tokens_per_s']:.0f}" for row in rows])
    line("gain over one exact song alone", [f"{row['tokens_per_s'] / exact_rate:.2f}x" for row in rows])
    print(f"\nOne exact song alone: {exact_rate:.0f} codes per second. Its surprise, everywhere: {exact_surprise}.")


def plain(value: object) -> object:
    """For JSON: means as objects, what is no number as null."""
    if isinstance(value, Mean):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--level", type=int, default=1, help="any but the top")
    parser.add_argument("--chains", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--recording", nargs="+", default=[], help="whose codes of the level above are sung anew")
    parser.add_argument("--start", type=float, default=0.0, help="of the recordings, in seconds")
    parser.add_argument("--songs", type=int, default=4, help="without recordings")
    parser.add_argument("--seconds", type=float, help="of each song (default: over 2048 codes for each chain)")
    parser.add_argument(
        "--warm-up", type=int, nargs="+", default=[windows.WARM_UP], help="codes (default: as jukebox does)"
    )
    parser.add_argument("--artist", default="unknown")
    parser.add_argument("--genre", default="unknown")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    if min(arguments.chains) < 2 or min(arguments.warm_up) < 0:
        sys.exit("--chains are 2 or more, and --warm-up is 0 or more.")
    torch.set_num_threads(1)
    cases = [(chains, warm_up) for chains in arguments.chains for warm_up in arguments.warm_up]
    try:
        bench = Bench(arguments)
    except JukeboxError as error:
        sys.exit(str(error))
    length = bench.exact_plan.levels[0].length
    if length <= 2 * bench.context:
        sys.exit(f"A song has {length} codes; more than two contexts ({2 * bench.context}) are needed: more --seconds.")
    for case in cases:  # what cannot be measured is said before anything is written
        planned = bench.plan(*case)
        crop_length(bench, planned)
        if sum(len(each) - 1 for each in planned.levels[0].chains) < 2:
            sys.exit("There is one seam, and a spread needs two: give more songs, recordings or chains.")
    say(f"exact: writing {len(bench.exact_plan.items)} songs of {length} codes")
    exact, exact_rate = bench.exact()
    prior = bench.prior(bench.level)
    exact_scored = [bench.scored(prior, index, song.codes) for index, song in enumerate(exact)]
    # In pieces of 256, as independent as the draws are.
    everywhere = Mean.of([float(p.mean()) for s in exact_scored for p in np.array_split(s.surprise, length // 256)])
    sounds = [bench.sound(song.codes) for song in exact]
    rows = []
    for case in cases:
        rows.append(measure(bench, *case, prior, exact_scored, sounds))
        say(json.dumps(plain(rows[-1])))  # a run that is cut off leaves what it has measured
    loss = np.mean([scored.bits.mean() for scored in exact_scored])
    about = {
        "model": arguments.model,
        "random_weights": arguments.model == "tiny-random",
        "level": bench.level,
        "context": bench.context,
        "songs": len(exact),
        "codes_of_a_song": length,
        "seconds_of_a_song": bench.model.grid.token_seconds(bench.level, length),
        "exact_bits": float(loss),
        "device": arguments.device,
        "torch": torch.__version__,
    }
    print(
        f"{arguments.model}, level {bench.level}: {len(exact)} songs of {length} codes, context {bench.context}; "
        f"the exact songs have {loss:.2f} bit per token"
    )
    if about["random_weights"]:
        print("Its weights are random: the seams say nothing about music, only that the measurement runs.")
    print()
    table(rows, exact_rate, everywhere)
    print(json.dumps(plain(about | {"exact_tokens_per_s": exact_rate, "exact_surprise": everywhere, "rows": rows})))


if __name__ == "__main__":
    main()
