import hashlib
import random

import pytest

from jukebox.checkpoints import download
from jukebox.checkpoints.download import Patience, fetch_label_list, fetch_weights
from jukebox.errors import DownloadError
from jukebox.presets import ReleasedFile
from tests.checkpoints.server import Behaviour, serving

CONTENT = random.Random(1).randbytes(1_000_000)
FILE = ReleasedFile(
    path="5b/vqvae.pth.tar",
    about_bytes=len(CONTENT),
    size_bytes=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
)
UNKNOWN = ReleasedFile(path=FILE.path, about_bytes=len(CONTENT))
PATIENCE = Patience(attempts=3, sleep=lambda seconds: None)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


def behaviour(content=CONTENT, **options) -> Behaviour:
    return Behaviour(files={f"/{FILE.path}": content}, **options)


def part(folder):
    return folder / (FILE.path + ".part")


@pytest.mark.parametrize("file", [FILE, UNKNOWN])
def test_a_whole_file_arrives_under_its_name(file, tmp_path):
    seen = []
    with serving(behaviour()) as address:
        path = fetch_weights(file, tmp_path, source=address + "/", progress=lambda *now: seen.append(now))
    assert path == tmp_path / FILE.path
    assert path.read_bytes() == CONTENT
    assert not part(tmp_path).exists()
    assert seen[-1] == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("file", [FILE, UNKNOWN])
def test_a_cut_connection_is_resumed(file, tmp_path):
    served = behaviour(cuts=[100_000, 1, 500_000])
    with serving(served) as address:
        path = fetch_weights(file, tmp_path, source=address, patience=PATIENCE)
    assert path.read_bytes() == CONTENT
    assert [asked for _, asked in served.requests] == [None, "bytes=100000-", "bytes=100001-", "bytes=600001-"]


def test_a_server_that_ignores_ranges_begins_again(tmp_path):
    served = behaviour(cuts=[100_000, 300_000], ranges=False)
    with serving(served) as address:
        path = fetch_weights(FILE, tmp_path, source=address, patience=PATIENCE)
    assert path.read_bytes() == CONTENT
    assert len(served.requests) == 3


def test_a_later_run_goes_on_where_an_earlier_one_stopped(tmp_path):
    with (
        serving(behaviour(cuts=[400_000, 0, 0, 0])) as address,
        pytest.raises(DownloadError, match="400000 bytes are kept and the same command goes on"),
    ):
        fetch_weights(FILE, tmp_path, source=address, patience=PATIENCE)
    assert not (tmp_path / FILE.path).exists()
    assert part(tmp_path).stat().st_size == 400_000
    served = behaviour()
    with serving(served) as address:
        assert fetch_weights(FILE, tmp_path, source=address).read_bytes() == CONTENT
    assert served.requests == [(f"/{FILE.path}", "bytes=400000-")]


@pytest.mark.parametrize("file", [FILE, UNKNOWN])
def test_a_part_that_is_whole_already_is_only_checked(file, tmp_path):
    part(tmp_path).parent.mkdir()
    part(tmp_path).write_bytes(CONTENT)
    with serving(behaviour()) as address:
        assert fetch_weights(file, tmp_path, source=address).read_bytes() == CONTENT


@pytest.mark.parametrize("file", [FILE, UNKNOWN])
def test_a_part_longer_than_the_file_begins_again(file, tmp_path):
    part(tmp_path).parent.mkdir()
    part(tmp_path).write_bytes(CONTENT + b"more")
    with serving(behaviour()) as address:
        assert fetch_weights(file, tmp_path, source=address, patience=PATIENCE).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (CONTENT[:-1] + b"x", "gave a file with sha256"),
        (CONTENT[:-5], f"gave {len(CONTENT) - 5} bytes; expected {len(CONTENT)}"),
        (CONTENT + b"tail", f"gave {len(CONTENT) + 4} bytes; expected {len(CONTENT)}"),
        (b"<html>not found, but status 200</html>", "gave 38 bytes"),
    ],
)
def test_another_file_is_deleted_and_said_so(wrong, sentence, tmp_path):
    with serving(behaviour(wrong)) as address, pytest.raises(DownloadError, match=sentence) as error:
        fetch_weights(FILE, tmp_path, source=address, patience=PATIENCE)
    assert "was deleted" in str(error.value)
    assert list((tmp_path / "5b").iterdir()) == []


def test_wrong_bytes_before_a_resume_are_found_too(tmp_path):
    part(tmp_path).parent.mkdir()
    part(tmp_path).write_bytes(bytes(1000))
    with serving(behaviour()) as address:
        with pytest.raises(DownloadError, match="sha256"):
            fetch_weights(FILE, tmp_path, source=address)
        assert fetch_weights(FILE, tmp_path, source=address).read_bytes() == CONTENT


def test_an_empty_file_never_counts(tmp_path):
    with serving(behaviour(b"")) as address, pytest.raises(DownloadError, match="gave an empty file"):
        fetch_weights(UNKNOWN, tmp_path, source=address)


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_says_what_to_do_and_is_not_repeated(status, tmp_path):
    served = behaviour(statuses=[status] * 9)
    with serving(served) as address, pytest.raises(DownloadError, match=f"answered {status}") as error:
        fetch_weights(FILE, tmp_path, source=address, patience=PATIENCE)
    assert "--from" in str(error.value)
    assert "jukebox-1b-lyrics" in str(error.value)
    assert len(served.requests) == 1


def test_a_busy_server_is_asked_again_with_growing_waits(tmp_path):
    waits = []
    patience = Patience(attempts=4, first_wait_s=1.0, sleep=waits.append)
    with serving(behaviour(statuses=[503, 500, 429])) as address:
        assert fetch_weights(FILE, tmp_path, source=address, patience=patience).read_bytes() == CONTENT
    assert waits == [1.0, 2.0, 4.0]


def test_progress_resets_patience(tmp_path):
    with serving(behaviour(cuts=[10] * 20)) as address:
        path = fetch_weights(FILE, tmp_path, source=address, patience=PATIENCE)
    assert path.read_bytes() == CONTENT


def test_no_network_says_what_to_do(tmp_path):
    with serving(behaviour()) as address:
        pass  # the port is closed again
    with pytest.raises(DownloadError, match="cannot be reached") as error:
        fetch_weights(FILE, tmp_path, source=address, patience=PATIENCE)
    assert "--from" in str(error.value)


def test_the_next_of_the_published_addresses_is_tried(tmp_path, monkeypatch):
    with serving(behaviour(statuses=[404])) as first, serving(behaviour()) as second:
        monkeypatch.setattr(download, "WEIGHT_PREFIXES", (first, second))
        assert fetch_weights(FILE, tmp_path).read_bytes() == CONTENT


def test_a_local_folder_serves_as_a_mirror(tmp_path):
    origin = tmp_path / "copies" / FILE.path
    origin.parent.mkdir(parents=True)
    origin.write_bytes(CONTENT)
    path = fetch_weights(FILE, tmp_path / "cache", source=str(tmp_path / "copies"))
    assert path.read_bytes() == CONTENT
    origin.write_bytes(CONTENT[:-1])
    with pytest.raises(DownloadError, match="expected 1000000"):
        fetch_weights(FILE, tmp_path / "other", source=str(tmp_path / "copies"))
    with pytest.raises(DownloadError, match="does not exist"):
        fetch_weights(FILE, tmp_path / "other", source=str(tmp_path))


def test_a_file_in_the_cache_is_not_fetched_again(tmp_path):
    (tmp_path / FILE.path).parent.mkdir()
    (tmp_path / FILE.path).write_bytes(CONTENT)
    assert fetch_weights(FILE, tmp_path, source="http://127.0.0.1:9") == tmp_path / FILE.path


@pytest.mark.parametrize("place", ["/labels/list.txt", "/list.txt"])
def test_label_lists_lie_beside_the_weights(place, tmp_path):
    file = ReleasedFile(path="list.txt", about_bytes=3, size_bytes=3)
    with serving(Behaviour(files={place: b"a;1"})) as address:
        path = fetch_label_list(file, tmp_path, source=address)
    assert path == tmp_path / "labels" / "list.txt"
    assert path.read_bytes() == b"a;1"


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "5b").touch()
    with serving(behaviour()) as address, pytest.raises(DownloadError, match="cannot be written"):
        fetch_weights(FILE, tmp_path, source=address)
