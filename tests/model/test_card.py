"""Every saved model says what it is, and remembers where it comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from urbanln.model.card import Section, Training, licence_of, model_card, retold
from urbanln.model.clip import load_clip


def _front(card: str) -> list[str]:
    return card.split("---\n")[1].splitlines()


def test_a_card_lies_in_every_saved_folder_and_its_origin_is_kept(tmp_path: Path) -> None:
    model = load_clip("tiny")
    assert model.origin == {"base": "tiny", "licence": "apache-2.0"}  # by its own card
    model.origin["licence"] = "MIT"
    folder = model.save(tmp_path / "saved")
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "license: mit" in _front(card)
    assert "library_name: transformers" in _front(card)
    assert f"| dimensions | {model.dim} |" in card
    assert "Of 77 text positions the first 20 were kept, the others stretched 4 times." in card
    again = load_clip(folder, context=None)
    assert again.origin == {"base": "tiny", "licence": "MIT"}
    assert str(tmp_path) not in card
    # Another tool that saves the folder anew leaves our own file behind.
    (folder / "urbanln.json").unlink()
    assert load_clip(folder, context=None).origin == again.origin
    assert json.loads((folder / "config.json").read_text())["urbanln"]["origin"] == again.origin


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("---\r\ntags: [a]\r\nlicense: 'cc-by-4.0'\r\n---\n# X", "cc-by-4.0"),
        ("# X\nlicense: mit\n", ""),
        ("---\ntags: [a]\n---\nlicense: mit\n", ""),
        ("---\nlicense: ", ""),
        ("\x00" * 2_000_000, ""),
    ],
)
def test_a_licence_is_read_off_the_front_of_a_card(text: str, licence: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(text, encoding="utf-8", newline="")
    assert licence_of(tmp_path) == licence
    assert licence_of(tmp_path / "nowhere") == ""


@pytest.mark.parametrize(("context", "long"), [(None, False), (248, True)])
def test_only_a_model_of_more_positions_is_said_to_read_long_captions(
    context: int | None, long: bool, tmp_path: Path
) -> None:
    card = (load_clip("tiny", context=context).save(tmp_path / "saved") / "README.md").read_text()
    assert ("# A CLIP that reads long captions" in card) == long
    assert ("long-captions" in card) == long


def test_scores_in_a_card_are_no_markup_and_their_yaml_holds_any_word() -> None:
    name = "al|pha \U0001f600 \x7f \u2028 \x1b[2J <b> \n---\nlicense: mit"
    result = {"task": {"type": "t"}, "dataset": {"name": name}, "metrics": [{"value": 0.5}]}
    section = Section(name, ("label", "R²"), [[name, ".50"]], [name], [result])
    before = model_card({"text positions": "77"}, "Kept.", {"base": "x"})
    card = retold(before, opened_by="By hand.", library="mine", sections=[section], name=name)
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["model-index"] == [{"name": name, "results": [result]}]
    assert (front["library_name"], front.get("license")) == ("mine", None)
    assert "\x1b" not in card
    assert "<b>" not in card.split("---\n", 2)[2].replace("\\<b\\>", "")
    assert "Written by urbanln" in card
    assert "By hand." in card
    assert "CLIPModel" not in card
    assert card.count("## Limits") == 1
    assert card.index("## Scores") < card.index("## Limits")
    # Told anew, the scores take the place of those before; without new ones they stay.
    other = retold(card, opened_by="x", library="y", sections=[Section("Other", ("a",), [["b"]])])
    assert "Other" in other
    assert "al\\|pha" not in other
    assert "model-index" not in other
    assert "al\\|pha" in retold(card, opened_by="x", library="y")


def test_a_card_tells_the_training_and_holds_no_markup_of_others() -> None:
    training = Training(
        [{"name": "A|b <script>\x1b[2J", "pictures": "12", "sources": "tiles, CC-BY"}],
        {"train": {"lr": 1e-5}},
        {"loss": 1.23456},
    )
    card = model_card({"dimensions": "8"}, "Kept.", {"base": "x", "licence": "ask me: no"}, training)
    assert "<script>" not in card
    assert "\x1b" not in card
    assert r"A\|b \<script\>" in card
    assert "| train.lr | 1e-05 |" in card
    assert "| loss | 1.235 |" in card
    assert not any(line.startswith("license") for line in _front(card))  # no short name that hubs know
    assert "ask me: no" in card
    assert "No licence of the base model was given" not in card
    assert "No licence of the base model was given" in model_card({}, "Kept.", {"base": "x"})
