"""What a person says of a song: its title, and the takes that are liked; a file in the session's folder."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from jukebox.checkpoints.files import replacing
from jukebox.studio.disk import read_json

NOTES = "studio.json"

_LONGEST_TITLE = 200


@dataclass(frozen=True, kw_only=True)
class Notes:
    """Title ("" for none) and names of takes."""

    title: str = ""
    starred: tuple[str, ...] = ()

    def changed(self, title: str | None, starred: dict[str, bool] | None) -> "Notes":
        """The same with another title, and some takes liked or not; None leaves them as they are."""
        liked = set(self.starred)
        for take, likes in (starred or {}).items():
            (liked.add if likes else liked.discard)(take)
        title = self.title if title is None else " ".join(title.split())[:_LONGEST_TITLE]
        return replace(self, title=title, starred=tuple(sorted(liked)))


def read_notes(folder: Path) -> Notes:
    """What has been said of a song; nothing where the file is missing or damaged."""
    found = read_json(folder / NOTES)
    title, starred = found.get("title"), found.get("starred")
    return Notes(
        title=title if isinstance(title, str) else "",
        starred=tuple(name for name in starred if isinstance(name, str)) if isinstance(starred, list) else (),
    )


def write_notes(folder: Path, notes: Notes) -> None:
    """Keep what is said of a song."""
    with replacing(folder / NOTES) as temporary:
        temporary.write_text(json.dumps(asdict(notes), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
