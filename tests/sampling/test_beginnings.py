"""Parts of songs in a row: nothing of them is lost, doubled or shifted, and what does not fit is one sentence."""

import contextlib
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import example, settings
from hypothesis import given as drawn
from hypothesis import strategies as st

from jukebox.audio.io import write as write_sound
from jukebox.checkpoints.codes import CodesFile, load_codes, save_codes
from jukebox.errors import ConfigError, DataError, JukeboxError
from jukebox.labels.labels import Labels
from jukebox.pipeline import Jukebox
from jukebox.sampling.beginnings import beginnings_of
from jukebox.sampling.events import Saved
from jukebox.sampling.generate import Options
from jukebox.sampling.request import Given, Prime, SongRequest
from jukebox.sampling.session import Session
from jukebox.sampling.writing import Pace

REQUEST = SongRequest(
    model="tiny-random",
    songs=(Labels(artist="nobody", genre="waltz", lyrics="la la la"),),
    seconds=0.05,
    seed=3,
    parallel_windows=1,
)


@pytest.fixture(scope="module")
def place(jukebox: Jukebox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a song of all levels (`whole`) and two takes of a sketch (`sketch`)."""
    place = tmp_path_factory.mktemp("songs")
    write(jukebox, place / "whole", REQUEST)
    write(jukebox, place / "sketch", replace(REQUEST, takes=2, lowest_level=2))
    return place


def write(jukebox: Jukebox, folder: Path, request: SongRequest) -> None:
    for _ in jukebox.write_session(folder, request):
        pass


def cut(source: Path, *places: float, item: str | None = None) -> SongRequest:
    """All levels of a song, cut at these places and joined again."""
    ends = [(0.0, places[0]), *zip(places, (*places[1:], None), strict=True)]
    given, *joined = (
        Given(source=str(source), item=item, start_s=start, duration_s=None if end is None else end - start)
        for start, end in ends
    )
    return replace(REQUEST, seconds=None, given=given, joined=tuple(joined))


@pytest.fixture(scope="module")
def long(place: Path) -> CodesFile:
    """Four seconds of codes of no music, beside the songs (`long.codes`)."""
    known = load_codes(place / "whole/song.codes")
    tokens = {1: 4 * 1378, 2: 1378}
    codes = {level: (torch.arange(count) % 64).to(torch.uint16) for level, count in tokens.items()}
    file = CodesFile(header=replace(known.header, length_samples=1378 * 128), codes=codes)
    save_codes(place / "long.codes", file)
    return file


@settings(max_examples=60)
@example(cuts=[119, 3155])  # 3.155 is a token's edge, and 0.119 + (3.155 - 0.119) less than that
@drawn(cuts=st.lists(st.one_of(st.integers(4, 3990), st.floats(4, 3990)), min_size=1, max_size=4).map(sorted))
def test_a_song_that_is_cut_anywhere_and_joined_is_the_song(
    jukebox: Jukebox, place: Path, long: CodesFile, cuts: list[float]
) -> None:
    """At milliseconds, each at least a token (2.9) after the one before."""
    cuts = [at / 1000 for before, at in zip([0.0, *cuts], cuts, strict=False) if at - before > 3]
    (beginning,) = beginnings_of(cut(place / "long.codes", *cuts), jukebox.model)
    assert beginning.codes.keys() == long.codes.keys()
    assert all(torch.equal(codes, long.codes[level].long()) for level, codes in beginning.codes.items())


def test_all_levels_joined_have_the_bytes_of_the_song(jukebox: Jukebox, place: Path, tmp_path: Path) -> None:
    write(jukebox, tmp_path / "song", cut(place / "whole", 0.0131, 0.0307))
    for name in ("song.codes", "song.flac"):
        assert (tmp_path / "song" / name).read_bytes() == (place / "whole" / name).read_bytes()


def test_finer_levels_are_written_as_for_one_part(jukebox: Jukebox, place: Path, tmp_path: Path) -> None:
    """Of another take: the codes above a token decide, not where they come from. A kill changes nothing."""
    sketch = Given(source=str(place / "sketch"), item="song_take_1", levels=(2,))
    write(jukebox, tmp_path / "finer", replace(REQUEST, seconds=None, given=sketch, first_take=1))
    request = replace(cut(tmp_path / "parts", 0.02, item="song_take_1"), first_take=1)
    shutil.copytree(place / "sketch", tmp_path / "parts")
    options = Options(pace=Pace(run_s=0.0), previews=None)
    with contextlib.closing(
        jukebox.write_session(tmp_path / "joined", request, options=options, save_every_s=0.0)
    ) as events:
        saved = (event for event in events if isinstance(event, Saved))
        for _, _ in zip(range(3), saved, strict=False):
            pass
    assert not (tmp_path / "joined/song_take_1.codes").exists()
    shutil.rmtree(tmp_path / "parts")  # going on needs none of them
    write(jukebox, tmp_path / "joined", SongRequest.read(tmp_path / "joined/request.yaml"))
    for name in ("song_take_1.codes", "song_take_1.flac"):
        assert (tmp_path / "joined" / name).read_bytes() == (tmp_path / "finer" / name).read_bytes()


def test_parts_in_any_order_are_gone_on_with(jukebox: Jukebox, place: Path) -> None:
    last = Given(source=str(place / "whole/song.codes"), start_s=0.03)
    first = Given(source=str(place / "sketch"), item="song_take_0", duration_s=0.02)
    request = replace(REQUEST, seconds=0.06, lowest_level=2, given=last, joined=(first, first))
    (beginning,) = beginnings_of(request, jukebox.model)
    whole, sketch = (
        load_codes(place / name).codes[2].long() for name in ("whole/song.codes", "sketch/song_take_0.codes")
    )
    row = torch.cat([whole[10:], sketch[:6], sketch[:6]])
    assert list(beginning.codes) == [2]
    assert torch.equal(beginning.codes[2], row)
    assert beginning.start_s == 10 * 128 / 44100  # the labels go on from the first part's place
    (song,) = jukebox.generate_all(request)
    assert torch.equal(song.codes[2][: len(row)], row)
    assert len(song.codes[2]) == 20


def test_takes_are_joined_each_with_its_own(jukebox: Jukebox, place: Path) -> None:
    both, one = Given(source=str(place / "sketch")), Given(source=str(place / "whole"))
    request = replace(REQUEST, seconds=None, takes=2, given=both, joined=(one, both))
    found = [beginning.codes[2] for beginning in beginnings_of(request, jukebox.model)]
    takes = [load_codes(place / "sketch" / f"song_take_{take}.codes").codes[2].long() for take in range(2)]
    whole = load_codes(place / "whole/song.codes").codes[2].long()
    for row, take in zip(found, takes, strict=True):
        assert torch.equal(row, torch.cat([take, whole, take]))


def test_a_beginning_may_be_as_long_as_the_song_and_no_longer(jukebox: Jukebox, place: Path, tmp_path: Path) -> None:
    """Of what it begins with nothing is cut without a word: not a song, nor parts of songs, nor a recording."""
    whole = Given(source=str(place / "whole"))
    assert jukebox.plan(replace(REQUEST, given=whole)).notes[-1:] == (
        "All codes are given already: only their sound is written.",
    )
    begun = {"given": whole}, {"given": whole, "joined": (whole,)}, {"prime": Prime(recording=str(tone(tmp_path)))}
    for beginning, length in zip(begun, ("0.05", "0.10", "longer than the 0.04"), strict=True):
        with pytest.raises(ConfigError, match=f"{length}.*give more seconds, or begin with less"):
            list(jukebox.write_session(tmp_path / "song", replace(REQUEST, seconds=0.043, **beginning)))
    assert not [path for path in (tmp_path / "song").iterdir() if path.name != ".lock"]


def test_a_song_that_was_begun_with_more_is_finished(jukebox: Jukebox, place: Path, tmp_path: Path) -> None:
    """Earlier versions cut what was too long."""
    request = replace(REQUEST, seconds=0.03, given=Given(source=str(place / "whole")))
    with Session(tmp_path) as session:
        (given,) = beginnings_of(replace(request, seconds=None), jukebox.model)
        session.begin(request, jukebox.fingerprint())
        session.save_beginnings([given])
    write(jukebox, tmp_path, request)
    assert load_codes(tmp_path / "song.codes").codes[2].tolist() == given.codes[2][:10].tolist()


def test_what_is_not_there_of_a_part_is_said(jukebox: Jukebox, place: Path, tmp_path: Path) -> None:
    """A part that reaches beyond its song ends with it; the sentence stays when the song goes on."""
    whole, recording = str(place / "whole"), str(tone(tmp_path))
    beyond, known = Given(source=whole, start_s=0.03, duration_s=9.0), Given(source=whole, duration_s=0.05)
    request = replace(REQUEST, seconds=None, given=known, joined=(beyond, known))
    ends = " ends 0.02 seconds after 0.03 s: so much of it is taken, not 9 seconds."
    for _ in range(2):
        with Session(tmp_path / "song") as session:
            (said,) = (note for note in jukebox.begin(request, session).notes if "taken" in note)
            assert said == f"{whole}/song.codes{ends}"
    prime = Prime(recording=recording, start_s=0.03, duration_s=9.0)
    plan = jukebox.plan(replace(REQUEST, seconds=1.0, prime=prime))
    assert f"{recording}{ends}" in plan.notes
    for rounded in (0.05, 0.055, 0.0591):  # what is shown of a length is two decimals of it
        assert not beginnings_of(replace(request, given=replace(known, duration_s=rounded), joined=()), jukebox.model)[
            0
        ].notes


def tone(folder: Path) -> Path:
    """A recording of 0.05 seconds."""
    write_sound(folder / "tone.wav", torch.sin(torch.arange(2205) / 9)[None], 44_100)
    return folder / "tone.wav"


def test_what_cannot_be_joined_is_one_sentence(jukebox: Jukebox, place: Path, tmp_path: Path) -> None:
    known = load_codes(place / "whole/song.codes")
    finest = tmp_path / "finest.codes"
    save_codes(finest, CodesFile(header=known.header, codes={0: known.codes[0]}))
    foreign = tmp_path / "foreign.codes"
    save_codes(foreign, CodesFile(header=replace(known.header, fingerprint="other"), codes=known.codes))
    sketch = Given(source=str(place / "sketch"), item="song_take_0")
    mistakes: list[tuple[Given, type[JukeboxError], str]] = [
        (Given(source=str(place / "sketch")), ConfigError, "several songs (song_take_0, song_take_1); say which"),
        (Given(source=str(place / "sketch"), item="song"), ConfigError, "has no song 'song'; it has song_take_0"),
        (Given(source=str(finest), item="song"), ConfigError, "is no session but a file, with one song"),
        (Given(source=str(finest)), DataError, "have no level in common (2 in part 1, 0 in part 2)"),
        (Given(source=str(foreign)), DataError, "was encoded with the codebooks other"),
        (Given(source=str(place / "none")), DataError, "is not a file"),
        (Given(source=str(place)), DataError, "holds no session"),
        (replace(sketch, levels=(1,)), DataError, "has no codes of level 1; its levels are 2"),
        (replace(sketch, start_s=1.0), DataError, "0.05 seconds of codes, but no token from 1 s on"),
        (replace(sketch, start_s=0.03, duration_s=0.001), DataError, "but no token between 0.03 and 0.031 s"),
    ]
    for part, kind, sentence in mistakes:
        with pytest.raises(kind) as caught:
            list(jukebox.write_session(tmp_path / "song", replace(REQUEST, given=sketch, joined=(part,))))
        assert sentence in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not [path for path in (tmp_path / "song").iterdir() if path.name != ".lock"]
