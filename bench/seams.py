"""What `--parallel-windows` costs at the seams of a model's songs, and what it gains.

Songs are written twice from one request, exactly and in N chains: same labels, same noise, same codes of the level above
(those of --recording, else written by the model, exactly). Then, at every seam, which is where a chain's first kept
code follows the last one of the chain before:

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
- Gain: codes of the song per CPU-second (per second on a GPU), one song alone, the warm-up's codes not counted.

Means stand with their standard error over seams. An aim is met where the mean plus two of them is below it, missed
where the mean less two is above it, else undecided. Weights decide all of it: random ones say nothing about music.

    python bench/seams.py --model tiny-random --level 1
    python bench/seams.py --model FOLDER --level 1 --chains 4 16 --recording A.flac B.flac --start 10
    python bench/seams.py --model FOLDER --level 1 --warm-up 0    # a hard cut: what is measured when it is bad
"""

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from jukebox.audio.spectral import log_mel
from jukebox.errors import JukeboxError
from jukebox.evaluation.distribution import clip_samples, embed, frechet_distance
from jukebox.labels.labels import Labels
from jukebox.models import Parts, find
from jukebox.prior.prior import Prior
from jukebox.sampling import windows
from jukebox.sampling.beginnings import beginnings_of
from jukebox.sampling.engine import listened
from jukebox.sampling.events import Finished
from jukebox.sampling.generate import generate, window_conditions
from jukebox.sampling.noise import noise_key
from jukebox.sampling.plan import Beginning, Item, SongPlan, plan_song
from jukebox.sampling.reference import ReferenceEngine
from jukebox.sampling.request import Prime, SongRequest
from jukebox.sampling.strand import Strand, joined
from jukebox.sampling.windows import Chain
from jukebox.sampling.writing import Pace, write_level
from jukebox.vqvae.streaming import decode_stream

SPANS = (64, 256, 1024)
AIM_BITS, AIM_Z = 0.02, 0.5
FLUX_WINDOW, FLUX_HOP, FLUX_BANDS = 2048, 512, 64
LEAST_CROP = 17 * FLUX_HOP
EXCHANGES = 500
SPEED_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Written:
    """One song at the measured level: its codes, its chains, and the raw codes of each, warm-up included."""

    codes: Tensor
    chains: tuple[Chain, ...]
    strands: tuple[Tensor, ...]

    @property
    def seams(self) -> list[int]:
        return [chain.kept for chain in self.chains[1:]]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Of every code of a song: its loss, and that less the entropy of what it was drawn from; in bits."""

    bits: np.ndarray
    surprise: np.ndarray


class Bench:
    """A model and what its songs are written from."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.level, self.seed, self.device = arguments.level, arguments.seed, torch.device(arguments.device)
        self.parts: Parts = find(arguments.model)
        self.model = self.parts.model
        self.model.vqvae.to(self.device)
        if self.level >= self.model.top:
            sys.exit(f"Level {self.level} is the top of {self.model.name}, which is never written in parallel.")
        self.known = self.model.level(self.level)
        self.context, self.hop = self.known.config.codes_context, self.model.grid.hops[self.level]
        # Long enough that every part has places that are far from its seams.
        tokens = max(arguments.chains) * 5 * max(SPANS) // 2
        seconds = arguments.seconds or tokens * self.hop / self.model.grid.sample_rate
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
        assert [plan.level for plan in self.exact_plan.levels] == [self.level]

    def _above(self, recordings: Sequence[str], start_s: float, seconds: float) -> list[Beginning]:
        """The codes of the level above of every song."""
        level = self.level + 1
        if not recordings:
            say(f"writing level {level} and what is above it, exactly")
            request = SongRequest.from_dict({**vars_of(self.request), "lowest_level": level})
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
        return self.parts.prior(level).to(self.device).eval()

    def engine(self, level: int, slots: int) -> ReferenceEngine:
        return ReferenceEngine(self.prior(level), slots)

    def plan(self, chains: int) -> SongPlan:
        request = SongRequest.from_dict({**vars_of(self.request), "parallel_windows": chains})
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

    def chained(self, chains: int) -> tuple[list[Written], float]:
        """Every song in so many chains, one song after another, and their codes per second."""
        plan, songs = self.plan(chains), []
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


def vars_of(request: SongRequest) -> dict:
    """A request as the values that it is read from."""
    import yaml

    return yaml.safe_load(request.to_yaml())


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


@dataclass(frozen=True, kw_only=True)
class Mean:
    """A mean over seams and its standard error."""

    mean: float
    error: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean":
        if not values:
            return cls(mean=math.nan, error=math.nan, count=0)
        error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else math.nan
        return cls(mean=statistics.fmean(values), error=error, count=len(values))

    def verdict(self, aim: float) -> str:
        if self.mean + 2 * self.error <= aim:
            return "met"
        return "missed" if self.mean - 2 * self.error > aim else "undecided"

    def __str__(self) -> str:
        return f"{self.mean:+.3f} ± {self.error:.3f}"


def other_places(song: Written, context: int) -> np.ndarray:
    """Which codes are far from every seam and from the song's beginning."""
    away = np.ones(len(song.codes), dtype=bool)
    away[:context] = False
    for seam in song.seams:
        away[seam : seam + max(SPANS)] = False
    return away


def excess(
    songs: Sequence[Written], scored: Sequence[Scored], exact: Sequence[Scored], context: int
) -> dict[str, Mean]:
    """Loss after seams against other places and against the exact songs, by the codes that are counted."""
    found = {}
    for span in SPANS:
        against_others, against_exact, surprise = [], [], []
        for song, own, other in zip(songs, scored, exact, strict=True):
            usual = own.bits[other_places(song, context)].mean()
            for seam in song.seams:
                place = slice(seam, seam + span)
                against_others.append(float(own.bits[place].mean() - usual))
                against_exact.append(float(own.bits[place].mean() - other.bits[place].mean()))
                surprise.append(float(own.surprise[place].mean()))
        found[f"excess over other places, {span}"] = Mean.of(against_others)
        found[f"excess over the exact song, {span}"] = Mean.of(against_exact)
        found[f"surprise, {span}"] = Mean.of(surprise)
    return found


def warm_up(songs: Sequence[Written]) -> dict[str, float]:
    """Share of codes that a warm-up has in common with the chain before."""
    first, last_256, last_64, whole, count = [], [], [], 0, 0
    for song in songs:
        for index in range(1, len(song.chains)):
            before, chain = song.chains[index - 1], song.chains[index]
            length = chain.kept - chain.start
            if not length:
                continue
            earlier = song.strands[index - 1][chain.start - before.start :][:length]
            same = (earlier == song.strands[index][:length]).double()
            first.append(float(same[:64].mean()))
            last_256.append(float(same[-256:].mean()))
            last_64.append(float(same[-64:].mean()))
            whole, count = whole + bool(same[-64:].all()), count + 1
    return {
        "first 64": Mean.of(first).mean,
        "last 256": Mean.of(last_256).mean,
        "last 64": Mean.of(last_64).mean,
        "seams with all of the last 64": whole / count if count else math.nan,
    }


def flux(sound: Tensor, sample_rate: int) -> np.ndarray:
    """The largest rise around each frame of 512 samples: among the four changes whose windows hold its first sample."""
    spectrum = log_mel(sound, sample_rate, FLUX_WINDOW, FLUX_BANDS)[0]
    rises = spectrum.diff(dim=1).clamp_min(0).mean(0).double().numpy()
    return np.lib.stride_tricks.sliding_window_view(np.pad(rises, (2, 2), mode="edge"), 4).max(1)


def flux_scores(sound: Tensor, seams: Sequence[int], sample_rate: int) -> list[float]:
    """z-scores at places, in samples, among all others of the song."""
    found = flux(sound, sample_rate)
    frames = np.array([min(len(found) - 1, seam // FLUX_HOP) for seam in seams])
    others = np.ones(len(found), dtype=bool)
    for frame in frames:
        others[max(0, frame - 8) : frame + 9] = False
    spread = found[others].std(ddof=1)
    return [float((found[frame] - found[others].mean()) / spread) if spread > 0 else 0.0 for frame in frames]


def crop_pairs(
    sound: Tensor, song: Written, hop: int, length: int, rate: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Embeddings of a crop centred on each seam, and of one half-way from there to the end of its part."""
    for chain in song.chains[1:]:
        centres = (chain.kept * hop, (chain.kept + chain.end) // 2 * hop)
        starts = [min(max(0, centre - length // 2), sound.shape[1] - length) for centre in centres]
        at_seam, elsewhere = (embed(sound[:, start : start + length], rate) for start in starts)
        yield at_seam, elsewhere


def crop_distance(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Distance of the two sides, the usual one when sides are exchanged at random, and how often that is as large."""
    both = np.array(pairs)
    scale = both.reshape(-1, both.shape[-1]).std(0, ddof=1)
    both = both / np.where(scale > 0, scale, 1.0)
    own = frechet_distance(both[:, 0], both[:, 1])
    random, exchanged = np.random.default_rng(0), []
    for _ in range(EXCHANGES):
        side = random.integers(0, 2, len(both))
        rows = np.arange(len(both))
        exchanged.append(frechet_distance(both[rows, side], both[rows, 1 - side]))
    larger = sum(value >= own for value in exchanged)
    return {"distance": own, "exchanged": statistics.fmean(exchanged), "p": (1 + larger) / (1 + EXCHANGES)}


def crop_length(bench: Bench, parts: Sequence[int]) -> int:
    """Samples of a crop: half a part at most, so that the two of a pair share nothing."""
    if min(parts) < max(SPANS) + 64:
        sys.exit(
            f"A part has {min(parts)} codes; more than {max(SPANS) + 64} are needed: more --seconds or fewer chains."
        )
    length = min(clip_samples(bench.model.grid.sample_rate), min(parts) * bench.hop // 2)
    if length < LEAST_CROP:
        sys.exit(f"Half a part has {length} samples; {LEAST_CROP} are needed: give more --seconds or fewer chains.")
    return length


def measure(
    bench: Bench, chains: int, prior: Prior, exact: Sequence[Written], exact_scored: Sequence[Scored]
) -> dict[str, object]:
    """Everything about one number of chains."""
    plan = bench.plan(chains)
    parts = [chain.end - chain.kept for each in plan.levels[0].chains for chain in each]
    length, rate = crop_length(bench, parts), bench.model.grid.sample_rate
    say(f"{chains} chains: writing {len(plan.items)} songs")
    songs, speed = bench.chained(chains)
    say(f"{chains} chains: scoring, and listening to the seams")
    scored = [bench.scored(prior, index, song.codes) for index, song in enumerate(songs)]
    at_seams, control, pairs = [], [], []
    for song, other in zip(songs, exact, strict=True):
        samples, sound = [seam * bench.hop for seam in song.seams], bench.sound(song.codes)
        at_seams += flux_scores(sound, samples, rate)
        control += flux_scores(bench.sound(other.codes), samples, rate)
        pairs += crop_pairs(sound, song, bench.hop, length, rate)
    new = sum(chain.new_tokens for each in plan.levels[0].chains for chain in each)
    return {
        "chains": chains,
        "seams": sum(len(song.seams) for song in songs),
        "loss": excess(songs, scored, exact_scored, bench.context),
        "flux_z": Mean.of(at_seams),
        "flux_z_exact": Mean.of(control),
        "crop_s": length / rate,
        "crops": crop_distance(pairs),
        "warm_up": warm_up(songs),
        "written_per_kept": new / sum(len(song.codes) for song in songs),
        "tokens_per_s": speed,
    }


def table(rows: Sequence[dict], exact_rate: float, exact_surprise: Mean) -> None:
    """A column for each number of chains."""

    def line(title: str, cells: Sequence[object]) -> None:
        print(f"| {title} | " + " | ".join(map(str, cells)) + " |")

    line("", [f"{row['chains']} chains" for row in rows])
    line("---", ["---"] * len(rows))
    line("seams", [row["seams"] for row in rows])
    for kind in ("excess over other places", "excess over the exact song", "surprise"):
        for span in SPANS:
            line(f"{kind}, {span} codes, bit per token", [row["loss"][f"{kind}, {span}"] for row in rows])
    line(f"aim: over other places, 256, at most {AIM_BITS}", [row["verdicts"]["bits"] for row in rows])
    line("flux z-score at seams", [row["flux_z"] for row in rows])
    line("the same places of the exact songs", [row["flux_z_exact"] for row in rows])
    line(f"aim: flux z-score below {AIM_Z}", [row["verdicts"]["flux"] for row in rows])
    shown = [f"{r['crops']['distance']:.2f} ({r['crops']['exchanged']:.2f}, p {r['crops']['p']:.3f})" for r in rows]
    line("distance of crops (sides exchanged)", shown)
    for name in rows[0]["warm_up"]:
        line(f"same codes as the chain before: {name}", [f"{row['warm_up'][name]:.1%}" for row in rows])
    line("codes written for each kept", [f"{row['written_per_kept']:.2f}" for row in rows])
    line("codes per CPU-second (on a GPU: second)", [f"{row['tokens_per_s']:.0f}" for row in rows])
    line("gain over one exact song alone", [f"{row['tokens_per_s'] / exact_rate:.2f}x" for row in rows])
    print(f"\nOne exact song alone: {exact_rate:.0f} codes per second. Its surprise, everywhere: {exact_surprise}.")


def plain(value: object) -> object:
    """For JSON: means as objects, what is no number as null."""
    if isinstance(value, Mean):
        return plain(vars(value))
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
    parser.add_argument("--seconds", type=float, help="of each song (default: 2560 codes for each chain)")
    parser.add_argument("--warm-up", type=int, default=windows.WARM_UP, help="codes (default: as jukebox does)")
    parser.add_argument("--artist", default="unknown")
    parser.add_argument("--genre", default="unknown")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    if min(arguments.chains) < 2 or arguments.warm_up < 0:
        sys.exit("--chains are 2 or more, and --warm-up is 0 or more.")
    torch.set_num_threads(arguments.threads)
    windows.WARM_UP = arguments.warm_up
    try:
        bench = Bench(arguments)
    except JukeboxError as error:
        sys.exit(str(error))
    length = bench.exact_plan.levels[0].length
    if length <= 2 * bench.context:
        sys.exit(f"A song has {length} codes; more than two contexts ({2 * bench.context}) are needed: more --seconds.")
    for chains in arguments.chains:  # what cannot be measured is said before anything is written
        planned = bench.plan(chains).levels[0].chains
        crop_length(bench, [chain.end - chain.kept for each in planned for chain in each])
    say(f"exact: writing {len(bench.exact_plan.items)} songs of {length} codes")
    exact, exact_rate = bench.exact()
    prior = bench.prior(bench.level)
    exact_scored = [bench.scored(prior, index, song.codes) for index, song in enumerate(exact)]
    # In pieces of 256, as independent as the draws are.
    everywhere = Mean.of([float(p.mean()) for s in exact_scored for p in np.array_split(s.surprise, length // 256)])
    rows = [measure(bench, chains, prior, exact, exact_scored) for chains in arguments.chains]
    for row in rows:
        row["verdicts"] = {
            "bits": row["loss"]["excess over other places, 256"].verdict(AIM_BITS),
            "flux": row["flux_z"].verdict(AIM_Z),
        }
    used = min(windows.WARM_UP, bench.context // 2)
    about = {
        "model": arguments.model,
        "random_weights": arguments.model == "tiny-random",
        "level": bench.level,
        "context": bench.context,
        "warm_up": used,
        "songs": len(exact),
        "codes_of_a_song": length,
        "seconds_of_a_song": length * bench.hop / bench.model.grid.sample_rate,
        "device": arguments.device,
        "torch": torch.__version__,
    }
    print(f"{arguments.model}, level {bench.level}: {len(exact)} songs of {length} codes ({about['seconds_of_a_song']:.1f} "
          f"s), context {bench.context}, warm-up {used} codes; mean loss of the exact songs "
          f"{np.mean([s.bits.mean() for s in exact_scored]):.2f} bit per token")  # fmt: skip
    if about["random_weights"]:
        print("Its weights are random: the seams say nothing about music, only that the measurement runs.")
    print()
    table(rows, exact_rate, everywhere)
    print(json.dumps(plain(about | {"exact_tokens_per_s": exact_rate, "exact_surprise": everywhere, "rows": rows})))


if __name__ == "__main__":
    main()
