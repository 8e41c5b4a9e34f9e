"""Every setting of every class refuses what does not fit its annotation, and keeps what does."""

import ast
import importlib
import json
import math
from dataclasses import asdict, fields, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import diffusion2
from diffusion2.config import Between, GenerateSettings, SamplingSettings, Settings
from diffusion2.errors import InputError

SOURCE = Path(diffusion2.__file__).parent


def find_classes() -> list[type[Settings]]:
    """Every class whose name ends in Settings, wherever it is."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = [n.name for n in tree.body if isinstance(n, ast.ClassDef) and n.name.endswith("Settings")]
        if names:
            module = ".".join(["diffusion2", *path.relative_to(SOURCE).with_suffix("").parts])
            found += [getattr(importlib.import_module(module), name) for name in names]
    return [kind for kind in found if kind is not Settings]


CLASSES = find_classes()
REQUIRED = {  # values for the settings that have no default
    "LoopSettings": {"minutes": 1.0},
    "TrainSettings": {
        "part": "video",
        "assets": "models",
        "cache": "cache",
        "loop": next(c for c in CLASSES if c.__name__ == "LoopSettings")(minutes=1.0),
    },
}
FIELDS = [(kind, field.name) for kind in CLASSES for field in fields(kind)]
# what fits their annotations alone may not fit the other settings
TIED = {"sigma_min", "sigma_max", "steps", "rollback_steps", "guidance_sigma_low", "guidance_sigma_high"}
TIED |= {"time_layer", "deformation_depth", "depth", "views", "azimuths_deg", "methods", "creatures"}
TIED |= {"tasks", "seeds", "sigmas", "lengths", "table_sigmas", "sampling"}


def make(kind: type[Settings], **changes: Any) -> Settings:
    return kind(**{**REQUIRED.get(kind.__name__, {}), **changes})


def annotation_of(kind: type[Settings], name: str) -> Any:
    return get_type_hints(kind, include_extras=True)[name]


def wrong_values(kind: Any) -> st.SearchStrategy[Any]:
    """Values that an annotation does not allow."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        (between,) = [rule for rule in args[1:] if isinstance(rule, Between)]
        low, high = between.low, between.high
        outside = st.floats(max_value=low, exclude_max=True) | st.floats(min_value=high, exclude_min=True)
        whole = st.integers(max_value=math.ceil(low) - 1) | st.integers(min_value=math.floor(high) + 1)
        return wrong_values(args[0]) | whole | (st.nothing() if args[0] is int else outside)
    if origin in (Union, UnionType):
        (wanted,) = (arg for arg in args if arg is not NoneType)
        return wrong_values(wanted).filter(lambda value: value is not None)
    if origin is Literal:
        names = st.text().filter(lambda value: value not in args)
        return names | st.sampled_from([arg.title() for arg in args]) | st.sampled_from([None, 0, True, ()])
    if origin is tuple:
        wrong_items = wrong_values(args[0]).map(lambda item: (item,))
        return wrong_items | st.sampled_from([None, 3, "text", {"a": 1}, {1.0}])
    if origin is None and issubclass(kind, Settings):
        return st.sampled_from([None, "mini", {}, SOURCE, 3])
    never = {
        bool: [None, 0, 1, 1.0, "True", np.True_],
        int: [None, 1.5, 2.0, True, "3", float("nan"), float("inf"), 1j, np.float32(2)],
        float: [None, True, "1.0", float("nan"), float("inf"), -float("inf"), 1j, 10**400, [1.0]],
        str: [None, 0, 1.5, b"text", ["text"]],
        Path: [None, 0, b"path", ["path"]],
    }
    return st.sampled_from(never[kind])


def right_values(kind: Any) -> st.SearchStrategy[Any]:
    """Values that an annotation allows, in every form in which they may come."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        (between,) = [rule for rule in args[1:] if isinstance(rule, Between)]
        wanted = get_args(args[0]) or (args[0],)
        whole = st.integers(math.ceil(between.low), math.floor(between.high))
        numbers = whole if int in wanted else whole | st.floats(between.low, between.high)
        return numbers | st.none() if NoneType in wanted else numbers
    if origin in (Union, UnionType):
        return st.none() | st.one_of(right_values(arg) for arg in args if arg is not NoneType)
    if origin is Literal:
        return st.sampled_from(args)
    if origin is tuple:
        return st.lists(right_values(args[0]), max_size=3)
    if origin is None and issubclass(kind, Settings):
        return st.just(make(kind))
    return {bool: st.booleans(), float: st.floats(-1e9, 1e9), str: st.text(), Path: st.just("folder")}[kind]


def test_all_classes_of_settings_check_themselves():
    assert len(CLASSES) >= 11
    assert all(issubclass(kind, Settings) for kind in CLASSES)


@pytest.mark.parametrize(("kind", "name"), FIELDS, ids=[f"{k.__name__}.{n}" for k, n in FIELDS])
@settings(max_examples=10)
@given(data=st.data())
def test_what_does_not_fit_is_refused_by_name(kind, name, data):
    value = data.draw(wrong_values(annotation_of(kind, name)))
    with pytest.raises(InputError, match=rf"^{name} must ") as refused:
        make(kind, **{name: value})
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("kind", "name"),
    [pair for pair in FIELDS if pair[1] not in TIED],
    ids=[f"{k.__name__}.{n}" for k, n in FIELDS if n not in TIED],
)
@settings(max_examples=10)
@given(data=st.data())
def test_what_fits_survives_plain_values_and_back(kind, name, data):
    made = make(kind, **{name: data.draw(right_values(annotation_of(kind, name)))})
    assert kind.from_dict(asdict(made)) == made == replace(made)
    assert kind.from_dict(json.loads(json.dumps(asdict(made), default=str))) == made


@pytest.mark.parametrize("kind", CLASSES)
def test_defaults_fit_and_are_what_their_annotations_name(kind):
    made = make(kind)
    assert kind.from_dict(asdict(made)) == made
    again = kind(**{field.name: getattr(made, field.name) for field in fields(kind)})
    types = [(type(getattr(made, f.name)), type(getattr(again, f.name))) for f in fields(kind)]
    assert all(before is after for before, after in types)


@pytest.mark.parametrize("kind", CLASSES)
def test_a_misspelt_setting_is_refused_with_the_known_names(kind):
    known = fields(kind)[-1].name
    for refused in (
        lambda: make(kind, **{known + "s_": 1}),
        lambda: kind.from_dict({**asdict(make(kind)), known + "s_": 1}),
        lambda: replace(make(kind), **{known + "s_": 1}),
    ):
        with pytest.raises(InputError, match=f"unknown setting {known}s_ .did you mean {known}.*known: .*"):
            refused()


def test_whole_numbers_of_any_kind_are_kept_as_pythons_own():
    made = SamplingSettings(steps=np.int64(4), rollback_steps=1, sigma_max=np.float32(80), rho=5)
    assert [type(value) for value in (made.steps, made.sigma_max, made.rho)] == [int, float, float]
    assert GenerateSettings(views=2, azimuths_deg=[np.float64(90), 360]).azimuths_deg == (90.0, 360.0)
    assert json.loads(json.dumps(asdict(made)))["rho"] == 5.0


def test_a_setting_without_default_must_be_there():
    loop = next(kind for kind in CLASSES if kind.__name__ == "LoopSettings")
    with pytest.raises(InputError, match="the setting minutes is missing"):
        loop.from_dict({"rate": 1.0})
