"""Commands as others may read them: nothing of whose machine it was, and the settings whatever gave them."""

from __future__ import annotations

from pathlib import Path

import pytest

from urbanln.base.commands import command_line, settings_given


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("city", "city"),
        ("sub/x.parquet", "sub/x.parquet"),
        ("/home/me/x.parquet", "x.parquet"),
        ("ours=/home/me/x.parquet#A*,B", "'ours=x.parquet#A*,B'"),
        ("~/x.parquet", "x.parquet"),
        ("ours=a/../../me/x.parquet", "ours=x.parquet"),
        ("C:\\Users\\me\\x.parquet", "x.parquet"),
        ("s3://key:secret@host/me/x.parquet?sig=1", "x.parquet"),
        ("/", "'…'"),
        ("lon,lat", "lon,lat"),
        ('probe.heads=["a/b"]', "'probe.heads=[\"a/b\"]'"),
        ("a town", "'a town'"),
    ],
)
def test_of_a_file_from_elsewhere_its_name_alone_is_told(given: str, told: str) -> None:
    assert command_line("probe", [given], {}).removeprefix("urbanln probe ") == told


def test_options_stand_as_they_were_given() -> None:
    options = {"--vectors": ["a=x.csv", "b=y.csv"], "--key": [], "--baseline": None, "--replace": True}
    options |= {"--audit": False, "--decimal": "", "--out": Path("/tmp/scores"), "--seeds": 0}
    assert command_line("probe", [Path("town")], options) == (
        "urbanln probe town --vectors a=x.csv --vectors b=y.csv --replace --out scores --seeds 0"
    )


def test_settings_given_are_those_that_are_not_the_default() -> None:
    default = {"seeds": 5, "heads": ["ridge"], "joint": True, "transform": "auto", "edge": 5.0}
    chosen = {"seeds": 5, "heads": ["ridge", "mlp"], "joint": False, "transform": "log", "edge": 2.5}
    assert settings_given("probe", chosen, default) == [
        'probe.heads=["ridge", "mlp"]', "probe.joint=false", "probe.transform=log", "probe.edge=2.5",
    ]  # fmt: skip
