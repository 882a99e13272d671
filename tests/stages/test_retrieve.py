"""Pictures and texts found among one another: values against a slow count, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tests.oracles.retrieval import slow_chance
from tests.train.fake_city import caption_of, make_clip, make_corpus, tiny_settings

import urbanln
from urbanln.base.config import Settings, load_settings
from urbanln.base.errors import InputError
from urbanln.base.files import hash_file
from urbanln.captions.captioners.recorded import RecordedCaptioner
from urbanln.captions.run import caption_city
from urbanln.captions.spoken import spoken
from urbanln.captions.table import candidates_table
from urbanln.city.store import City
from urbanln.model.clip import load_clip
from urbanln.stages import recalls
from urbanln.stages.audit import captions_of
from urbanln.stages.recalls import DIRECTIONS, RULES, chance, resample, tally
from urbanln.stages.retrieve import places, retrieve, seek
from urbanln.train.loop import pretrain
from urbanln.train.pairs import normalise_caption


def _settings(**chosen: object) -> Settings:
    return load_settings(base={"retrieve": chosen, "embed": {"precision": "fp32"}})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> City:
    """24 pictures of 24 scenes, three captions each, of which many equal another picture's."""
    city = make_corpus(tmp_path_factory.mktemp("corpus") / "squares", captions=3)
    rows = [
        {"image_id": name, "captioner": f"human{k}", "caption": caption_of(i % 8, k) + "." * (i % 2)}
        for i, name in enumerate(city.images["image_id"])
        for k in range(3 - (i % 5 == 0))
    ]
    city.save_captions(candidates_table(pd.DataFrame(rows)))
    return City.open(city.folder)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip32")


@pytest.mark.parametrize("texts", ["selected", "each", "human2"])
def test_places_of_right_answers_are_those_of_a_slow_count(corpus: City, clip: Path, texts: str) -> None:
    settings = _settings(split="all", texts=texts)
    sought = seek(corpus, settings.retrieve, "satellite")
    found = places(clip, corpus, sought, settings)
    model = load_clip(clip, context=None)
    said = corpus.captions
    said = said[said["selected"]] if texts == "selected" else said
    said = said[said["captioner"] == texts] if texts == "human2" else said
    names = [name for name in corpus.images["image_id"] if name in set(said["image_id"])]
    pairs = [(name, text) for name in names for text in said.loc[said["image_id"] == name, "caption"]]
    assert len(sought.owner) == len(pairs) == {"selected": 24, "each": 67, "human2": 19}[texts]
    with torch.no_grad():
        pixels = [
            model.preprocess(urbanln.city.pictures.read_picture(corpus, f"pictures/{n}.png")) for n in names
        ]
        image = model.encode_image(torch.stack(pixels)).double().numpy()
        text = np.stack([model.encode_text(model.tokenize([t]))[0].double().numpy() for _, t in pairs])
    own = {n: {normalise_caption(t) for m, t in pairs if m == n} for n in names}
    for rule in RULES:

        def right(name: str, pair: tuple[str, str], rule: str = rule) -> bool:
            return name == pair[0] or (rule == RULES[1] and normalise_caption(pair[1]) in own[name])

        good = np.array([[right(name, pair) for pair in pairs] for name in names])
        for direction, query, key, fits in (
            (DIRECTIONS[0], image, text, good),
            (DIRECTIONS[1], text, image, good.T),
        ):
            part = found[found["direction"] == direction]
            near = query @ key.T
            best = np.where(fits, near, -np.inf).max(axis=1, keepdims=True)
            ahead = ((near > best - 1e-6) & ~fits).sum(axis=1)
            assert part[f"ahead {rule}"].tolist() == ahead.tolist()
            assert part[f"right {rule}"].tolist() == fits.sum(axis=1).tolist()
            assert set(part["keys"]) == {len(key)}
            assert part["image_id"].tolist() == (
                names if direction == DIRECTIONS[0] else [n for n, _ in pairs]
            )


def test_chance_is_the_share_over_all_orders() -> None:
    right = [0, 1, 2, 5, 7, 1]
    for k in (1, 5, 10):
        found = chance(np.array(right), np.full(6, 7), k)
        assert found.mean() == pytest.approx(slow_chance(right, 7, k), abs=1e-12)


def test_a_model_that_tells_nothing_apart_is_below_chance(corpus: City, clip: Path) -> None:
    model = load_clip(clip, context=None)
    with torch.no_grad():
        for weights in (model.clip.visual_projection.weight, model.clip.text_projection.weight):
            weights.fill_(1.0)
    found = retrieve(corpus, model, _settings(split="all", texts="each")).table()
    assert (found["recall"] <= found["chance"]).all()


def test_scores_come_with_intervals_over_pictures_and_paired_differences(corpus: City, clip: Path) -> None:
    found = retrieve(corpus, [str(clip), "tiny"], _settings(split="all", texts="each", bootstrap=300))
    table = found.table()
    assert len(table) == 2 * 2 * 2 * 3
    assert ((table["low"] <= table["recall"]) & (table["recall"] <= table["high"])).all()
    own, other = table[table["model"] == str(clip)], table[table["model"] == "tiny"]
    assert own["diff"].isna().all()
    assert other["diff"].to_numpy() == pytest.approx(other["recall"].to_numpy() - own["recall"].to_numpy())
    assert (other["diff_low"] <= other["diff"] + 1e-9).all()
    assert found.facts["models"][0]["context"] == 32
    twice = recalls.scores({"a": _found(corpus, clip), "b": _found(corpus, clip)}, 300)
    assert {(r["diff"], r["diff_low"], r["diff_high"]) for r in twice if "diff" in r} == {(0.0, 0.0, 0.0)}


def _found(corpus: City, clip: Path) -> pd.DataFrame:
    settings = _settings(split="all", texts="each")
    return places(clip, corpus, seek(corpus, settings.retrieve, "satellite"), settings)


def test_intervals_are_those_of_pictures_drawn_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recalls, "_CHUNK", 900)
    rng = np.random.default_rng(1)
    queries = rng.integers(1, 6, 300).astype(float)
    hits = rng.binomial(queries.astype(int), 0.3).astype(float)
    drawn = resample(np.column_stack([queries, hits]), 4000)
    share = drawn[:, 1] / drawn[:, 0]
    slow = [hits[i].sum() / queries[i].sum() for i in rng.integers(300, size=(4000, 300))]
    assert np.quantile(share, [0.025, 0.975]) == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.003)


def test_queries_are_summed_by_picture(corpus: City, clip: Path) -> None:
    found = _found(corpus, clip)
    one = tally(found, DIRECTIONS[1], RULES[0])
    assert one.queries.tolist() == [2.0 if i % 5 == 0 else 3.0 for i in range(24)]
    rows = found[(found["direction"] == DIRECTIONS[1]) & (found["image_id"] == one.image_id[7])]
    assert one.hits[5][7] == (rows[f"ahead {RULES[0]}"] < 5).sum()


def test_a_run_never_looked_at_the_pictures_to_test_on(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = make_corpus(tmp_path / "corpus")
    test = corpus.images.loc[corpus.images["split"] == "test", "path"]
    kept = {path: (corpus.folder / path).read_bytes() for path in test}
    for path in test:
        (corpus.folder / path).write_bytes(b"none may read this")
    run = pretrain(corpus, tiny_settings(clip, epochs=1), tmp_path / "run")
    said = "16 pictures to train on, 4 to validate with, 4 to test on that are not looked at"
    assert f"split as the pictures say: {said}; train.val_fraction plays no part" in capsys.readouterr().err
    for path, content in kept.items():
        (corpus.folder / path).write_bytes(content)
    found = urbanln.retrieve(corpus.folder, run)
    assert found.facts["split"] == "test"
    assert found.facts["pictures"] == found.facts["texts"] == len(test) == 4
    assert not found.facts["models"][0]["seen"]
    for split, seen in (("val", False), ("train", True), ("all", True)):
        assert urbanln.retrieve(corpus, run, _settings(split=split)).facts["models"][0]["seen"] is seen
    assert "which flatters it" in "\n".join(urbanln.retrieve(corpus, run, _settings(split="all")).lines())


def test_what_is_not_there_is_refused(corpus: City, clip: Path, city: City, tmp_path: Path) -> None:
    for how, what in (
        ({"texts": "nobody"}, "no caption is by this captioner"),
        ({"split": "val"}, "not divided"),
    ):
        where = corpus if "texts" in how else city
        with pytest.raises(InputError, match=what):
            retrieve(where, str(clip), _settings(**how))
    assert retrieve(city, str(clip), _settings()).facts["split"] == "all"
    with pytest.raises(InputError, match="a model stands twice"):
        retrieve(corpus, ["tiny", "tiny"])
    with pytest.raises(InputError, match="no such"):
        retrieve(corpus, str(tmp_path / "nowhere"))
    broken = make_corpus(tmp_path / "broken", divided=False)
    (broken.folder / "pictures" / "p03.png").write_bytes(b"")
    found = retrieve(broken, str(clip), _settings())
    assert found.facts["pictures"] == 23
    assert found.facts["left_out"] == {"without a text": 0, "that cannot be read": 1}


def test_equal_captions_of_a_picture_are_as_many_texts_as_were_said(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", pictures=6)
    names = list(corpus.images["image_id"])
    texts = {
        "a": {name: f"a red roof by {name}" for name in names},
        "b": {name: f"a red  roof by {name} " if name != "p01" else "water" for name in names},
        "c": {name: f"a ship and {name}" for name in names},
    }
    # Two equal pictures keep the words that were recorded for each.
    pictures = corpus.folder / "pictures"
    (pictures / "p03.png").write_bytes((pictures / "p02.png").read_bytes())
    hashes = [hash_file(corpus.folder / path) for path in corpus.images["path"]]
    corpus.images = corpus.images.assign(sha256=hashes)
    corpus.save()
    corpus = City.open(corpus.folder)
    caption_city(corpus, [RecordedCaptioner(name, said) for name, said in texts.items()], replace=True)
    corpus = City.open(corpus.folder)
    assert len(corpus.captions) == 6 * 2 + 1
    found = spoken(corpus)
    assert len(found) == 18
    wide = found.pivot(index="image_id", columns="captioner", values="caption")
    assert (wide["a"] == wide["b"]).tolist() == [name != "p01" for name in names]
    assert wide.loc["p01", "b"].lower().startswith("water")
    assert all(name in wide.loc[name, who] for name in ("p02", "p03") for who in "abc")
    assert len(captions_of(corpus)) == 18


def test_where_one_captioner_spoke_nothing_comes_back(tmp_path: Path) -> None:
    corpus = make_corpus(tmp_path / "corpus", pictures=4)
    hashes = [hash_file(corpus.folder / path) for path in corpus.images["path"]]
    corpus.images = corpus.images.assign(sha256=hashes)
    corpus.save()
    said = {name: f"a red roof by {name}" for name in corpus.images["image_id"]}
    caption_city(City.open(corpus.folder), [RecordedCaptioner("a", said)], replace=True)
    found = spoken(City.open(corpus.folder))
    assert found["captioner"].tolist() == ["a"] * 4
