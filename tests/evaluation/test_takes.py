"""Takes are measured as they are, whatever stands beside them; what was measured once is kept."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from jukebox import presets
from jukebox.alignment.attention import align
from jukebox.alignment.path import monotonic_path
from jukebox.errors import DataError
from jukebox.evaluation import ranking, takes
from jukebox.evaluation.likelihood import window_bits
from jukebox.evaluation.ranking import RANK, measured, same_length, standings
from jukebox.evaluation.takes import Take, TakeMeasures, measure, song_bits, takes_of
from jukebox.labels.labels import Labels
from jukebox.labels.timing import SongSpan
from jukebox.pipeline import Jukebox, load
from jukebox.prior.conditions import conditions_of
from jukebox.prior.prior import Prior
from jukebox.sampling.events import Saved
from jukebox.sampling.generate import Options
from jukebox.sampling.request import Given, SongRequest
from jukebox.sampling.session import Session
from jukebox.sampling.windows import window_starts
from jukebox.sampling.writing import Pace
from tests.sampling import models

SONG = Labels(artist="nobody", genre="waltz", lyrics="la la lo lu " * 20)
SECONDS = 0.06  # 20 codes of the top level, in windows of 8


@pytest.fixture(scope="module")
def jukebox(short_windows: None) -> Jukebox:
    return load("tiny-random", "cpu")


@pytest.fixture(scope="module")
def prior(jukebox: Jukebox) -> Prior:
    return jukebox.reader(2)


def request(**changes: object) -> SongRequest:
    values = {"songs": (SONG,), "seconds": SECONDS, "takes": 3, "seed": 4, "lowest_level": 2} | changes
    return SongRequest(model="tiny-random", **values)  # pyright: ignore[reportArgumentType]


def written(jukebox: Jukebox, folder: Path, asked: SongRequest) -> Session:
    for _ in jukebox.write_session(folder, asked, options=Options(previews=None)):
        pass
    return Session(folder)


def rows(jukebox: Jukebox, prior: Prior, session: Session) -> dict[str, TakeMeasures]:
    return {take.item.name: found for take, found in measured(session, jukebox.model, "model", lambda: prior)}


@pytest.fixture(scope="module")
def sketch(jukebox: Jukebox, tmp_path_factory: pytest.TempPathFactory) -> Session:
    return written(jukebox, tmp_path_factory.mktemp("songs") / "sketch", request())


def test_every_code_is_counted_once_in_the_first_window_that_has_it(prior: Prior, sketch: Session) -> None:
    (take, *_), context = takes_of(sketch, load("tiny-random", "cpu").model), prior.config.codes_context

    def span(start: int) -> SongSpan:
        return SongSpan(total_length_samples=10**6, offset_samples=start * 128, window_length_samples=context * 128)

    found = song_bits(prior, take.codes, take.tokens, span)
    assert len(found) == len(take.codes) > 2 * context
    for first, length in ((0, context), (context // 2, context // 2)):
        conditions = conditions_of([take.tokens.window(span(first), "float32")], prior.config)
        with torch.no_grad():
            window = window_bits(prior, take.codes[None, first : first + context], conditions)[0]
        assert found[first + context - length : first + context].tolist() == window[context - length :].tolist()


def test_a_take_is_the_same_alone_among_others_joined_and_with_finer_levels(
    jukebox: Jukebox, prior: Prior, sketch: Session, tmp_path: Path
) -> None:
    expected = rows(jukebox, prior, sketch)
    assert list(expected) == ["song_take_0", "song_take_1", "song_take_2"]
    one = expected["song_take_1"]
    assert len({each.bits for each in expected.values()}) == 3
    alone = written(jukebox, tmp_path / "alone", request(takes=1, first_take=1))
    one_take = request(takes=1, first_take=1)
    given = Given(source=str(sketch.folder), item="song_take_1", levels=(2,))
    half, rest = dataclasses.replace(given, duration_s=0.03), dataclasses.replace(given, start_s=0.03)
    finished = written(jukebox, tmp_path / "finer", dataclasses.replace(one_take, given=given, lowest_level=1))
    joined = written(jukebox, tmp_path / "joined", dataclasses.replace(one_take, given=half, joined=(rest,)))
    for session in (alone, finished, joined):
        assert rows(jukebox, prior, session) == {"song_take_1": one}


def test_what_was_measured_is_kept_through_a_kill_and_measured_again_where_it_is_another(
    jukebox: Jukebox, prior: Prior, sketch: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, names, true = sketch.folder / RANK, list[str](), measure

    def counted(prior: Prior, model: object, take: Take) -> TakeMeasures:
        if len(names) == 2:
            raise KeyboardInterrupt
        names.append(take.item.name)
        return true(prior, jukebox.model, take)

    monkeypatch.setattr(ranking, "measure", counted)
    path.unlink(missing_ok=True)
    with pytest.raises(KeyboardInterrupt):
        rows(jukebox, prior, sketch)
    names.clear()
    whole = rows(jukebox, prior, sketch)
    assert names == ["song_take_2"]
    kept = path.read_bytes()
    assert rows(jukebox, prior, sketch) == whole
    assert (names, path.read_bytes()) == (["song_take_2"], kept)
    names.clear()
    monkeypatch.setattr(ranking, "measure", true)
    bits = f'"bits": {json.loads(kept)["song_take_2"]["bits"]}'
    for damage in ("damaged", kept.decode().replace(bits, '"bits": "many"')):
        path.write_text(damage, encoding="utf-8")
        assert rows(jukebox, prior, sketch) == whole
        assert path.read_bytes() == kept


def test_a_song_that_is_begun_is_measured_as_far_as_it_is(
    jukebox: Jukebox, prior: Prior, sketch: Session, tmp_path: Path
) -> None:
    with Session(tmp_path / "begun") as session:
        jukebox.begin(request(), session)
    with pytest.raises(DataError, match="has no codes of the top level"):
        takes_of(session, jukebox.model)
    events = jukebox.write_session(
        session.folder, request(), options=Options(previews=None, slots=1, pace=Pace(run_s=0.0)), save_every_s=0.0
    )
    for event in events:
        if isinstance(event, Saved):
            break
    events.close()
    begun = rows(jukebox, prior, session)
    (name, found), *_ = begun.items()
    assert 0 < found.seconds < rows(jukebox, prior, sketch)[name].seconds
    assert len(begun) < 3
    for _ in jukebox.write_session(session.folder, request(), options=Options(previews=None)):
        pass
    assert rows(jukebox, prior, session) == rows(jukebox, prior, sketch)


def test_what_a_model_is_not_told_is_not_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    top = dataclasses.replace(models.SHORT[2], labels=None, lyrics=None)
    monkeypatch.setattr(presets, "TINY_PRIORS", (*models.SHORT[:2], top))
    jukebox = load("tiny-random", "cpu")
    session = written(jukebox, tmp_path / "song", request(takes=1))
    (found,) = rows(jukebox, jukebox.reader(2), session).values()
    assert found.sung is None
    assert found.bits > 0


def test_lyrics_that_are_not_there_are_not_sung(jukebox: Jukebox, prior: Prior, tmp_path: Path) -> None:
    session = written(jukebox, tmp_path / "song", request(songs=(Labels(),), takes=1))
    (found,) = rows(jukebox, prior, session).values()
    assert found.sung is None


def test_half_of_the_words_that_are_due_is_a_half(
    jukebox: Jukebox, prior: Prior, sketch: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, *_ = takes_of(sketch, jukebox.model)
    characters, codes = len(take.tokens.lyric_tokens), len(take.codes)
    for share in (0.5, 1.0):
        passed = round(share * characters * codes * 128 / take.item.total_samples)
        weights = np.zeros((codes, characters), np.float32)
        weights[np.arange(codes), np.arange(codes) * passed // codes] = 1
        monkeypatch.setattr(takes, "merge", lambda *_, follow, weights=weights: weights)
        assert measure(prior, jukebox.model, take).sung == pytest.approx(share, abs=0.1)


@pytest.mark.parametrize("follows", [False, True])
def test_bits_and_what_is_sung_come_out_of_one_reading_with_the_same_numbers(
    jukebox: Jukebox, prior: Prior, sketch: Session, monkeypatch: pytest.MonkeyPatch, follows: bool
) -> None:
    """Where lyrics are followed only the first window is told the same for both."""
    take, *_ = takes_of(sketch, jukebox.model)
    take = dataclasses.replace(take, item=dataclasses.replace(take.item, follows=follows))
    context, grid = prior.config.codes_context, jukebox.model.grid

    def span(start: int) -> SongSpan:
        return take.item.span(grid, 2, start, context)

    starts = window_starts(len(take.codes), context, context // 2)
    assert len(starts) == 4
    bits = song_bits(prior, take.codes, take.tokens, span)
    weights = align(prior, take.codes, take.tokens, span, starts, follow=follows)
    path, due = monotonic_path(weights), weights.shape[1] * grid.token_samples(2, len(take.codes))
    calls, forward = list[int](), Prior.forward
    monkeypatch.setattr(Prior, "forward", lambda *a, **k: (calls.append(1), forward(*a, **k))[1])
    found = measure(prior, jukebox.model, take)
    assert found.bits == float(bits.mean(dtype=np.float64))
    assert found.sung == min(1.0, float(path[-1] - path[0] + 1) / (due / take.item.total_samples))
    assert len(calls) == (len(starts) + 3 if follows else len(starts))


def test_a_song_shorter_than_a_window_has_the_bits_of_its_own_codes(
    jukebox: Jukebox, prior: Prior, sketch: Session
) -> None:
    take, *_ = takes_of(sketch, jukebox.model)
    take, context = dataclasses.replace(take, codes=take.codes[:5]), prior.config.codes_context

    def span(start: int) -> SongSpan:
        return take.item.span(jukebox.model.grid, 2, start, context)

    bits = song_bits(prior, take.codes, take.tokens, span)
    assert len(bits) == 5 < context
    assert measure(prior, jukebox.model, take).bits == float(bits.mean(dtype=np.float64))


def test_followed_lyrics_are_another_reading(jukebox: Jukebox, sketch: Session) -> None:
    take, *_ = takes_of(sketch, jukebox.model)
    followed = dataclasses.replace(take, item=dataclasses.replace(take.item, follows=True))
    assert ranking._digest(take, "model") != ranking._digest(followed, "model")


def measures(variety: float, sung: float | None, seconds: float = 1.0) -> TakeMeasures:
    return TakeMeasures(seconds=seconds, bits=0.0, sung=sung, variety=variety)


def test_takes_are_alike_in_length_that_are_at_most_a_tenth_shorter_than_the_longest() -> None:
    lengths = (5.0, 10.0, 8.9, 9.1, 4.6, 9.0, 0.01)
    assert same_length([measures(1.0, None, seconds) for seconds in lengths]) == [[1, 3, 5], [2], [0, 4], [6]]
    assert same_length([]) == []


def test_a_score_is_the_share_of_others_that_a_take_is_better_than() -> None:
    best, worst, between = measures(90.0, 1.0), measures(70.0, 0.5), measures(80.0, 0.5)
    assert standings([worst, best, between]) == [(0 + 0.25) / 2, 1.0, (0.5 + 0.25) / 2]
    assert standings([best]) == [0.5]
    assert standings([measures(70.0, None), measures(80.0, 0.1)]) == [0.0, 1.0]  # not known of all
    assert standings([]) == []
