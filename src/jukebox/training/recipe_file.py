"""Recipes as YAML: read, with fields set from the command line, and written beside a run."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from jukebox.errors import ConfigError
from jukebox.training.recipe import Recipe

AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)


def read_recipe(path: Path, kind: type[AnyRecipe], settings: Sequence[str] = ()) -> AnyRecipe:
    """The recipe in a file, with some of its fields set.

    Args:
        path: a YAML file; numbers and true/false are those of YAML 1.2, so 3e-4 is a number and `no` a word.
        kind: what recipe it is.
        settings: "run.steps=100" and the like; the value is read as YAML.

    Raises:
        ConfigError: the file cannot be read, or a field is unknown, ill-typed or contradicts another one.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The recipe {path} cannot be read ({error.__class__.__name__}); check the path.") from error
    values = _parse(text, str(path))
    if not isinstance(values, dict):
        raise ConfigError(f"The recipe {path} is {values!r}; expected named fields, as in run: and model:.")
    for setting in settings:
        _set(values, setting)
    return kind.from_dict(values)


def write_recipe(path: Path, recipe: Recipe) -> None:
    """Write a recipe as `read_recipe` reads it, every field named."""
    yaml = _yaml()
    path.write_text(yaml.safe_dump(json.loads(recipe.to_json()), sort_keys=False), encoding="utf-8")


def _set(values: dict[str, Any], setting: str) -> None:
    """Set one field, given as "a.b=value"."""
    name, equals, text = setting.partition("=")
    *path, last = name.split(".")
    if not equals or not all((*path, last)):
        raise ConfigError(f"{setting!r} is no setting; write field=value, as in run.steps=1000.")
    inner: Any = values
    for part in path:
        if inner.get(part) is None:
            inner[part] = {}
        inner = inner[part]
        if not isinstance(inner, dict):
            raise ConfigError(f"{setting!r} sets a field of {part!r}, which is {inner!r} and has none.")
    inner[last] = _parse(text, setting)


def _parse(text: str, where: str) -> Any:
    yaml = _yaml()
    try:
        return yaml.load(text, _loader())
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} is not YAML ({' '.join(str(error).split())}); correct it.") from error


def _loader() -> Any:
    """YAML's safe loader with the numbers and booleans of YAML 1.2, which refuses a field that stands twice."""
    import re

    yaml = _yaml()

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            names = [key.value for key, _ in node.value]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                line = node.start_mark.line + 1
                raise ConfigError(f"The field {twice[0]!r} stands twice in the block at line {line}; remove one.")
            return super().construct_mapping(node, deep)

    boolean, number = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:float"
    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in (boolean, number)]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver(boolean, re.compile("^(?:true|false)$"), list("tf"))
    digits = r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$|^[-+]?\.inf$|^\.nan$"
    Loader.add_implicit_resolver(number, re.compile(digits), list("-+0123456789."))
    return Loader


def _yaml() -> Any:
    try:
        import yaml
    except ImportError as error:
        raise ConfigError("Recipes need PyYAML; install it with: pip install 'jukebox[train]'.") from error
    return yaml
