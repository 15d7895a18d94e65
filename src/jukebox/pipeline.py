"""One object for everything: a model on its device, songs from labels, sessions on disk."""

import contextlib
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from jukebox import presets
from jukebox.alignment.attention import align
from jukebox.alignment.times import SungLyrics, sung_lyrics
from jukebox.cache import cache_folder
from jukebox.checkpoints.codes import CODES_SUFFIX
from jukebox.checkpoints.files import replacing
from jukebox.engines import HOST, EngineSettings, copied, device_errors, make_engine, prepared
from jukebox.errors import ConfigError
from jukebox.labels.labels import Labels
from jukebox.models import Parts, find
from jukebox.nn.memory import free_host_bytes
from jukebox.prior.prior import Prior
from jukebox.sampling.beginnings import beginnings_of
from jukebox.sampling.engine import Engine
from jukebox.sampling.estimate import AtBest, estimate, plan_needs
from jukebox.sampling.events import Event, Finished, Message, Saved
from jukebox.sampling.generate import Options, generate, windows_at_once
from jukebox.sampling.limits import read_limits, step_limit
from jukebox.sampling.placement import Need, Place, check_room, need, places
from jukebox.sampling.plan import SongPlan, hop_tokens, plan_song
from jukebox.sampling.request import SongRequest
from jukebox.sampling.session import Session, is_session
from jukebox.sampling.shared import SharedEngine
from jukebox.sampling.windows import window_starts
from jukebox.song import Song

USUAL = EngineSettings()
"""Everything decided by the device."""

# Free memory of a system that does not say.
_FREE_BYTES = 1 << 32


class Jukebox:
    """A model that writes songs.

    Args:
        parts: of the model, as `models.find` gives them.
        device: where it computes.
        settings: how codes are computed.
        shared: whether this is the first of several processes that share windows (`sampling.shared`).
    """

    def __init__(
        self,
        parts: Parts,
        device: str | torch.device = "cpu",
        settings: EngineSettings = USUAL,
        shared: bool = False,
    ) -> None:
        self._parts, self.device, self._settings, self._shared = parts, torch.device(device), settings, shared
        self._places: dict[int, Place] = {}
        self._placed_for: dict[int, Need] = {}
        self._kept: dict[int, Prior] = {}
        vqvae = parts.model.vqvae.to(self.device)
        self.model = replace(parts.model, vqvae=vqvae)

    def engine(self, level: int, slots: int) -> Engine:
        """An engine with the prior of a level. On a GPU priors are kept where `placement` says, for the next engine.

        Raises:
            DeviceError: there is no room for it.
        """
        settings = self._settings.on(self.device, self.model.level(level).config)
        if self.device.type != "cuda":
            check_room(level, self.need(level, slots), free_host_bytes())
            return make_engine(prepared(self._parts.prior(level), settings, self.device), slots, settings)
        if level not in self._places:  # nobody has told this process the plan
            self._place({each: self.need(each, slots) for each in self.model.levels})
        place = self._places[level]
        if place == "streamed":
            settings = replace(settings, engine="graph")
        return make_engine(self._placed(level, settings, place), slots, settings)

    def _make_room(self, plan: SongPlan, options: Options | None) -> None:
        """Decide where priors are kept on a GPU while a plan is written; what was decided for as much or more stays."""
        if self.device.type == "cuda":
            needs, known = plan_needs(plan, options.slots if options else None, self.need), self._placed_for
            if not all(level in known and need.state <= known[level].state for level, need in needs.items()):
                self._kept.clear()
                torch.cuda.empty_cache()
                self._place(needs)

    def _decided(self, plan: SongPlan, options: Options) -> Options:
        """The options with everything decided."""
        together = self._can_be_together(plan, options) if options.together is None else options.together
        return replace(options, together=together)

    def _can_be_together(self, plan: SongPlan, options: Options) -> bool:
        """Whether levels are written side by side: in C, where one alone leaves threads idle and all have room."""
        levels, threads = [level.level for level in plan.levels], torch.get_num_threads()
        if self.device.type != "cpu" or self._shared or len(levels) < 2:
            return False
        if any(windows_at_once(level, options.slots) >= threads for level in plan.levels):
            return False
        if any(self._settings.on(self.device, self.model.level(each).config).engine != "native" for each in levels):
            return False
        needs = plan_needs(plan, options.slots, self.need).values()
        free = free_host_bytes() or _FREE_BYTES
        return sum(need.weights + need.state for need in needs) < free // 2

    def _place(self, needs: dict[int, Need]) -> None:
        self._places = places(needs, torch.cuda.mem_get_info(self.device)[0])
        self._placed_for = needs

    def _engine(self, level: int, slots: int) -> Engine:
        return SharedEngine(level, slots, self.engine) if self._shared else self.engine(level, slots)

    def need(self, level: int, slots: int) -> Need:
        """Memory that the prior of a level needs on the device, for so many windows at once."""
        known = self.model.level(level)
        settings = self._settings.on(self.device, known.config)
        # Packed for a processor as they are stored.
        bits = settings.bits or (16 if known.half and settings.engine in HOST else None)
        return need(known.config, slots, settings.dtype(self.device), bits, settings.caches(slots))

    def _at_best(self) -> AtBest | None:
        """The time of a step by the limits of the card; None where these are not known."""
        if self.device.type != "cuda":
            return None
        table = cache_folder() / "gpu_limits.json"
        known = read_limits(table, torch.cuda.get_device_name(self.device))

        def at_best(level: int, slots: int) -> tuple[float, float]:
            assert known is not None
            config = self.model.level(level).config
            settings = self._settings.on(self.device, config)
            bits = settings.bits or 8 * settings.dtype(self.device).itemsize
            return step_limit(known[0], config, slots, bits, settings.caches(slots))

        return None if known is None else at_best

    def _placed(self, level: int, settings: EngineSettings, place: Place) -> Prior:
        if level not in self._kept:
            prior = prepared(self._parts.prior(level), settings, self.device, place)
            self._kept[level] = copied(prior, torch.device("cpu")) if place == "host" else prior
            return prior
        return copied(self._kept[level], self.device) if place == "host" else self._kept[level]

    def reader(self, level: int) -> Prior:
        """The prior of a level as it reads whole windows of codes that are there."""
        settings = self._settings.on(self.device, self.model.level(level).config)
        prior = prepared(self._parts.prior(level), settings, self.device)
        prior.pack()
        return prior

    def fingerprint(self, lowest_level: int = 0) -> str:
        """A short name of what decides the bytes of a level and those above it: weights and configurations."""
        return self._parts.fingerprint(lowest_level)

    def request(self, *songs: Labels, seconds: float | None = None, **settings: Any) -> SongRequest:
        """A request to this model; settings as in `SongRequest`."""
        return SongRequest(model=self.model.name, songs=songs or (Labels(),), seconds=seconds, **settings)

    def plan(self, request: SongRequest, session: Session | None = None) -> SongPlan:
        """What a request comes to; recordings and codes that it begins with are read, and kept in the session."""
        beginnings = session.beginnings() if session is not None else None
        if beginnings is None:
            beginnings = beginnings_of(request, self.model)
            plan = plan_song(request, self.model, beginnings)
            if session is not None:
                session.save_beginnings(beginnings)
            return plan
        return plan_song(request, self.model, beginnings)

    def begin(self, request: SongRequest, session: Session) -> SongPlan:
        """Everything of `events` with a session but the work: what is wrong is said before anything is written.

        Args:
            request: what is asked for.
            session: locked by the caller; it is begun, or gone on with where it holds a part of the same request.
        """
        if is_session(session.folder):
            session.begin(request, self.fingerprint(request.lowest_level), self._settings.precision)
            return self.plan(request, session)
        beginnings = beginnings_of(request, self.model)
        plan = plan_song(request, self.model, beginnings)
        for level in plan.levels:
            self._settings.on(self.device, self.model.level(level.level).config)
        session.begin(request, self.fingerprint(request.lowest_level), self._settings.precision)
        session.save_beginnings(beginnings)
        return plan

    def generate(self, *songs: Labels, seconds: float | None = None, **settings: Any) -> Song:
        """One song, in memory; `settings` as in `SongRequest`.

        Raises:
            ConfigError, LabelError: settings or names that the model does not have; or more than one song is asked for.
        """
        request = self.request(*songs, seconds=seconds, **settings)
        if len(request.item_names()) != 1:
            raise ConfigError("generate gives one song; use generate_all for several songs or takes.")
        return self.generate_all(request)[0]

    def generate_all(self, request: SongRequest, options: Options | None = None) -> list[Song]:
        """Every take of every song of a request, in memory."""
        for event in self.events(request, options=options):
            if isinstance(event, Finished):
                return self.songs(request, event)
        raise AssertionError("the work ended without an end")

    def songs(self, request: SongRequest, finished: Finished) -> list[Song]:
        """The songs of a request from the codes that were written."""
        return [
            Song(name, request.songs[song], finished.codes[name], request.seed, self.model)
            for song, _, name in request.item_names()
        ]

    def estimate(self, request: SongRequest, options: Options | None = None) -> str:
        """What a request would take, in lines for people; a few steps of every level are made."""
        options = options or Options()
        with device_errors(None):
            plan = self.plan(request)
            self._make_room(plan, options)
            options = self._decided(plan, options)
            return estimate(
                self.model, plan, self.engine, self.device, self.need, options.slots, self._at_best(),
                together=bool(options.together),
            )  # fmt: skip

    def events(
        self, request: SongRequest, session: Session | None = None, options: Options | None = None
    ) -> Generator[Event, None, None]:
        """Write songs and tell as it goes; closing the iterator stops, and what was written is kept in the session.

        Args:
            request: what is asked for.
            session: where it is saved; locked by the caller (`with session`), begun or to be gone on with.
            options: how the work is done.
        """
        plan = self.plan(request) if session is None else self.begin(request, session)
        with device_errors(session.folder if session is not None else None):
            self._make_room(plan, options)
            options = self._decided(plan, options or Options())
            yield from generate(plan, self.model, self._engine, seed=request.seed, session=session, options=options)

    def write_session(
        self,
        folder: str | Path,
        request: SongRequest,
        *,
        suffix: str = ".flac",
        options: Options | None = None,
        save_every_s: float = 3.0,
    ) -> Generator[Event, None, None]:
        """Write songs into a session's folder, with `<name><suffix>` and `<name>.codes` for each at the end, and
        when its lyrics are sung (`lyrics.lrc`, `lyrics.json`) where the top prior has an alignment head.

        The codes come last: a song that has them has everything else.
        A folder that holds a part of the same request is gone on with.
        """
        with (
            Session(Path(folder), save_every_s) as session,
            contextlib.closing(self.events(request, session, options)) as events,
        ):
            for event in events:
                yield event
                if isinstance(event, Finished):
                    songs = self.songs(request, event)
                    yield from _written(songs, session.folder, suffix)
                    yield from self._write_lyrics(session, request, event)
                    yield from _written(songs, session.folder, CODES_SUFFIX)

    def aligned_lyrics(self, request: SongRequest, plan: SongPlan, finished: Finished) -> dict[str, SungLyrics]:
        """When the lyrics of each song are sung, by name, from the attention of the top prior.

        Songs without lyrics are left out, and all where there are no codes of the top level, or its prior has no
        alignment head. Times count from the song's first sample.
        """
        top, grid = self.model.top, self.model.grid
        known = self.model.levels.get(top)
        lyrics = known.config.lyrics if known is not None else None
        if known is None or known.words is None or lyrics is None or lyrics.alignment_head is None:
            return {}
        # A top level that was given whole was not written: what it would have been told is told now.
        told, usual = request.level(top), replace(known, forgiving=True)
        items = [
            (item, item.tokens.get(top) or usual.song(told.labels(request.songs[song])))
            for (song, _, _), item in zip(request.item_names(), plan.items, strict=True)
            if top in finished.codes[item.name] and request.songs[song].lyrics
        ]
        items = [(item, tokens) for item, tokens in items if tokens.lyric_tokens]
        if not items:
            return {}
        context, alphabet = known.config.codes_context, known.words.alphabet
        hop = hop_tokens(request, self.model, top)
        prior, found = self.reader(top), {}
        for item, tokens in items:
            codes = finished.codes[item.name][top]
            weights = align(
                prior,
                codes,
                tokens,
                lambda start, item=item: item.span(grid, top, start, context),
                window_starts(len(codes), context, hop),
                follow=request.follow_lyrics,
            )
            text = alphabet.decode(tokens.lyric_tokens)
            found[item.name] = sung_lyrics(text, weights, grid.tokens_per_second(top))
        return found

    def _write_lyrics(self, session: Session, request: SongRequest, finished: Finished) -> Generator[Event, None, None]:
        """`lyrics.lrc` and `lyrics.json`; those of "song_2" are `lyrics_2.lrc` and so on."""
        top = self.model.levels.get(self.model.top)
        lyrics = top.config.lyrics if top is not None else None
        if any(song.lyrics for song in request.songs) and lyrics is not None and lyrics.alignment_head is not None:
            yield Message(text="Reading off when the lyrics are sung.")
        for name, sung in self.aligned_lyrics(request, self.plan(request, session), finished).items():
            for suffix, text in ((".lrc", sung.to_lrc()), (".json", sung.to_json())):
                path = session.folder / f"lyrics{name.removeprefix('song')}{suffix}"
                with replacing(path) as temporary:
                    temporary.write_text(text, encoding="utf-8")
                yield Saved(path=path)


def _written(songs: Sequence[Song], folder: Path, suffix: str) -> Generator[Event, None, None]:
    for song in songs:
        path = folder / f"{song.name}{suffix}"
        song.write(path)
        yield Saved(path=path)


def load(
    name: str | Path = presets.MINI, device: str | None = None, settings: EngineSettings = USUAL, shared: bool = False
) -> Jukebox:
    """A model by its name (`presets.NAMES`) or folder, on a device: a GPU where there is one, else the CPU.

    Raises:
        CheckpointError: there is no such model.
        ConfigError: the device cannot be used.
    """
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    parts = find(str(name))
    try:
        return Jukebox(parts, chosen, settings, shared)
    except (RuntimeError, AssertionError) as error:  # PyTorch's own kinds for a device that is not there
        reason = str(error).splitlines()[0]
        raise ConfigError(f"The device {chosen!r} cannot be used ({reason}); use cpu.") from error
