"""Lyrics that follow what is sung: what a window is told depends on the codes before it, and on nothing else."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from jukebox import presets
from jukebox.alignment.window import hear
from jukebox.checkpoints.codes import load_codes
from jukebox.engines import EngineSettings
from jukebox.errors import ConfigError, JukeboxError, LabelError
from jukebox.labels.labels import Blend, Labels
from jukebox.labels.lyric_times import TimedText
from jukebox.pipeline import Jukebox, load
from jukebox.sampling.checked import load_tensors
from jukebox.sampling.estimate import estimate_level, probe
from jukebox.sampling.events import Finished, Message, Progress
from jukebox.sampling.generate import Options
from jukebox.sampling.request import Given, LevelSettings, SongRequest
from jukebox.sampling.session import centres_name
from jukebox.sampling.writing import Pace
from jukebox.song import Song
from tests.sampling import models

# Much longer than the 32 characters that a window is shown.
WORDS = "one two three four five six seven eight nine ten\n" * 5
SONG = Labels(artist="nobody", genre="waltz", lyrics=WORDS, total_duration_s=1.0, offset_s=0.4)
EVEN = SongRequest(
    model="tiny-random", songs=(SONG,), seconds=0.09, seed=3, lowest_level=2,
    levels=(LevelSettings(level=2, hop_fraction=0.25),),
)  # fmt: skip
FOLLOWED = replace(EVEN, follow_lyrics=True)
OFTEN = Options(pace=Pace(most_steps=3), previews=None)
# Weights so large that what a window is shown can be seen in its codes.
LOUD = tuple(replace(each, transformer=replace(each.transformer, init_scale=8.0)) for each in models.SHORT)


def top(songs: list[Song]) -> list[list[int]]:
    return [song.codes[2].tolist() for song in songs]


@pytest.fixture(scope="module", autouse=True)
def loud() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(presets, "TINY_PRIORS", LOUD)
        yield


@pytest.fixture(scope="module")
def jukebox(loud: None) -> Jukebox:
    return load("tiny-random", "cpu")


@pytest.fixture(scope="module")
def session(jukebox: Jukebox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("followed") / "song"
    list(jukebox.write_session(folder, FOLLOWED))
    return folder


@pytest.fixture(scope="module")
def followed(session: Path) -> list[int]:
    return load_codes(session / "song.codes").codes[2].tolist()


def test_a_window_is_told_what_is_around_the_place_that_was_heard(
    jukebox: Jukebox, followed: list[int], session: Path
) -> None:
    """By hand: the window before, with the lyrics that it was shown."""
    kept = load_tensors(session / "codes" / "level_2.safetensors", print)
    assert kept is not None
    plan = jukebox.plan(FOLLOWED)
    item, chain, prior = plan.items[0], plan.levels[0].chains[0][0], jukebox.engine(2, 1).prior
    tokens, centres = item.tokens[2], kept[0][centres_name("song/0")].tolist()
    assert len(centres) == len(chain.windows) - 1 > 5
    for index, centre in enumerate(centres):
        window, after = chain.windows[index : index + 2]
        span, next_span = (item.span(jukebox.model.grid, 2, each.start, 8) for each in (window, after))
        heard = hear(prior, torch.tensor(followed[window.start : window.end]), tokens, span)
        assert heard.middle_of(next_span) == centre, index
        tokens = item.tokens[2].around(centre)


def test_without_it_and_before_the_second_window_nothing_changes(jukebox: Jukebox, followed: list[int]) -> None:
    even = top(jukebox.generate_all(EVEN))[0]
    assert followed[:8] == even[:8]
    assert followed != even
    short = replace(FOLLOWED, seconds=0.02)
    assert top(jukebox.generate_all(short)) == top(jukebox.generate_all(replace(short, follow_lyrics=False)))
    few = replace(FOLLOWED, songs=(replace(SONG, lyrics="la la la"),))
    assert top(jukebox.generate_all(few)) == top(jukebox.generate_all(replace(few, follow_lyrics=False)))


@pytest.mark.parametrize("slots", [1, 8])
def test_a_song_is_the_same_in_any_company(jukebox: Jukebox, followed: list[int], slots: int) -> None:
    """Also beside songs that are not followed, and with engines that read the next window ahead where they may."""
    timed = replace(SONG, lyric_times=(TimedText(start_s=0.0, end_s=0.05, text="one two"),))
    request = replace(FOLLOWED, songs=(timed, SONG), takes=2)
    songs = top(jukebox.generate_all(request, Options(slots=slots, pace=Pace(most_steps=5))))
    assert songs[2] == followed
    assert songs[3] != followed
    assert songs[:2] == top(jukebox.generate_all(replace(request, songs=(timed,), follow_lyrics=False)))


def test_levels_side_by_side_are_the_same_too(jukebox: Jukebox, followed: list[int]) -> None:
    request = replace(FOLLOWED, lowest_level=1)
    assert top(jukebox.generate_all(request, replace(OFTEN, together=True))) == [followed]


@pytest.mark.parametrize("runs", [1, 7])
def test_a_song_that_was_cut_off_ends_the_same(
    jukebox: Jukebox, followed: list[int], tmp_path: Path, runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was heard before is kept: going on does not hear it again."""
    events, left = jukebox.write_session(tmp_path / "song", FOLLOWED, options=OFTEN, save_every_s=0.0), runs
    for event in events:
        left -= isinstance(event, Progress)
        if left < 0:
            break
    events.close()
    kept = load_tensors(tmp_path / "song" / "codes" / "level_2.safetensors", print)
    assert kept is not None
    before, calls = len(kept[0][centres_name("song/0")]), []
    monkeypatch.setattr("jukebox.sampling.following.hear", lambda *told: calls.append(told) or hear(*told))
    found = [e for e in jukebox.write_session(tmp_path / "song", FOLLOWED, options=OFTEN) if isinstance(e, Finished)]
    assert found[0].codes["song"][2].tolist() == followed
    assert len(calls) == len(jukebox.plan(FOLLOWED).levels[0].chains[0][0].windows) - 1 - before


def test_every_engine_follows_with_guidance_and_blends() -> None:
    """Their songs are the reference's own, as they are without it."""
    with pytest.MonkeyPatch.context() as patch:
        hidden = replace(LOUD[2].condition_dropout, artist=0.5, lyrics=0.5)
        patch.setattr(presets, "TINY_PRIORS", (*LOUD[:2], replace(LOUD[2], condition_dropout=hidden)))
        song = replace(SONG, blend=(Blend(weight=0.4, artist="somebody"),))
        levels = (LevelSettings(level=2, hop_fraction=0.5, guidance=2.0),)
        request = replace(FOLLOWED, songs=(song,), levels=levels)
        settings = [EngineSettings(engine=name) for name in ("reference", "processor", "native")]
        found = [top(load("tiny-random", "cpu", each).generate_all(request)) for each in settings]
    assert found[0] == found[1] == found[2]


def test_a_longer_song_hears_what_it_begins_with(jukebox: Jukebox, followed: list[int], session: Path) -> None:
    given = Given(source=str(session))
    longer = replace(FOLLOWED, given=given, seconds=0.12)
    plan = jukebox.plan(longer)
    assert plan.levels[0].chains[0][0].windows[0].start > 8  # windows before it are only heard
    first = top(jukebox.generate_all(longer))[0]
    assert first[: len(followed)] == followed
    assert first == top(jukebox.generate_all(longer, Options(slots=1, pace=Pace(most_steps=1))))[0]
    one = replace(longer, seconds=0.1, levels=(LevelSettings(level=2, one_window=True),))
    assert top(jukebox.generate_all(one))[0][: len(followed)] == followed


def test_its_lyrics_are_read_with_the_windows_as_they_were_shown(jukebox: Jukebox, tmp_path: Path) -> None:
    """Also by a request that is only given the codes; and times win, which is said."""
    list(jukebox.write_session(tmp_path / "even", EVEN))
    given = replace(FOLLOWED, given=Given(source=str(tmp_path / "even")), seconds=None)
    found = {}
    for name, asked in (("a", given), ("b", replace(given, follow_lyrics=False))):
        list(jukebox.write_session(tmp_path / name, asked))
        found[name] = (tmp_path / name / "lyrics.json").read_text()
    assert found["b"] == (tmp_path / "even" / "lyrics.json").read_text() != found["a"]
    timed = replace(SONG, lyric_times=(TimedText(start_s=0.0, end_s=0.05, text="one two"),))
    said = [e.text for e in jukebox.events(replace(FOLLOWED, songs=(timed,))) if isinstance(e, Message)]
    assert "The lyrics of song 1 have times, which they are sung at: they are not followed." in said


@pytest.mark.parametrize("changes", [{}, {"seconds": 0.02}, {"seconds": 0.12, "given": True}])
def test_the_plan_and_the_estimate_count_the_windows_that_are_heard(
    jukebox: Jukebox, session: Path, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One reading of each window but the last, also of codes that the song begins with; nothing for one window."""
    given = {"given": Given(source=str(session))} if "given" in changes else {}
    request, calls = replace(FOLLOWED, **(changes | given), takes=2), []
    monkeypatch.setattr("jukebox.sampling.following.hear", lambda *told: calls.append(told) or hear(*told))
    jukebox.generate_all(request)
    plan = jukebox.plan(request)
    assert sum(plan.levels[0].heard) == len(calls)
    even = jukebox.plan(replace(request, follow_lyrics=False))
    assert even.levels[0].heard == ()
    found, without = (estimate_level(jukebox.model, each.levels[0], None, jukebox.need) for each in (plan, even))
    rows = (found.tokens + found.read, len(calls) * LOUD[2].transformer.context)
    assert found.operations == pytest.approx(without.operations * sum(rows) / rows[0])
    told = f"Following the lyrics reads {len(calls)} windows once more, "
    assert (told in jukebox.estimate(request)) == bool(calls)
    assert "Following" not in jukebox.estimate(replace(request, follow_lyrics=False))


def test_an_estimate_has_the_time_of_what_is_heard_and_of_what_is_not_read_ahead(
    jukebox: Jukebox, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent_s = [0.0]  # by a clock of its own: a busy machine sleeps longer than it is told

    def slow(*told: Any) -> None:
        spent_s[0] += 0.2

    clock = SimpleNamespace(perf_counter=lambda: time.perf_counter() + spent_s[0])
    monkeypatch.setattr("jukebox.sampling.estimate.time", clock)
    monkeypatch.setattr("jukebox.sampling.estimate.hear", slow)
    plan = jukebox.plan(FOLLOWED)
    found = estimate_level(jukebox.model, plan.levels[0], None, jukebox.need)
    spent = probe(jukebox.model, plan, plan.levels[0], found, jukebox.engine)
    assert spent.hearing_s == pytest.approx(0.2 * found.heard, rel=0.5)
    assert spent.writing_s > 0


@pytest.fixture
def headless() -> Iterator[Jukebox]:
    with pytest.MonkeyPatch.context() as patch:
        lyrics = LOUD[2].lyrics
        assert lyrics is not None
        without = replace(LOUD[2], lyrics=replace(lyrics, alignment_layer=None, alignment_head=None))
        patch.setattr(presets, "TINY_PRIORS", (*LOUD[:2], without))
        yield load("tiny-random", "cpu")


def refused(jukebox: Jukebox, folder: Path, request: SongRequest, kind: type[JukeboxError]) -> str:
    with pytest.raises(kind) as caught:
        list(jukebox.write_session(folder, request))
    assert not [path for path in folder.iterdir() if path.name != ".lock"]
    return str(caught.value)


def test_what_cannot_be_followed_is_one_sentence(jukebox: Jukebox, headless: Jukebox, tmp_path: Path) -> None:
    sentence = refused(headless, tmp_path / "a", FOLLOWED, ConfigError)
    assert sentence == "follow_lyrics needs an alignment head, and tiny-random has none: leave it out."
    for index, lyrics in enumerate(("", " ", "\n \t")):  # blanks are nothing to sing
        silent = replace(FOLLOWED, songs=(SONG, replace(SONG, lyrics=lyrics)))
        sentence = refused(jukebox, tmp_path / f"b{index}", silent, LabelError)
        assert sentence == "follow_lyrics is asked for, but song 2 has no lyrics: give some, or leave it out."
