"""Why a prediction is as it is: sums over pictures, those of a slow model, for labels of every kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tests.explore.world import make_content, read_picture, stored
from tests.oracles import parts as slow

from urbanln.base.errors import InputError
from urbanln.base.space import square_blocks
from urbanln.explore.answers import Answers
from urbanln.explore.asking import Asking
from urbanln.explore.content import Column, Content, Vectors
from urbanln.explore.search import VectorSearch
from urbanln.probe.logistic import STRENGTHS, logistic, logits
from urbanln.probe.splits import Fold

USES = ("homes", "shops", "works")
EACH = 3  # pictures of a region
ROW = 14


def make_city(**columns: Any) -> Content:
    """Regions of three pictures in colours of their own; uses and shares go with the colours, not quite."""
    made, rng = make_content(), np.random.default_rng(5)
    n = len(made)
    colours = np.clip(
        np.repeat(rng.integers(20, 230, (n, 3)), EACH, axis=0) + rng.integers(-20, 20, (n * EACH, 3)), 0, 255
    )
    files = [stored(Image.new("RGB", (24, 24), tuple(one))) for one in colours.tolist()]
    pictures = pd.concat([made.pictures] * EACH).sort_values("row", kind="stable").reset_index(drop=True)
    read = np.stack([read_picture(one) for one in files])
    vectors = read.reshape(n, EACH, -1).mean(axis=1)
    bent = 6 * vectors[:, :3] + rng.normal(size=(n, 3))
    use = bent.argmax(axis=1).astype(np.float32)
    use[5] = np.nan
    shares = np.exp(bent) / np.exp(bent).sum(axis=1, keepdims=True)
    found = dict(made.columns)
    for group in ("label", "prediction"):
        found[f"{group}:use"] = Column(
            f"{group}:use", "use", group, use, "", "class", of="use", classes=USES, head="ridge"
        )
        for at, part in enumerate(("young", "middle", "old")):
            values = shares[:, at].astype(np.float32)
            found[f"{group}:{part}"] = Column(
                f"{group}:{part}", part, group, values, of=part, whole="age", head="ridge"
            )
    for key, change in columns.items():
        found[key.replace("_", ":")] = replace(found[key.replace("_", ":")], **change)
    return replace(
        made, columns=found, pictures=pictures, open_picture=lambda at: files[at],
        vectors=Vectors(VectorSearch(vectors), np.arange(n)),
        captions=made.captions.assign(picture=made.captions["picture"] * EACH),
    )  # fmt: skip


@pytest.fixture(scope="module")
def content() -> Content:
    return make_city()


def far_from(content: Content, row: int, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labelled regions that the explanation may learn from, and their inner folds, one by one."""
    metres = content.metres()
    span = np.ptp(metres, axis=0).max()
    known = [
        at
        for at in range(len(content))
        if np.isfinite(values[at]) and np.hypot(*(metres[at] - metres[row])) > 0.1 * span
    ]
    blocks = square_blocks(metres[known], span / 1000 / 5)
    return np.array(known), np.unique(blocks % 5, return_inverse=True)[1]


def test_the_log_odds_of_a_class_are_the_sum_over_pictures_that_a_slow_model_gives(content: Content) -> None:
    found = Asking(Answers(content)).evidence(ROW, "prediction:use")
    use = content.columns["label:use"].values
    known, inner = far_from(content, ROW, use)
    assert content.vectors is not None
    X = np.concatenate([content.vectors.search.vectors[known]]).astype(np.float64)
    rows = np.arange(len(known))
    fold = Fold(rows[inner != inner[0]], rows[inner == inner[0]], rows, inner)
    spread = np.where(X.std(0) > 1e-6, X.std(0), np.inf)
    strength, _ = slow.logistic(X[:, :3], use[known].astype(int), fold, STRENGTHS[:12])
    model = slow._fitted((X - X.mean(0))[:, :3] / spread[:3], use[known].astype(int), strength)
    mine = list(model.classes_).index(use[ROW])

    def odds(vector: np.ndarray) -> np.ndarray:
        return np.asarray(model.decision_function(((vector - X.mean(0)) / spread)[None, :3])[0])

    own = odds(np.asarray(content.vectors.search.vectors[ROW], np.float64))
    rival = max((at for at in range(3) if at != mine), key=lambda at: own[at])
    assert found["of"] == f"the log-odds of {USES[mine]} against {USES[rival]}"
    assert found["total"] == pytest.approx(own[mine] - own[rival], abs=2e-4)
    assert found["sum"][0]["gain"] == pytest.approx(
        model.intercept_[mine] - model.intercept_[rival], abs=2e-4
    )
    read = [read_picture(content.open_picture(EACH * ROW + at)).astype(np.float64) for at in range(EACH)]
    for one, vector in zip(found["sum"][1:], read, strict=True):  # two that are shown, and the other
        lean = odds(vector) - model.intercept_
        assert one["gain"] == pytest.approx((lean[mine] - lean[rival]) / EACH, abs=2e-4)
    # Where the slope of the loss is 0, weights are sums over the rows: of truth less probability.
    Z = (X - X.mean(0)) / spread
    away = np.eye(3)[use[known].astype(int)] - model.predict_proba(Z[:, :3])
    alike = Z @ ((np.asarray(content.vectors.search.vectors[ROW], np.float64) - X.mean(0)) / spread)
    carried = dict(
        zip(known, (away[:, mine] - away[:, rival]) * alike / (strength * len(known)), strict=True)
    )
    ranked = sorted(carried, key=lambda row: -carried[row])
    assert [one["row"] for one in found["regions"]] == [*ranked[:3], *ranked[-3:]]
    for one in found["regions"]:
        assert one["label"] == USES[int(use[one["row"]])]
        assert one["gain"] == pytest.approx(carried[one["row"]], abs=2e-3)
    assert [one["text"] for one in found["sum"][1:]] == [
        "picture 1 of 3",
        "picture 2 of 3",
        "the other picture",
    ]


@pytest.mark.parametrize("key", ["prediction:price", "prediction:use", "prediction:middle"])
def test_what_is_summed_is_the_prediction_and_a_gain_is_what_it_loses(content: Content, key: str) -> None:
    found = Asking(Answers(content)).evidence(ROW, key)
    assert sum(one["gain"] for one in found["sum"]) == pytest.approx(found["total"], abs=1e-6)
    assert len(found["parts"]) == 2 * 9
    # All nine parts of a picture grey are a grey picture: a linear model loses with it what the nine lose.
    by = {one["picture"]: 0.0 for one in found["parts"]}
    for one in found["parts"]:
        by[one["picture"]] += one["gain"]
    first = EACH * ROW
    pictures = list(range(first, first + EACH))
    grey = stored(Image.new("RGB", (24, 24), (127, 127, 127)))
    changed = replace(
        content, open_picture=lambda at: grey if at == pictures[0] else content.open_picture(at)
    )
    other = Asking(Answers(changed)).evidence(ROW, key)
    lost = found["sum"][1]["gain"] - other["sum"][1]["gain"]
    assert by[f"p{first}"] == pytest.approx(lost, abs=1e-4)


@pytest.mark.parametrize(
    ("key", "close"), [("prediction:price", 1e-6), ("prediction:use", 1e-4), ("prediction:middle", 1e-4)]
)
def test_what_lies_above_the_mean_is_the_sum_over_all_regions_learned_from(
    content: Content, key: str, close: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a ridge exactly, of a logistic regression as far as its fit has converged."""
    few = Asking(Answers(content)).evidence(ROW, key)
    above = few["total"] - few["sum"][0]["gain"]
    assert len(few["regions"]) == 6
    told = sum(one["gain"] for one in few["regions"])
    assert told + few["others"]["gain"] == pytest.approx(above, abs=1e-9)
    monkeypatch.setattr("urbanln.explore.leaning._FEW", 1000)
    every = Asking(Answers(content)).evidence(ROW, key)
    assert len({one["row"] for one in every["regions"]}) == len(every["regions"])
    assert every["others"]["count"] < 3, "but those that give exactly nothing"
    assert every["others"]["gain"] == pytest.approx(0, abs=close)


def test_a_share_is_held_against_the_largest_other_part(content: Content) -> None:
    asking = Asking(Answers(content))
    found = {part: asking.evidence(ROW, f"prediction:{part}") for part in ("young", "middle", "old")}
    rivals = {part: one["of"].rpartition(" ")[2] for part, one in found.items()}
    (pair,) = {tuple(sorted(pair)) for pair in rivals.items() if rivals[pair[1]] == pair[0]}
    first, second = sorted(pair, key=lambda part: found[part]["total"])
    smallest = next(part for part in found if part not in pair)
    assert found[second]["of"] == f"the log-ratio of {second} against {first}"
    assert found[second]["total"] > 0
    assert found[second]["total"] == pytest.approx(-found[first]["total"], abs=1e-9)
    assert "the next large part" in found[second]["note"]
    assert rivals[smallest] == second, "the largest of all"
    assert "the largest part" in found[smallest]["note"]


def test_logits_are_what_the_softmax_is_taken_of() -> None:
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(60, 4)), np.eye(3)[rng.integers(0, 2, 60)]  # the third never occurs
    fold = Fold(np.arange(30), np.arange(30, 45), np.arange(45, 60))
    made = logits(X, y, fold)
    assert (made[:, 2] == -np.inf).all()
    parts = np.exp(made) / np.exp(made).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(parts, logistic(X, y, fold), atol=1e-12)


def test_a_class_that_the_model_would_not_say_itself_is_told_so(content: Content) -> None:
    asking = Asking(Answers(content))
    said = asking.evidence(ROW, "prediction:use")["of"].split()
    likely = USES.index(said[3])
    values = np.full(len(content), float(USES.index(said[5])), np.float32)
    shown = Asking(Answers(make_city(prediction_use={"values": values})))
    found = shown.evidence(ROW, "prediction:use")
    assert found["of"] == f"the log-odds of {said[5]} against {USES[likely]}"
    assert found["total"] < 0
    assert "the most likely class, which it would say itself" in found["note"]


def test_what_another_head_or_the_map_predicted_is_said_and_not_explained_as_if_it_were_linear() -> None:
    city = make_city(prediction_use={"head": "mlp"}, prediction_price={"head": "none"})
    asking = Asking(Answers(city))
    found = asking.evidence(ROW, "prediction:use")
    assert found["note"].startswith(
        "What is shown was predicted by mlp, which is no sum of what pictures give"
    )
    assert "A multinomial logistic regression gives" in found["note"]
    plain = asking.evidence(ROW, "prediction:price")
    assert set(plain) == {"note"}
    assert "no picture is in them" in plain["note"]


def test_what_cannot_be_explained_says_why(content: Content) -> None:
    asking = Asking(Answers(content))
    with pytest.raises(InputError, match="nothing to explain"):
        asking.evidence(5, "prediction:use")  # no prediction there
    rare = content.columns["label:use"].values.copy()
    rare[:] = 0
    rare[ROW] = 1
    alone = Asking(Answers(make_city(label_use={"values": rare}, prediction_use={"values": rare})))
    with pytest.raises(InputError, match="too few classes"):
        alone.evidence(ROW, "prediction:use")


def test_a_region_tells_its_predicted_class_by_name_and_how_it_turned_out() -> None:
    outcome = np.ones(36, np.float32)
    city = make_city()
    error = Column(
        "error:use",
        "use: right?",
        "error",
        outcome,
        "",
        "class",
        of="use",
        classes=("wrong", "right", "near"),
    )
    size = Column("width:use", "use: classes in the set", "width", outcome + 1, kind="count", of="use")
    answers = Answers(replace(city, columns={**city.columns, "error:use": error, "width:use": size}))
    (told,) = [one for one in answers.region(ROW)["predictions"] if one.get("kind") == "class"]
    use = float(city.columns["label:use"].values[ROW])
    assert (told["label"], told["truth"], told["prediction"]) == ("use", use, use)
    assert (told["outcome"], told["in_set"]) == (1.0, 2.0)
