"""A grid of conditions, with and without parts: which variants it makes, what they share, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from urbanln.base.errors import InputError
from urbanln.study.conditions import Gain
from urbanln.study.spec import Study, load_study
from urbanln.study.stages import make_work

STUDIES = Path(__file__).parents[2] / "studies"
TEXT = """
[study]
name = "x"
cities = ["synthetic:16:0"]
predicted = "before"

[common.train]
epochs = 2

[common.simulation]
captioners = 3

[parts.vote]
about = "three against one"
without = { simulation = { captioners = 1 } }

[parts.refinement]
with = { refine = { enabled = true } }
without = { train = { lr = 0.5 } }

[[conditions]]
name = "centre"
at = { false = 0, pairs = "few" }
predicted = { vote = [-0.1, 0.2] }

[[conditions]]
name = "60 % false"
about = "mostly wrong"
at = { false = 60 }
simulation = { untrue = 0.6 }

[[conditions]]
name = "many"
at = { pairs = "many" }
parts = ["vote"]
also = ["synthetic:20:5"]
train = { epochs = 1 }

[variants.base]
pretrain = "none"
"""


def read(folder: Path, text: str = TEXT) -> Study:
    file = folder / "study.toml"
    file.write_text(text, encoding="utf-8")
    return load_study(file)


def test_each_part_is_a_variant_with_and_without(tmp_path: Path) -> None:
    study = read(tmp_path)
    assert [one.name for one in study.variants] == [
        "centre", "centre − vote", "centre + refinement", "centre − refinement",
        "60 % false", "60 % false − vote", "60 % false + refinement", "60 % false − refinement",
        "many", "many − vote", "base",
    ]  # fmt: skip
    assert study.reference == "centre"
    assert study.predicted == "before"
    assert study.gains[0] == Gain(
        "vote", "centre", {"false": 0, "pairs": "few"}, "centre", "centre − vote", (-0.1, 0.2)
    )
    assert study.gains[3] == Gain(
        "refinement", "60 % false", {"false": 60}, "60 % false + refinement", "60 % false − refinement", None
    )
    by_name = {one.name: one for one in study.variants}
    one = by_name["60 % false − vote"].captioning.simulation
    assert (one.captioners, one.untrue) == (1, 0.6), "the part's keys are set on the condition's"
    assert by_name["60 % false"].captioning.simulation.captioners == 3, "and those on the common ones"
    assert by_name["60 % false − refinement"].settings.train.lr == 0.5
    assert by_name["60 % false"].about == "mostly wrong"
    assert "three against one" in by_name["60 % false − vote"].about


def test_what_conditions_share_is_done_once(tmp_path: Path) -> None:
    work = make_work(read(tmp_path))

    def needed(variant: str, kind: str) -> set[str]:
        found = {n for score in work.scores if score.variant == variant for n in work.needed_by(score)}
        return {name for name in found if work.stages[name].kind == kind}

    assert needed("centre", "candidates") < needed("many", "candidates")
    assert len(needed("many", "candidates")) == 2, "another city is described as well"
    assert len(needed("many", "city")) == 2
    assert needed("centre", "vote") == needed("centre − refinement", "vote")
    (trained,) = (work.stages[name] for name in needed("many", "pretrain"))
    assert len(trained.needs) == 4
    assert len(work.stages[next(iter(needed("centre", "pretrain")))].needs) == 2


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('without = { simulation = { captioners = 1 } }', "", "changes nothing"),
        ("without = { simulation = { captioners = 1 } }", "withot = 1", "did you mean 'without'"),
        ("without = { train = { lr = 0.5 } }", "without = { trian = 1 }", "did you mean 'train'"),
        ("at = { false = 60 }", "", "moves one factor"),
        ("at = { false = 60 }", "at = { false = 0 }", "moves one factor"),
        ("at = { false = 60 }", 'at = { false = 60, pairs = "many" }', "moves one factor"),
        ("at = { false = 60 }", "at = { fals = 60 }", "did you mean 'false'"),
        ("at = { false = 60 }", "at = { false = true }", "text or a number"),
        ("at = { false = 60 }", "at = { false = nan }", "text or a number"),
        ('parts = ["vote"]', 'parts = ["votes"]', "different parts"),
        ('parts = ["vote"]', "parts = []", "different parts"),
        ('name = "many"', 'name = "centre"', "a name of its own"),
        ('name = "many"', "", "a name of its own"),
        ("predicted = { vote", "predicted = { votes", "did you mean 'vote'"),
        ("[-0.1, 0.2]", "[0.2, -0.1]", "ends of a range"),
        ("[-0.1, 0.2]", "[0.2]", "ends of a range"),
        ("[-0.1, 0.2]", "[0.2, nan]", "ends of a range"),
        ("[-0.1, 0.2]", '["a", 0.2]', "ends of a range"),
        ("[-0.1, 0.2]", "0.2", "ends of a range"),
        ('also = ["synthetic:20:5"]', "also = 3", "different city folders"),
        ("[variants.base]", "[variants.many]", "name of a condition"),
        ("simulation = { untrue = 0.6 }", "simulation = { untrue = 6 }", "simulation.untrue"),
    ],
)  # fmt: skip
def test_faults_are_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in TEXT
    with pytest.raises(InputError) as caught:
        read(tmp_path, TEXT.replace(old, new, 1))
    assert says in str(caught.value)
    assert "study.toml" in str(caught.value)


def test_parts_without_conditions_and_conditions_without_parts_are_refused(tmp_path: Path) -> None:
    head, tail = TEXT.split("[[conditions]]", 1)
    with pytest.raises(InputError, match="need each other"):
        read(tmp_path, head)
    with pytest.raises(InputError, match="need each other"):
        read(tmp_path, head.split("[parts.vote]")[0] + "[[conditions]]" + tail)


@pytest.mark.parametrize(("name", "trainings"), [("when", 120), ("when-more", 132)])
def test_the_shipped_grid_keeps_to_its_size_and_was_predicted(name: str, trainings: int) -> None:
    study = load_study(STUDIES / f"{name}.toml")
    work = make_work(study)
    assert sum(stage.kind == "pretrain" for stage in work.stages.values()) == trainings
    assert (len(study.cities), len(study.seeds)) == (2, 3)
    assert all(gain.predicted is not None for gain in study.gains)
    assert study.predicted
    assert all(variant.about for variant in study.variants)
