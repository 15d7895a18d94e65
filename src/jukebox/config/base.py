"""What every configuration is: a frozen dataclass that checks itself when built, to and from JSON."""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar

from jukebox.errors import ConfigError, FieldError

AnyConfig = TypeVar("AnyConfig", bound="Config")


def require(holds: bool, owner: object, name: str, expectation: str) -> None:
    """Raise ConfigError with the value of the field `name` of `owner`, unless something holds."""
    if not holds:
        raise _wrong(type(owner), name, f"is {getattr(owner, name)!r}; expected {expectation}.")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Base of every configuration: JSON in both directions, with unknown and ill-typed fields refused by name.

    `called` is what a person who has never seen the class knows it by: "a part"; "" where the fields say enough.
    """

    _called = None

    def __init_subclass__(cls, called: str | None = None) -> None:
        cls._called = called

    def to_json(self) -> str:
        """The configuration as indented JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls: type[AnyConfig], text: str) -> AnyConfig:
        """The configuration that `to_json` wrote; raises ConfigError naming what is wrong."""
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"The configuration is not JSON ({error}); restore the file.") from error
        return cls.from_dict(values)

    @classmethod
    def from_dict(cls: type[AnyConfig], values: Any) -> AnyConfig:
        """The configuration with these field values; nested configurations are dictionaries."""
        if not isinstance(values, dict):
            raise ConfigError(f"{_whole(cls)} is {values!r}; expected an object with named fields.")
        kinds = typing.get_type_hints(cls)
        unknown = sorted(set(values) - set(kinds))
        if unknown:
            raise ConfigError(f"{_whole(cls)} has no field {unknown[0]!r}; its fields are {', '.join(sorted(kinds))}.")
        missing = [
            f.name
            for f in dataclasses.fields(cls)
            if f.name not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
        ]
        if missing:
            raise ConfigError(f"{_whole(cls)} lacks the field {missing[0]!r}; give it a value.")
        read = {name: _read(kinds[name], value, partial(_wrong, cls, name)) for name, value in values.items()}
        return cls(**read)


_KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}


def _whole(kind: type) -> str:
    """What a configuration is called, as the beginning of a sentence."""
    called = getattr(kind, "_called", None) or kind.__name__
    return called[0].upper() + called[1:]


def _field(kind: type, name: str) -> str:
    """What a field is called."""
    called = getattr(kind, "_called", None)
    return f"{kind.__name__}.{name}" if called is None else f"{name} of {called}" if called else name


def _wrong(kind: type, name: str, said: str) -> FieldError:
    """The mistake in a field."""
    return FieldError(name, _field(kind, name), said)


def _read(kind: Any, value: Any, wrong: Callable[[str], ConfigError]) -> Any:
    """`value` from JSON as an instance of the annotated `kind`; `wrong` makes the error, of what is to be said."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        (kind,) = (k for k in arguments if k is not type(None))
        return _read(kind, value, wrong)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise wrong(f"is {value!r}; expected a list.")
        return tuple(_read(arguments[0], item, wrong) for item in value)
    if origin is Literal:
        if value not in arguments:
            raise wrong(f"is {value!r}; expected one of {', '.join(map(repr, arguments))}.")
        return value
    if isinstance(kind, type) and issubclass(kind, Config):
        return kind.from_dict(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise wrong(f"is {value!r}; expected {_KINDS.get(kind, kind.__name__)}.")
    if kind is float and not math.isfinite(value):
        raise wrong(f"is {value!r}; expected a finite number.")
    return value
