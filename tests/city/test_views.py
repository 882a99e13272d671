"""Which pictures are meant where nobody said."""

from __future__ import annotations

from pathlib import Path

import pytest

from urbanln.base.config import load_settings
from urbanln.city.views import settle_views, the_view

BOTH = ("satellite", "street")


@pytest.mark.parametrize(
    ("wanted", "there", "meant"),
    [
        ("auto", BOTH, "satellite"),
        ("auto", ("satellite",), "satellite"),
        ("auto", ("street", "street"), "street"),
        ("auto", (), "satellite"),
        ("street", BOTH, "street"),
        ("both", ("street",), "both"),
        ("satellite", ("street",), "satellite"),
    ],
)
def test_the_only_view_is_meant_and_satellite_where_there_are_both(
    wanted: str, there: tuple[str, ...], meant: str
) -> None:
    assert the_view(wanted, there) == meant


def test_a_run_has_a_view_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text('[train]\nview = "street"\n')
    assert the_view("auto", BOTH, model=tmp_path) == "street"
    assert the_view("auto", BOTH, model=str(tmp_path)) == "street"
    assert the_view("satellite", BOTH, model=tmp_path) == "satellite"
    assert the_view("auto", BOTH, model="openai/clip-vit-base-patch16") == "satellite"


def test_that_streets_are_taken_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    the_view("auto", ("street",), where="town")
    assert capsys.readouterr().err == "town: street views are taken, the only pictures there are\n"
    the_view("auto", BOTH, where="town")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("overrides", "there", "train", "embed"),
    [
        ((), BOTH, "satellite", "satellite"),
        ((), ("street",), "street", "street"),
        (("train.view=both",), BOTH, "both", "both"),
        (("train.view=both", "embed.view=street"), BOTH, "both", "street"),
    ],
)
def test_what_is_embedded_is_what_was_trained_on(
    overrides: tuple[str, ...], there: tuple[str, ...], train: str, embed: str
) -> None:
    settled = settle_views(load_settings(overrides=overrides), there)
    assert (settled.train.view, settled.embed.view) == (train, embed)
