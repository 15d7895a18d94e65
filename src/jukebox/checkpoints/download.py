"""Downloads that resume, and never pass a partial file off as a whole one.

A file arrives under a name ending in `.part` and is renamed when its size and, where known, its sha256 are right.
"""

import http.client
import re
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jukebox.cache import LABELS
from jukebox.checkpoints import files
from jukebox.checkpoints.files import Progress, silent
from jukebox.errors import DownloadError
from jukebox.presets import LABEL_LIST_PREFIX, WEIGHT_PREFIXES, ReleasedFile

_BLOCK_BYTES = 1 << 18
_ADVICE = (
    "name a mirror or a folder that has the files with --from, or use the Hugging Face copies "
    "openai/jukebox-1b-lyrics and openai/jukebox-5b-lyrics with `jukebox weights import`"
)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long to go on: attempts in a row without a new byte, and the wait after the first of them, which doubles."""

    attempts: int = 5
    first_wait_s: float = 1.0
    timeout_s: float = 30.0
    sleep: Callable[[float], None] = time.sleep


class _GoneError(DownloadError):
    """This address does not have the file; another may."""


def fetch_weights(
    file: ReleasedFile,
    folder: Path,
    *,
    source: str | None = None,
    progress: Progress = silent,
    patience: Patience | None = None,
) -> Path:
    """Bring one published file into `folder`, unless it is there already.

    Args:
        file: which.
        folder: the cache; the file keeps its published path below it.
        source: an address prefix (a mirror) or a local folder; by default the original's addresses.
        progress: called with (bytes done, bytes in all).
        patience: how long to try.

    Returns:
        The file's path.

    Raises:
        DownloadError: it could not be had; the text says what to do. What arrived is kept for the next attempt.
    """
    sources = [f"{prefix.rstrip('/')}/{file.path}" for prefix in ([source] if source else WEIGHT_PREFIXES)]
    return _fetch(file, folder / file.path, sources, progress, patience or Patience())


def fetch_label_list(
    file: ReleasedFile, folder: Path, *, source: str | None = None, patience: Patience | None = None
) -> Path:
    """Bring a label list into `folder`/labels: from `source`, there in `labels` or beside the weights' folders.

    Raises:
        DownloadError: as `fetch_weights`.
    """
    if source is None:
        sources = [f"{LABEL_LIST_PREFIX}/{file.path}"]
    else:
        sources = [f"{source.rstrip('/')}/{LABELS}/{file.path}", f"{source.rstrip('/')}/{file.path}"]
    return _fetch(file, folder / LABELS / file.path, sources, silent, patience or Patience())


def is_complete(file: ReleasedFile, path: Path) -> bool:
    """Whether `path` is there with the right size, where that is known; a file arrives only when it is whole."""
    return path.is_file() and file.size_bytes in (None, path.stat().st_size)


def _fetch(file: ReleasedFile, path: Path, sources: Sequence[str], progress: Progress, patience: Patience) -> Path:
    if is_complete(file, path):
        return path
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        failures: list[str] = []
        for address in sources:
            try:
                if re.match(r"https?://", address):
                    size_bytes = _download(address, part, file.size_bytes, progress, patience)
                else:
                    size_bytes = _copy(Path(address).expanduser(), part)
            except _GoneError as error:
                failures.append(str(error))
                continue
            _check(file, part, size_bytes, address)
            files.flush(part)
            part.replace(path)
            return path
    except OSError as error:
        raise DownloadError(
            f"{path} cannot be written ({error.strerror or error}); make room or name another folder with --to."
        ) from error
    raise DownloadError(f"{'; '.join(failures)}: {_ADVICE}.")


def _copy(origin: Path, part: Path) -> int:
    if not origin.is_file():
        raise _GoneError(f"{origin} does not exist")
    shutil.copyfile(origin, part)
    return origin.stat().st_size


def _check(file: ReleasedFile, part: Path, size_bytes: int | None, address: str) -> None:
    """Delete what cannot be the file and say so."""
    found = part.stat().st_size
    expected = file.size_bytes or size_bytes
    if expected is not None and found != expected:
        part.unlink()
        raise DownloadError(
            f"{address} gave {found} bytes; expected {expected}: it is another file, and was deleted: {_ADVICE}."
        )
    if file.sha256 is not None and (digest := files.sha256(part)) != file.sha256:
        part.unlink()
        raise DownloadError(
            f"{address} gave a file with sha256 {digest}; expected {file.sha256}: "
            f"it is damaged or another file, and was deleted: {_ADVICE}."
        )
    if found == 0:
        part.unlink()
        raise DownloadError(f"{address} gave an empty file, which was deleted: {_ADVICE}.")


def _download(address: str, part: Path, size_bytes: int | None, progress: Progress, patience: Patience) -> int | None:
    """Append to `part` until it is whole, going on where a cut connection left off; its full size, where known."""
    fruitless, reason = 0, ""
    while fruitless < patience.attempts:
        if fruitless:
            patience.sleep(patience.first_wait_s * 2 ** (fruitless - 1))
        before = _have(part)
        try:
            total = size_bytes
            for total in _receive(address, part, size_bytes, patience.timeout_s):
                progress(_have(part), total or 0)
            if part.exists() and (total is None or _have(part) >= total):
                return total
            reason = "the connection was cut"
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (401, 403, 404, 410):
                raise _GoneError(f"{address} answered {error.code} ({error.reason})") from error
            reason = f"it answered {error.code} ({error.reason})"
        except (
            urllib.error.URLError,
            http.client.HTTPException,
            ConnectionError,
            TimeoutError,
            ssl.SSLError,
        ) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        fruitless = 1 if _have(part) > before else fruitless + 1
    kept = f"{_have(part)} bytes are kept and the same command goes on from there" if part.exists() else ""
    raise _GoneError("; ".join(filter(None, (f"{address} cannot be reached: {reason}", kept))))


def _receive(address: str, part: Path, size_bytes: int | None, timeout_s: float) -> Iterator[int | None]:
    """One request; yields the full size after every block written to `part`."""
    have = _have(part)
    if size_bytes is not None and have > size_bytes:
        part.unlink()
        have = 0
    if have and have == size_bytes:
        yield size_bytes
        return
    request = urllib.request.Request(address, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        # Nothing lies beyond what we have: either it is whole, or it is of another file.
        error.close()
        total = _total(error.headers.get("Content-Range"))
        if total == have:
            yield total
        else:
            part.unlink()
        return
    with response:
        start = _start(response.headers.get("Content-Range")) if response.status == 206 else 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else _total(response.headers.get("Content-Range"))
        if start not in (0, have):
            raise http.client.HTTPException(f"it sent bytes from {start}; expected them from {have}")
        # A server that ignores ranges answers 200 and sends everything again.
        with part.open("ab" if start else "wb") as output:
            while block := response.read(_BLOCK_BYTES):
                output.write(block)
                output.flush()
                yield total
        yield total


def _have(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _start(content_range: str | None) -> int:
    match = re.match(r"bytes (\d+)-", content_range or "")
    return int(match[1]) if match else 0


def _total(content_range: str | None) -> int | None:
    match = re.search(r"/(\d+)$", content_range or "")
    return int(match[1]) if match else None
