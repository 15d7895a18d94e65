"""A song is a folder: the request, the codes of each level so far, previews, the sound.

Every file is replaced as a whole, holds a checksum, and has the generation before it beside it. One process at a time
writes a session; a lock says so, which the system releases when the process ends, however it ends.
"""

import dataclasses
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from jukebox.checkpoints.codes import CODES_SUFFIX
from jukebox.checkpoints.files import remove_unfinished, replacing
from jukebox.checkpoints.lock import FolderLock
from jukebox.errors import DataError
from jukebox.sampling.checked import load_json, load_tensors, save_json, save_tensors
from jukebox.sampling.plan import Beginning, LevelPlan
from jukebox.sampling.request import SongRequest
from jukebox.sampling.strand import Strand

FORMAT = "jukebox-session-1"
SESSION, REQUEST, STATUS, LOCK = "session.json", "request.yaml", "status.json", ".lock"
CODES, GIVEN, PREVIEWS = "codes", "given.safetensors", "previews"

_SHARE = 20
"""Saving may take one part in so many of the time."""


def is_session(folder: Path) -> bool:
    """Whether a folder holds a session; of a damaged one the request may be all that is left."""
    return any((folder / name).is_file() for name in (SESSION, "session.previous.json", REQUEST))


class Session:
    """A session's folder, locked while it is used as a context manager.

    Args:
        folder: of the session; it is created by `begin`.
        save_every_s: the least time between two saves.

    Attributes:
        notes: sentences about what was found when it was opened.
    """

    def __init__(self, folder: Path, save_every_s: float = 3.0) -> None:
        self.folder = folder
        self.notes: list[str] = []
        self._interval_s = self._least_s = save_every_s
        self._due_s = time.monotonic() + save_every_s
        self._lock = FolderLock(folder, LOCK)

    def __enter__(self) -> "Session":
        self._lock.acquire()
        for folder in (self.folder, self.folder / CODES, self.folder / PREVIEWS):
            remove_unfinished(folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def begin(self, request: SongRequest, fingerprint: str, precision: str = "auto") -> None:
        """Begin a session, or go on with the one that is there.

        Args:
            request: what is asked for.
            fingerprint: of the model.
            precision: that was asked for, which `precision` gives again.

        Raises:
            DataError: the folder holds a session of another request or model, or other files.
        """
        if is_session(self.folder):
            there = self.request()
            if there != request:
                raise DataError(
                    f"{self.folder} holds another song ({_difference(there, request)}); choose another folder, or go "
                    f"on with what is there by `jukebox continue {self.folder}`."
                )
            self.check_model(fingerprint)
            self._write_request(request)
            if all((self.folder / f"{name}{CODES_SUFFIX}").is_file() for _, _, name in request.item_names()):
                self.notes.append(f"{self.folder} holds this song already, finished; only its files are written again.")
            elif any((self.folder / CODES).glob("level_*")):  # else it was begun, and nothing more
                self.notes.append(f"{self.folder} holds this song already; it goes on where that ended.")
            return
        if any(not path.name.startswith(".") for path in self.folder.iterdir()):
            raise DataError(f"{self.folder} is not empty and holds no session; choose a new folder.")
        values = {
            "format": FORMAT,
            "model": fingerprint,
            "precision": precision,
            "request": dataclasses.asdict(request),
        }
        for _ in range(2):  # there is a generation before from the beginning
            save_json(self.folder / SESSION, values)
        self._write_request(request)

    def _write_request(self, request: SongRequest) -> None:
        """For people, and for the case that nothing else is left."""
        if not (self.folder / REQUEST).exists():
            with replacing(self.folder / REQUEST) as temporary:
                temporary.write_text(request.to_yaml(), encoding="utf-8")

    def request(self) -> SongRequest:
        """What was asked for; from request.yaml where nothing else is left."""
        values = self._values()
        if values is not None:
            return SongRequest.from_dict(values["request"])
        self.notes.append(f"{self.folder / SESSION} is lost; the song is taken from {REQUEST}.")
        return SongRequest.read(self.folder / REQUEST)

    @property
    def precision(self) -> str:
        """That it was begun in: other numbers would write other codes from here on."""
        return str((self._values() or {}).get("precision", "auto"))

    def check_model(self, fingerprint: str) -> None:
        """Raise DataError when the session was begun with other weights."""
        values = self._values()
        if values is not None and values["model"] != fingerprint:
            raise DataError(
                f"{self.folder} was begun with other weights ({values['model']}) than the model has now "
                f"({fingerprint}); it can be continued only with those."
            )

    def _values(self) -> dict[str, Any] | None:
        if not self.folder.is_dir():
            raise DataError(f"{self.folder} is not a folder; name the folder of a session.")
        if not is_session(self.folder):
            raise DataError(f"{self.folder} holds no session; name a folder that `jukebox generate` has written.")
        values = load_json(self.folder / SESSION, self._note)
        if values is not None and values.get("format") != FORMAT:
            raise DataError(f"{self.folder} is a session of another kind ({values.get('format')!r}, not {FORMAT}).")
        return values

    def save_beginnings(self, beginnings: Sequence[Beginning]) -> None:
        """Keep the codes that the songs begin with, so that going on needs no recording."""
        tensors = {
            f"{index}/{level}": codes.to(torch.int32)
            for index, beginning in enumerate(beginnings)
            for level, codes in beginning.codes.items()
        }
        told = {
            "starts_s": json.dumps([beginning.start_s for beginning in beginnings]),
            "notes": json.dumps([beginning.notes for beginning in beginnings]),
        }
        for _ in range(2):
            save_tensors(self.folder / GIVEN, tensors, told)

    def beginnings(self) -> list[Beginning] | None:
        """What `save_beginnings` kept; None where it is not there."""
        found = load_tensors(self.folder / GIVEN, self._note)
        if found is None:
            return None
        starts = json.loads(found[1]["starts_s"])
        notes = json.loads(found[1].get("notes", json.dumps([[]] * len(starts))))
        codes: list[dict[int, Tensor]] = [{} for _ in starts]
        for name, tensor in found[0].items():
            index, level = map(int, name.split("/"))
            codes[index][level] = tensor.long()
        return [
            Beginning(codes=each, start_s=start, notes=tuple(said))
            for each, start, said in zip(codes, starts, notes, strict=True)
        ]

    def save_level(self, plan: LevelPlan, strands: Mapping[str, Strand], centres: Mapping[str, Sequence[int]]) -> None:
        """Save the codes of a level so far, raw, by the names of their strands; and where their lyrics were followed,
        the characters that windows were shown the surroundings of, by `centres_name`."""
        began_s = time.monotonic()
        tensors = {name: strand.written.clone() for name, strand in strands.items()}
        heard = {centres_name(name): torch.tensor(found, dtype=torch.int32) for name, found in centres.items()}
        save_tensors(self._level_path(plan.level), tensors | heard, {"plan": _plan_digest(plan)})
        windows = sum(strand.windows_done for strand in strands.values())
        status = {"level": plan.level, "windows_done": windows, "windows": plan.windows}
        save_json(self.folder / STATUS, status | {"codes": sum(map(len, tensors.values())), "of": plan.new_tokens})
        took_s = time.monotonic() - began_s
        self._interval_s = max(self._least_s, _SHARE * took_s)
        self._due_s = time.monotonic() + self._interval_s

    @property
    def due(self) -> bool:
        """Whether it is time to save again."""
        return time.monotonic() >= self._due_s

    def load_level(self, plan: LevelPlan) -> dict[str, Tensor]:
        """What `save_level` kept, by name; nothing where nothing sound is left.

        Raises:
            DataError: they belong to another plan.
        """
        found = load_tensors(self._level_path(plan.level), self._note)
        if found is None:
            return {}
        if found[1].get("plan") != _plan_digest(plan):
            raise DataError(
                f"{self._level_path(plan.level)} was written by another plan than this version of the program makes; "
                "continue it with the version that began it, or remove that file to write the level again."
            )
        return found[0]

    def _level_path(self, level: int) -> Path:
        return self.folder / CODES / f"level_{level}.safetensors"

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)


def centres_name(strand: str) -> str:
    """The name beside a strand's codes of the characters in the middle of its windows."""
    return f"{strand}/lyrics"


def _plan_digest(plan: LevelPlan) -> str:
    return hashlib.sha256(repr((plan.level, plan.length, plan.sampling, plan.chains)).encode()).hexdigest()[:16]


def _difference(there: SongRequest, asked: SongRequest) -> str:
    names = [f.name for f in dataclasses.fields(there) if getattr(there, f.name) != getattr(asked, f.name)]
    return "different " + ", ".join(names)
