"""Settings that check themselves against their annotations, so that none can be silently wrong.

A field's annotation is its rule, and the command line is made from the same one. What is known here:
`bool`, `int`, `float`, `str`, `Path`, `Literal`, `X | None`, `tuple[X, ...]`, other settings, and
`Annotated[X, Between(low, high)]`. Any other class stands for its instances.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from functools import cache
from numbers import Integral, Real
from os import PathLike, fspath
from pathlib import Path
from reprlib import repr as shorten
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin, get_type_hints

from diffusion2.errors import InputError


@dataclass(frozen=True)
class Between:
    """The range of a number, both ends included: `steps: Annotated[int, Between(1, 100)]`."""

    low: float
    high: float


Share = Annotated[float, Between(0, 1)]


class Settings:
    """Base of every frozen dataclass of settings: its values fit their annotations, or it is not made.

    Values become what their annotations name, so that equal settings are equal in a file, too: a whole number
    where any number may stand becomes a float, a list a tuple, a scalar of numpy Python's own.

    Raises:
        InputError: a value does not fit, or a name is unknown; it says which are known.
    """

    def __new__(cls, *args: Any, **values: Any) -> Self:
        """Refuse names that are not settings, which Python would call unexpected arguments."""
        refuse_unknown(cls, values)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        """Refuse values that do not fit their annotations, or each other."""
        conform_fields(self)
        self.check_together()

    def check_together(self) -> None:
        """Refuse values that do not fit each other; each fits its own annotation by now."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], prefix: str = "") -> Self:
        """Build settings from plain values, as `dataclasses.asdict` or JSON has them.

        A missing value takes its default.

        Args:
            values: by the name of the field; nested settings are mappings.
            prefix: what stands before these names in an error, "sampling." say.

        Raises:
            InputError: a name is unknown, a value without a default is missing, or one does not fit.
        """
        if not isinstance(values, Mapping):
            raise InputError(f"{prefix.rstrip('.') or 'settings'} must be a table, not {shorten(values)}")
        refuse_unknown(cls, values, prefix)
        for field in fields(cls):  # pyright: ignore[reportArgumentType] (subclasses are dataclasses)
            needs_value = field.default is MISSING and field.default_factory is MISSING
            if needs_value and field.name not in values:
                raise InputError(f"the setting {prefix}{field.name} is missing")
        kinds, built = _kinds(cls), {}
        for name, value in values.items():
            kind = kinds[name]
            if isinstance(kind, type) and issubclass(kind, Settings):
                built[name] = kind.from_dict(value, f"{prefix}{name}.")
            else:
                built[name] = conform(prefix + name, value, kind)
        return cls(**built)

    @classmethod
    def names(cls, prefix: str = "") -> list[str]:
        """List all settings, nested ones as "sampling.steps"."""
        found = []
        for name, kind in _kinds(cls).items():
            nested = isinstance(kind, type) and issubclass(kind, Settings)
            found += kind.names(f"{prefix}{name}.") if nested else [prefix + name]
        return found

    def with_texts(self, texts: Mapping[str, str], prefix: str = "") -> Self:
        """Return these settings with others in the place of some, given as text.

        Args:
            texts: what `conform_text` reads, by names as `names` lists them.
            prefix: what stands before these names in an error, "sampling." say.

        Raises:
            InputError: a name is unknown, or a value does not fit.
        """
        parts: dict[str, dict[str, str]] = {}
        for name, text in texts.items():
            first, _, rest = name.partition(".")
            parts.setdefault(first, {})[rest] = text
        refuse_unknown(type(self), parts, prefix)
        changed = {}
        for name, inner in parts.items():
            mine, kind = getattr(self, name), _kinds(type(self))[name]
            if isinstance(mine, Settings):
                changed[name] = mine.with_texts(inner, f"{prefix}{name}.")
            else:
                refuse_unknown(type(self), [f"{name}.{rest}" for rest in inner if rest], prefix)
                changed[name] = conform_text(prefix + name, inner[""], kind)
        return replace(self, **changed)  # pyright: ignore[reportArgumentType] (subclasses are dataclasses)


def conform_fields(instance: Any) -> None:
    """Check all fields of a frozen dataclass against their annotations and keep what `conform` makes of them.

    Raises:
        InputError: a value does not fit.
    """
    for name, kind in _kinds(type(instance)).items():
        object.__setattr__(instance, name, conform(name, getattr(instance, name), kind))


def conform(name: str, value: Any, kind: Any) -> Any:
    """Turn a value into what its annotation names, if nothing is lost by that.

    Args:
        name: of the setting, for the error.
        value: anything.
        kind: an annotation, see the module.

    Raises:
        InputError: the value does not fit.
    """
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        for rule in args[1:]:
            if isinstance(rule, Between) and _is_number(value):
                check_range(name, value, rule.low, rule.high)
        return conform(name, value, args[0])
    if origin in (Union, UnionType):
        (wanted,) = (arg for arg in args if arg is not NoneType)
        return None if value is None else conform(name, value, wanted)
    if origin is Literal:
        return _conform_choice(name, value, args)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise InputError(f"{name} must be a tuple or a list, not {shorten(value)}")
        return tuple(conform(name, item, args[0]) for item in value)
    return _conform_plain(name, value, kind)


def conform_text(name: str, text: str, kind: Any) -> Any:
    """Turn text, as a cell of a table has it, into what an annotation names.

    Numbers and words are as in Python, `true`, `false` and `none` in any case; the items of a tuple are
    separated by blanks.

    Args:
        name: of the setting, for the error.
        text: what the cell says.
        kind: an annotation, see the module.

    Raises:
        InputError: the value does not fit.
    """
    return conform(name, _from_text(text.strip(), kind), kind)


def _from_text(text: str, kind: Any) -> Any:
    """Return the value that text says, or the text itself where it is no such value."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _from_text(text, args[0])
    if origin in (Union, UnionType):
        (wanted,) = (arg for arg in args if arg is not NoneType)
        return None if text.lower() == "none" else _from_text(text, wanted)
    if origin is tuple:
        return tuple(_from_text(item, args[0]) for item in text.split())
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            return text
    return text


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Refuse a number outside a range, both ends included.

    Raises:
        InputError: it names the range.
    """
    if not low <= value <= high:
        raise InputError(f"{name} must lie between {low} and {high}, not {value}")


def refuse_unknown(kind: type, names: Collection[str], prefix: str = "") -> None:
    """Refuse names that no field of a dataclass has.

    Raises:
        InputError: it names the known ones, and the one that was probably meant.
    """
    known = list(_kinds(kind))
    for name in names:
        if name not in known:
            unknown = f"{prefix}{name}" if isinstance(name, str) else shorten(name)
            raise InputError(f"unknown setting {unknown}{closest(name, known)}; known: {', '.join(known)}")


def check_known(kind: str, names: Iterable[str], known: Collection[str]) -> None:
    """Refuse names that a table does not have.

    Args:
        kind: what they are names of, for the error.
        names: what was asked for.
        known: the table's names.

    Raises:
        InputError: it names the known ones, and the one that was probably meant.
    """
    for name in names:
        if name not in known:
            raise InputError(
                f"there is no {kind} {name!r}{closest(name, known)}: choose from {', '.join(known)}"
            )


def closest(wrong: object, known: Collection[str]) -> str:
    """Ask, for an error, whether the known name most alike was meant; "" if none is alike."""
    from difflib import get_close_matches  # late: only an error needs it

    found = get_close_matches(wrong, known, n=1) if isinstance(wrong, str) else []
    return f" (did you mean {found[0]}?)" if found else ""


@cache
def _kinds(kind: type) -> dict[str, Any]:
    """Look up the annotations of a dataclass's fields by name."""
    hints = get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in fields(kind)}


def _conform_choice(name: str, value: Any, choices: tuple[Any, ...]) -> Any:
    if isinstance(value, str) and value in choices:
        return str(value)
    named = " or ".join(filter(None, [", ".join(choices[:-1]), choices[-1]]))
    raise InputError(f"{name} must be {named}, not {shorten(value)}{closest(value, choices)}")


def _conform_plain(name: str, value: Any, kind: type) -> Any:
    """Convert where nothing is lost: to a Python number, or between a path and its name."""
    if kind is int and _is_number(value) and isinstance(value, Integral):
        return int(value)
    if kind is float and _is_number(value) and _is_finite(value):
        return float(value)
    if kind is str and isinstance(value, str | PathLike) and isinstance(fspath(value), str):
        return fspath(value)
    if kind is Path and isinstance(value, str | Path):
        return Path(value)
    if kind not in (int, float, str, Path) and isinstance(value, kind):
        return value
    raise InputError(f"{name} must be {_WORDS.get(kind, kind.__name__)}, not {shorten(value)}")


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


_WORDS = {
    bool: "True or False",
    int: "a whole number",
    float: "a finite number",
    str: "text",
    Path: "a path",
}
