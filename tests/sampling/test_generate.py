"""What a song is depends on its request alone, however it is written."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from jukebox.audio.io import write
from jukebox.errors import ConfigError, DataError, JukeboxError, LabelError
from jukebox.labels.labels import Labels
from jukebox.pipeline import Jukebox, Song
from jukebox.sampling.events import Audio, Event, Finished, Message, Progress
from jukebox.sampling.generate import Options
from jukebox.sampling.plan import plan_song
from jukebox.sampling.request import Given, LevelSettings, Prime, SongRequest
from jukebox.sampling.writing import LevelWriter, Pace, Run
from jukebox.vqvae.streaming import decode_stream

FIRST = Labels(artist="nobody", genre="waltz", lyrics="la la la")
SECOND = Labels(artist="somebody", genre="march", lyrics="lo lo", total_duration_s=3.0, offset_s=0.5)
REQUEST = SongRequest(model="tiny-random", songs=(FIRST,), seconds=0.05, seed=3, lowest_level=1, parallel_windows=1)


@pytest.fixture(scope="module")
def alone(jukebox: Jukebox) -> Song:
    return jukebox.generate_all(REQUEST)[0]


def same(first: Song, second: Song) -> bool:
    return first.codes.keys() == second.codes.keys() and all(
        torch.equal(codes, second.codes[level]) for level, codes in first.codes.items()
    )


@pytest.mark.parametrize("slots", [3, 8])
def test_a_song_is_the_same_alone_and_in_any_batch(jukebox: Jukebox, alone: Song, slots: int) -> None:
    request = replace(REQUEST, songs=(SECOND, FIRST), takes=2)
    songs = jukebox.generate_all(request, Options(slots=slots, pace=Pace(run_s=0.02, most_steps=7)))
    assert [song.name for song in songs] == ["song_1_take_0", "song_1_take_1", "song_2_take_0", "song_2_take_1"]
    assert same(songs[2], alone)
    assert not same(songs[3], alone)
    if slots == 3:
        again = jukebox.generate_all(replace(REQUEST, first_take=1))
        assert same(songs[3], again[0])


def test_other_seeds_labels_and_temperatures_are_other_songs(jukebox: Jukebox, alone: Song) -> None:
    cold = LevelSettings(level=2, temperature=0.5)
    for change in ({"seed": 4}, {"songs": (SECOND,)}, {"levels": (cold,)}):
        request = replace(REQUEST, lowest_level=2, **change)
        assert not torch.equal(jukebox.generate_all(request)[0].codes[2], alone.codes[2])


def test_a_level_may_have_names_of_its_own(jukebox: Jukebox) -> None:
    settings = LevelSettings(level=1, artist="everybody", genre="march")
    plan = jukebox.plan(replace(REQUEST, levels=(settings,)))
    words = jukebox.model.level(1).words
    assert words is not None
    for level, names in ((2, FIRST), (1, Labels(artist="everybody", genre="march"))):
        found = plan.items[0].tokens[level]
        assert found.artist_id == words.vocabulary.artist_id(names.artist)
        assert found.genre_ids == words.vocabulary.genre_ids(names.genre)


def test_a_coarser_level_does_not_depend_on_the_finer_ones(jukebox: Jukebox, alone: Song) -> None:
    top = jukebox.generate_all(replace(REQUEST, lowest_level=2))[0]
    assert list(top.codes) == [2]
    assert torch.equal(top.codes[2], alone.codes[2])


def test_chains_have_the_length_and_begin_as_one(jukebox: Jukebox, alone: Song) -> None:
    chained = jukebox.generate_all(replace(REQUEST, parallel_windows=3))[0]
    assert len(chained.codes[1]) == len(alone.codes[1])
    assert torch.equal(chained.codes[2], alone.codes[2])
    first = len(alone.codes[1]) // 3 // 4 * 4
    assert torch.equal(chained.codes[1][:first], alone.codes[1][:first])


def test_the_stream_is_the_song(jukebox: Jukebox) -> None:
    request = replace(REQUEST, lowest_level=2)
    pieces: list[Audio] = []
    song = None
    for event in jukebox.events(request, options=Options(stream=True, chunk_samples=512, pace=Pace(most_steps=2))):
        if isinstance(event, Audio):
            pieces.append(event)
        if isinstance(event, Finished):
            song = jukebox.songs(request, event)[0]
    assert song is not None
    codes, vqvae = song.codes[2], jukebox.model.vqvae
    expected = torch.cat(list(decode_stream(vqvae, [codes], 2, 512)), 1)
    assert len(pieces) > 1  # some of it before the end
    assert [piece.start_sample for piece in pieces] == [
        sum(piece.samples.shape[1] for piece in pieces[:index]) for index in range(len(pieces))
    ]
    assert torch.equal(torch.cat([piece.samples for piece in pieces], 1), expected)


@pytest.mark.parametrize("parts", [1, 3])
def test_levels_side_by_side_write_the_same_songs(jukebox: Jukebox, parts: int) -> None:
    """Of two songs; the finest level is heard before the coarser ones are written, and the time left goes to 0."""
    request = replace(REQUEST, songs=(SECOND, FIRST), seconds=0.08, lowest_level=0, parallel_windows=parts)
    options = Options(stream=True, chunk_samples=128, pace=Pace(most_steps=8), together=False)
    one_by_one = list(jukebox.events(request, options=options))
    side_by_side = list(jukebox.events(request, options=replace(options, together=True)))

    def result(events: list[Event]) -> tuple[list[Song], list[torch.Tensor]]:
        assert isinstance(events[-1], Finished)
        sound = [[e.samples for e in events if isinstance(e, Audio) and e.item == f"song_{n}"] for n in (1, 2)]
        return jukebox.songs(request, events[-1]), [torch.cat(pieces, 1) for pieces in sound]

    for (first, heard), (second, again) in [(result(one_by_one), result(side_by_side))]:
        assert all(same(*pair) for pair in zip(first, second, strict=True))
        assert all(torch.equal(*pair) for pair in zip(heard, again, strict=True))
    first_sound = next(index for index, event in enumerate(side_by_side) if isinstance(event, Audio))
    last_of = {e.level: index for index, e in enumerate(side_by_side) if isinstance(e, Progress)}
    assert first_sound < last_of[1]
    assert [event for event in side_by_side if isinstance(event, Progress)][-1].left_s == 0


def test_an_error_of_one_level_ends_all_and_keeps_what_was_written(
    jukebox: Jukebox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, options = replace(REQUEST, seconds=0.2), Options(together=True, pace=Pace(most_steps=8))
    expected = jukebox.generate_all(request)[0]
    run = LevelWriter.run

    def broken(writer: LevelWriter, steps: int) -> Run:
        if writer._engine.config.level == 1 and len(seen) == 3:  # pyright: ignore[reportPrivateUsage]
            raise RuntimeError("a part of the machine is gone")
        seen.append(writer)
        return run(writer, steps)

    seen: list[LevelWriter] = []
    with monkeypatch.context() as patch:
        patch.setattr(LevelWriter, "run", broken)
        with pytest.raises(RuntimeError, match="is gone"):
            list(jukebox.write_session(tmp_path / "song", request, options=options))
    assert list((tmp_path / "song" / "codes").iterdir())
    *_, last = (e for e in jukebox.write_session(tmp_path / "song", request) if isinstance(e, Finished))
    assert same(jukebox.songs(request, last)[0], expected)


def test_progress_counts_windows_and_tokens(jukebox: Jukebox) -> None:
    found: list[Event] = list(jukebox.events(REQUEST, options=Options(pace=Pace(run_s=0.0))))
    steps = [event for event in found if isinstance(event, Progress)]
    top = [event for event in steps if event.level == 2]
    assert [event.tokens for event in top] == list(range(1, 18))  # one step at a time
    assert (top[-1].tokens, top[-1].of_tokens, top[0].window, top[0].windows) == (17, 17, 1, top[-1].windows)
    assert all(event.tokens_per_s > 0 and event.times_real_time > 0 and event.left_s >= 0 for event in steps)
    assert steps[-1].left_s == 0
    assert next(event.text for event in found if isinstance(event, Message)).startswith("The length is 0.049 seconds")


def test_upsampling_a_part_and_continuing_keep_what_is_given(jukebox: Jukebox, alone: Song, tmp_path: Path) -> None:
    path = tmp_path / "song.codes"
    alone.write(path)
    hops = jukebox.model.grid.hops
    # From the top codes alone the same seed writes the same song again.
    whole = replace(REQUEST, seconds=None, given=Given(source=str(path), levels=(2,)))
    assert same(jukebox.generate_all(whole)[0], alone)
    start = 4 * hops[2] / 44100
    part = jukebox.generate_all(replace(whole, given=Given(source=str(path), levels=(2,), start_s=start)))[0]
    assert torch.equal(part.codes[2], alone.codes[2][4:])
    assert len(part.codes[1]) == 4 * len(part.codes[2])
    longer = jukebox.generate_all(replace(REQUEST, seconds=0.07, given=Given(source=str(path))))[0]
    assert all(torch.equal(longer.codes[level][: len(codes)], codes) for level, codes in alone.codes.items())
    assert len(longer.codes[1]) == 4 * 24
    one = LevelSettings(level=2, one_window=True)
    few = replace(REQUEST, seconds=0.06, lowest_level=2, levels=(one,), given=Given(source=str(path)))
    song = jukebox.generate_all(few)[0]
    assert {level: len(codes) for level, codes in song.codes.items()} == {2: 20}  # heard to its end


def test_a_primed_song_begins_with_the_recording(jukebox: Jukebox, tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    sound = 0.3 * torch.randn(1, 44100, generator=torch.Generator().manual_seed(0))
    write(path, sound, 44100)
    request = replace(REQUEST, prime=Prime(recording=str(path), start_s=0.5, duration_s=0.03))
    song = jukebox.generate_all(request)[0]
    expected = jukebox.model.vqvae.encode(sound[None, :, 22050 : 22050 + round(0.03 * 44100) // 128 * 128])
    for level in (1, 2):
        assert torch.equal(song.codes[level][: expected[level].shape[1]], expected[level][0])


MISTAKES = [
    ({"songs": (replace(FIRST, artist="nobdy"),)}, LabelError, "The artist 'nobdy' is not in the list of 4: use 'nobo"),
    ({"songs": (replace(FIRST, total_duration_s=0.01),)}, LabelError, "total_duration_s is 0.01, but the music ends"),
    ({"songs": (replace(FIRST, total_duration_s=700.0),)}, LabelError, "this model knows songs of"),
    ({"seconds": 0.0001}, ConfigError, "shorter than one token of the top level, 128 samples"),
    ({"lowest_level": 3}, ConfigError, "lowest_level is 3; tiny-random has the levels 0 to 2"),
    ({"levels": (LevelSettings(level=5),)}, ConfigError, "has no prior of level 5; its levels are 0, 1, 2"),
    ({"given": Given(source="nowhere.codes")}, DataError, "nowhere.codes is not a file"),
    ({"prime": Prime(recording="nowhere.wav")}, JukeboxError, "nowhere.wav"),
]


@pytest.mark.parametrize(("change", "kind", "sentence"), MISTAKES)
def test_mistakes_are_one_sentence_before_anything_is_written(
    jukebox: Jukebox, tmp_path: Path, change: dict, kind: type[JukeboxError], sentence: str
) -> None:
    folder = tmp_path / "song"
    with pytest.raises(kind) as caught:
        list(jukebox.write_session(folder, replace(REQUEST, **change)))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not [path for path in folder.iterdir() if path.name != ".lock"]


def test_of_levels_with_other_names_the_top_one_answers(jukebox: Jukebox) -> None:
    """Its list is the one that is heard: a lower level may know names that would be refused there."""
    levels = dict(jukebox.model.levels)
    words = levels[1].words
    assert words is not None
    artists = replace(words.vocabulary.artists, entries=(*words.vocabulary.artists.entries, ("nobdies", 0)))
    words = replace(words, vocabulary=replace(words.vocabulary, artists=artists))
    levels[1] = replace(levels[1], words=words, forgiving=False)
    request = replace(REQUEST, songs=(replace(FIRST, artist="nobdi"),))
    with pytest.raises(LabelError, match="not in the list of 4: use 'nobody'"):
        plan_song(request, replace(jukebox.model, levels=levels))
