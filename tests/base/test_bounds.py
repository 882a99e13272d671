"""Every number that can be given has bounds, and what lies beyond them is one clear error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest
import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from urbanln.base.config import Settings, load_settings
from urbanln.base.errors import InputError
from urbanln.base.setting_faults import numbers_of
from urbanln.captions.settings import CaptionSettings
from urbanln.city.meta import Meta
from urbanln.cli.options import a_number
from urbanln.cli.program import app
from urbanln.gather.recipe import Recipe
from urbanln.study.spec import load_study

NUMBERS = (int, float)


def _fields(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        inner = [kind for kind in _kinds(field.annotation) if isinstance(kind, type)]
        models = [kind for kind in inner if issubclass(kind, BaseModel)]
        for kind in models:
            yield from _fields(kind, f"{above}{name}.")
        if not models:
            yield f"{above}{name}", field


def _kinds(annotation: Any) -> Iterator[Any]:
    yield annotation
    for inner in get_args(annotation):
        yield from _kinds(inner)


@pytest.mark.parametrize("model", [Settings, CaptionSettings, Meta, Recipe])
def test_every_number_among_the_settings_has_bounds(model: type[BaseModel]) -> None:
    free = [
        name
        for name, field in _fields(model)
        if any(kind in NUMBERS for kind in _kinds(field.annotation)) and not numbers_of(field)
    ]
    assert not free, f"no lower or no upper bound: {free}"


@pytest.mark.parametrize("model", [Settings, CaptionSettings, Recipe])
def test_every_number_says_what_it_is(model: type[BaseModel]) -> None:
    assert not [name for name, field in _fields(model) if not field.description]


def test_every_number_among_the_options_has_bounds() -> None:
    free, seen = [], 0
    for command in app.registered_commands:
        assert command.callback is not None
        for name, hint in get_type_hints(command.callback, include_extras=True).items():
            kinds = set(_kinds(hint)) & set(NUMBERS)
            for option in getattr(hint, "__metadata__", ()) if kinds else ():
                seen += 1
                guarded = float not in kinds or option.callback is a_number
                if option.min is None or option.max is None or not guarded:
                    free.append(f"{command.callback.__name__} {name}")
    assert seen > 8
    assert not free, f"no lower or no upper bound, or nan passes: {free}"


def test_nan_is_in_no_range() -> None:
    assert a_number(None) is None
    assert a_number(0.5) == 0.5
    with pytest.raises(typer.BadParameter, match="nan is not a number"):
        a_number(float("nan"))


@pytest.mark.parametrize(
    ("given", "bounds"),
    [
        ("train.mu_ramp_epochs=inf", "from 0 to 10,000"),
        ("train.mu_ramp_epochs=nan", "from 0 to 10,000"),
        ("train.seed=10**22", "from 0 to 4,294,967,295"),
        ("train.seed=10000000000000000000000", "from 0 to 4,294,967,295"),
        ("train.seed=-1", "from 0 to 4,294,967,295"),
        ("train.queue_size=1000000000000", "from 0 to 1,048,576"),
        ("model.context=1000000000", "from 0 to 8,192"),
        ("train.lr=0", "above 0 to 1"),
        ("probe.level=1", "above 0 to below 1"),
        ("probe.curve=[1]", "from 4 to 100,000,000"),
        ("cache.pixels_gb=1e300", "from 0 to 1,000,000"),
    ],
)
def test_a_number_out_of_bounds_names_the_setting_the_bounds_and_the_place(given: str, bounds: str) -> None:
    key = given.partition("=")[0]
    with pytest.raises(InputError, match=f"setting '{key}") as caught:
        load_settings(overrides=[given])
    assert caught.value.where == f"--set {key}"
    assert (caught.value.remedy or "").startswith(f"give a number {bounds}: ")


def test_what_json_cannot_say_is_not_sent_to_a_server() -> None:
    base = {"captioners": {"x": {"model": "m"}}}
    with pytest.raises(InputError, match="JSON cannot say this"):
        load_settings(base=base, overrides=["captioners.x.extra_body={a=nan}"], of=CaptionSettings)


def test_seeds_of_a_study_have_bounds(tmp_path: Any) -> None:
    (tmp_path / "s.toml").write_text(
        '[study]\nseeds = [4294967296]\ncities = ["c"]\nreference = "a"\n[variants.a]\n'
    )
    with pytest.raises(InputError, match="whole numbers from 0") as caught:
        load_study(tmp_path / "s.toml")
    assert "4,294,967,295 is the largest" in str(caught.value)
