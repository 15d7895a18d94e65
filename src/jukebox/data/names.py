"""Which names and characters a dataset is labelled with: its own, or those of a model; and whose codes fit a prior."""

import unicodedata
from collections.abc import Iterable
from pathlib import Path

from jukebox import presets
from jukebox.cache import LABELS, cache_folder
from jukebox.checkpoints import store
from jukebox.checkpoints.load import find_prior, locate
from jukebox.config import PriorConfig
from jukebox.data.collection import VOCABULARY, read_names
from jukebox.errors import ConfigError, DataError
from jukebox.labels.glossary import Glossary
from jukebox.labels.text import V2_ALPHABET, V3_ALPHABET, LyricAlphabet
from jukebox.labels.vocabulary import Vocabulary

# Control characters and pictures are no letters of an alphabet; a new line is.
_NOT_SUNG = ("C", "So", "Zl", "Zp")


def own_alphabet(lyrics: Iterable[str]) -> LyricAlphabet:
    """Every character of some lyrics, in the order of Unicode; the released alphabet where there are none.

    Control characters and pictures are left out.
    """
    characters = {character for text in lyrics for character in unicodedata.normalize("NFC", text)}
    kept = {c for c in characters if c == "\n" or not unicodedata.category(c).startswith(_NOT_SUNG)}
    return LyricAlphabet(characters="".join(sorted(kept | {"\n", " "}))) if kept else V3_ALPHABET


def names_of(model: str, level: int | None = None) -> tuple[Vocabulary, LyricAlphabet]:
    """The vocabulary and alphabet of a model.

    Args:
        model: the folder of a prior, of several or of a dataset, "mini", "tiny-random", or the name of a released model
            whose label lists are in the cache.
        level: of its priors; None for the coarsest, which reads the lyrics.

    Raises:
        DataError: there are none.
    """
    if model == presets.TINY_RANDOM:
        return Vocabulary.from_songs(presets.TINY_NAMES), V3_ALPHABET
    if folder := _folder_with_names(locate(model) if model == presets.MINI else Path(model), level):
        config = _config(folder)
        return read_names(folder, lyrics=config is None or config.lyrics is not None)
    if model not in presets.RELEASED:
        raise DataError(
            f"{model} has no {VOCABULARY}: name the folder of a prior, or one of {', '.join(presets.NAMES)}."
        )
    version = presets.model(model).vocabularies[-1 if level is None else level]
    if version not in ("v2", "v3"):
        raise DataError(f"{model} has the unknown vocabulary {version!r}.")
    folder = cache_folder() / LABELS
    if not (folder / f"{version}_artist_ids.txt").is_file():
        raise DataError(f"The label lists of {model} are not in {folder}; run `jukebox weights download {model}`.")
    return Vocabulary.released(folder, version), V2_ALPHABET if version == "v2" else V3_ALPHABET


def glossary_of(model: str) -> Glossary | None:
    """What the `glossary.txt` in a model's folder says of its artists and genres; None where there is none.

    Raises:
        DataError: it cannot be read, or is none.
    """
    path = Path(model)
    if model == presets.MINI or path.is_dir():
        path = locate(model) / store.GLOSSARY
        return Glossary.read(path) if path.is_file() else None
    return None


def check_trained_on(model: str, level: int | None, codebooks: str) -> None:
    """Raise DataError where the prior of a level was trained on other codebooks; foreign models do not name theirs."""
    if not Path(model).is_dir() and model != presets.MINI:
        return
    known = find_prior(model, level).source.get("codebooks")
    if known and codebooks and known != codebooks:
        raise DataError(
            f"{model} was trained on the codebooks {known}, these data have {codebooks}: tokenise them with the VQ-VAE "
            "that the prior was trained with."
        )


def _folder_with_names(folder: Path, level: int | None) -> Path | None:
    """The folder itself, or the one in it of the prior of a level."""
    if (folder / VOCABULARY).is_file() or not folder.is_dir():
        return folder if folder.is_dir() else None
    inner = (path for path in store.checkpoints_in(folder) if (path / VOCABULARY).is_file())
    found = {config.level: path for path in inner if (config := _config(path)) is not None}
    return found.get(max(found, default=-1) if level is None else level)


def _config(folder: Path) -> PriorConfig | None:
    """What the prior in a folder is; None where there is none."""
    try:
        return PriorConfig.from_json((folder / store.CONFIG).read_text(encoding="utf-8"))
    except (OSError, ConfigError, UnicodeDecodeError):
        return None
