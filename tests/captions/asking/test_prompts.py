"""The prompts of the package, and a user's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from urbanln.base.errors import InputError
from urbanln.captions.asking.prompts import VIEWS, Prompts, prompt_files
from urbanln.captions.cleaning.place_names import PlaceNames

FIELDS = {"description": "D1", "notes": "N1", "rejected": "R1"}
# What is predicted later must not be put into a captioner's mouth.
INDICATORS = re.compile(
    r"\b(population|inhabitants|gdp|economy|economic|income|wealth\w*|rich|poor|poverty|carbon|emissions?|crime|safe\w*|"
    r"night|prices?|expensive|lively|developed|density of people|restaurants?)\b",
    re.IGNORECASE,
)


def rendered(prompts: Prompts) -> dict[str, str]:
    found = {}
    for stage in ("describe", "local", "merge", "repair"):
        for view in VIEWS:
            found[f"{stage} {view}"] = prompts.render(stage, view, **FIELDS).text
    return found


@pytest.mark.parametrize(("name", "text"), rendered(Prompts()).items())
def test_no_prompt_names_a_place_a_coordinate_or_an_indicator(name: str, text: str) -> None:
    assert not INDICATORS.search(text)
    assert not PlaceNames().mentions(text)
    assert not re.search(r"\d+\.\d+|°|latitude|longitude", text)
    assert "{" not in text


def test_fields_are_filled_as_they_are_and_braces_mean_nothing() -> None:
    text = Prompts().render("merge", "street", description="{notes} {0} %s", notes="- a", rejected="b").text
    assert "{notes} {0} %s" in text
    assert text.count("- a") == 1


def test_a_users_file_replaces_one_prompt_and_changes_its_hash(tmp_path: Path) -> None:
    (tmp_path / "local-street.txt").write_text("Say what this is.\n")
    ours, theirs = Prompts(), Prompts(tmp_path)
    assert theirs.render("local", "street").text == "Say what this is."
    assert theirs.render("local", "street").template != ours.render("local", "street").template
    assert theirs.render("local", "satellite") == ours.render("local", "satellite")


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("describe-sky.txt", "Look.", "no prompt has this name"),
        ("describe-street.txt", "  \n", "an empty prompt"),
        ("repair.txt", "Write {description} again.", "exactly these fields"),
        ("local-street.txt", "Look at {picture}.", "exactly these fields"),
        ("local-street.txt", b"\xff\xfe", "UTF-8"),
    ],
)
def test_bad_prompt_files_are_named(tmp_path: Path, file: str, text: str | bytes, said: str) -> None:
    (tmp_path / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=said) as caught:
        Prompts(tmp_path)
    assert file in str(caught.value)


def test_every_stage_and_view_has_a_file() -> None:
    assert len(prompt_files()) == 7
    with pytest.raises(InputError, match="no such folder"):
        Prompts("nowhere")
