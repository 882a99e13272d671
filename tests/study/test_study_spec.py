from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from urbanln.base.errors import ArtefactError, InputError
from urbanln.study.spec import Study, load_study
from urbanln.study.stages import Work, make_work

STUDIES = Path(__file__).parents[2] / "studies"
TEXT = """
[study]
name = "x"
cities = ["synthetic:16:0"]
seeds = [0, 1]
reference = "a"

[common.train]
epochs = 2

[common.probe]
folds = 3

[variants.a]
about = "the reference"

[variants.b]
train = { mu = 0.0 }
"""


def read(folder: Path, text: str, overrides: tuple[str, ...] = ()) -> Study:
    file = folder / "study.toml"
    file.write_text(text, encoding="utf-8")
    return load_study(file, overrides)


def test_a_variant_changes_only_what_it_names(tmp_path: Path) -> None:
    study = read(tmp_path, TEXT, ("common.train.epochs=5", "study.seeds=[7]"))
    a, b = study.variants
    assert (a.settings.train.epochs, b.settings.train.epochs) == (5, 5)
    assert (a.settings.train.mu, b.settings.train.mu) == (0.5, 0.0)
    assert study.seeds == (7,)
    assert study.first is a
    assert study.views == ("satellite",)


def test_nested_tables_of_captioners_are_merged(tmp_path: Path) -> None:
    text = TEXT + 'captioners = { one = { model = "m" } }\n[common.captioners.two]\nmodel = "n"\n'
    b = read(tmp_path, text).variants[1]
    assert set(b.captioning.captioners) == {"one", "two"}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[study]", "[studdy]", "did you mean 'study'"),
        ("seeds = [0, 1]", "seed = [0, 1]", "did you mean 'seeds'"),
        ("seeds = [0, 1]", "seeds = [0, 0]", "different whole numbers"),
        ("seeds = [0, 1]", "seeds = []", "different whole numbers"),
        ('cities = ["synthetic:16:0"]', "cities = []", "city folders"),
        ('reference = "a"', 'reference = "aa"', "did you mean 'a'"),
        ("mu = 0.0", "mue = 0.0", "did you mean 'train.mu'"),
        ("mu = 0.0", "mu = 2.0", "train.mu"),
        ("mu = 0.0", "seed = 2", "study.seeds"),
        ("train = { mu = 0.0 }", "probe = { folds = 2 }", "unknown key 'probe'"),
        ("train = { mu = 0.0 }", 'captions = "voted"', "did you mean 'vote'"),
        ("train = { mu = 0.0 }", 'captions = "single:"', "unknown value"),
        ("train = { mu = 0.0 }", 'pretrain = "some"', "There are: all"),
        ("train = { mu = 0.0 }", "train = 3", "table of keys"),
        ("folds = 3", 'folds = 3\nsplits = ["city"]', "whole cities"),
        (
            "folds = 3",
            'folds = 3\nsplits = ["random"]\n[variants.c]\npretrain = "train-blocks"',
            "block split",
        ),
        ("[variants.a]", "[common.cache]\npixels_gb = 1.0\n[variants.a]", "unknown key 'cache'"),
        ("[variants.a]", "[variants.a", "not TOML"),
    ],
)
def test_faults_are_named(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in TEXT
    with pytest.raises(InputError) as caught:
        read(tmp_path, TEXT.replace(old, new, 1))
    assert says in str(caught.value)
    assert "study.toml" in str(caught.value)


def test_nobody_is_asked_when_the_captions_are_there(tmp_path: Path) -> None:
    text = TEXT.replace('name = "x"', 'captioners = "table"') + "refine = { enabled = true }\n"
    with pytest.raises(InputError, match="nobody is asked"):
        read(tmp_path, text)


@pytest.mark.parametrize("name", ["ablations", "controls", "inductive", "smoke"])
def test_shipped_studies_can_be_planned(name: str) -> None:
    study = load_study(STUDIES / f"{name}.toml")
    trainings = [stage for stage in make_work(study).stages.values() if stage.kind == "pretrain"]
    assert len(trainings) <= 84
    assert all(variant.about for variant in study.variants)


@pytest.mark.parametrize("name", ["rsicd", "rsicd-more", "rsicd-humans", "rsicd-noise", "rsicd-aerial"])
def test_shipped_studies_of_real_data_ask_all_variants_the_same(name: str) -> None:
    study = load_study(STUDIES / f"{name}.toml")
    assert study.first.settings.retrieve.texts == "joined"
    assert all(variant.about for variant in study.variants)
    assert [one.name for one in study.variants if one.pretrain == "none"] or name in (
        "rsicd-more",
        "rsicd-noise",
    )


def ids(work: Work, variant: str, *kinds: str) -> set[str]:
    found = {n for score in work.scores if score.variant == variant for n in work.needed_by(score)}
    return {name for name in found if work.stages[name].kind in kinds}


def test_variants_share_what_they_have_in_common(tmp_path: Path) -> None:
    text = TEXT + '[variants.teacher]\nembed = { encoder = "teacher" }\n[variants.base]\npretrain = "none"\n'
    work = make_work(read(tmp_path, text))
    assert ids(work, "a", "pretrain") == ids(work, "teacher", "pretrain")
    assert ids(work, "a", "vote") == ids(work, "b", "vote")
    assert not ids(work, "a", "pretrain") & ids(work, "b", "pretrain")
    assert not ids(work, "a", "embed", "score") & ids(work, "teacher", "embed", "score")
    assert len(ids(work, "base", "embed")) == 1, "without training the seeds share their vectors"
    assert len(ids(work, "base", "score")) == 2, "but have folds of their own"
    assert not ids(work, "base", "pretrain", "candidates")


@pytest.mark.parametrize(
    ("override", "changed", "kept"),
    [
        ("variants.b.train.lr=0.5", ("pretrain", "embed", "score"), ("city", "candidates", "vote")),
        ("variants.b.embed.normalize=true", ("embed", "score"), ("vote", "pretrain")),
        ("variants.b.clean.refusal=keep", ("candidates", "vote", "pretrain"), ("city",)),
        ("variants.b.vote.mode=legacy", ("vote", "pretrain"), ("candidates",)),
        ("common.probe.block_km=3.0", ("score",), ("pretrain", "embed")),
        ("common.train.workers=1", (), ("pretrain", "score")),
        ("common.model.context=248", (), ("candidates", "vote", "pretrain")),  # what the base comes to
        ("common.model.context=100", ("candidates", "vote", "pretrain"), ("city",)),
        ("common.train.micro_batch=4", (), ("pretrain", "embed", "score")),
        ("common.embed.batch_size=4", (), ("embed", "score")),
        ("common.vote.processes=2", (), ("vote", "score")),
        ("study.name=other", (), ("score",)),
    ],
)
def test_a_setting_changes_the_stages_that_read_it(
    tmp_path: Path, override: str, changed: tuple[str, ...], kept: tuple[str, ...]
) -> None:
    before, after = make_work(read(tmp_path, TEXT)), make_work(read(tmp_path, TEXT, (override,)))
    for kind in changed:
        assert not ids(before, "b", kind) & ids(after, "b", kind), kind
    for kind in kept:
        assert ids(before, "b", kind) == ids(after, "b", kind), kind
    if override.startswith("variants.b"):
        every = ("candidates", "vote", "pretrain", "embed", "score")
        assert ids(before, "a", *every) == ids(after, "a", *every)


def test_settings_that_change_no_result_reach_the_work(tmp_path: Path) -> None:
    overrides = ("common.train.micro_batch=4", "common.embed.batch_size=8")
    work = make_work(read(tmp_path, TEXT, overrides))
    found = {stage.kind: stage.payload for stage in work.stages.values()}
    assert found["pretrain"]["train"]["micro_batch"] == 4
    assert found["embed"]["embed"]["batch_size"] == 8


def test_an_inductive_variant_trains_once_per_fold_and_seed(tmp_path: Path) -> None:
    work = make_work(read(tmp_path, TEXT + '[variants.c]\npretrain = "train-blocks"\n'))
    assert len(ids(work, "c", "pretrain")) == 3 * 2
    assert len(ids(work, "c", "score")) == 2


def test_cities_are_known_by_what_is_in_their_tables(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"synthetic:REGIONS:SEED"):
        make_work(read(tmp_path, TEXT, ('study.cities=["synthetic:16"]',)))
    with pytest.raises(InputError, match=r"no city\.toml"):
        make_work(read(tmp_path, TEXT, (f'study.cities=["{tmp_path}"]',)))
    folder = tmp_path / "town"
    folder.mkdir()
    for name in ("regions.parquet", "indicators.parquet"):
        (folder / name).write_text("1")
    (folder / "city.toml").write_text('name = "town"')
    pd.DataFrame({"view": ["satellite", "street"]}).to_parquet(folder / "images.parquet")
    town = (f'study.cities=["{folder}"]',)
    before = make_work(read(tmp_path, TEXT, town))
    (folder / "indicators.parquet").write_text("2")
    after = make_work(read(tmp_path, TEXT, town))
    assert ids(before, "a", "pretrain") == ids(after, "a", "pretrain"), "labels never meet the network"
    assert not ids(before, "a", "score") & ids(after, "a", "score")
    (folder / "city.toml").write_text('name = "town"\n[indicators.use]\nkind = "classes"')
    kinds = make_work(read(tmp_path, TEXT, town))
    assert ids(kinds, "a", "pretrain") == ids(after, "a", "pretrain")
    assert not ids(kinds, "a", "score") & ids(after, "a", "score"), "another label is scored"
    pd.DataFrame({"view": ["street", "street"]}).to_parquet(folder / "images.parquet")
    streets = make_work(read(tmp_path, TEXT, town))
    trained = [stage.payload["train"] for stage in streets.stages.values() if stage.kind == "pretrain"]
    assert {train["view"] for train in trained} == {"street"}, "the only view there is"
    assert not ids(after, "a", "pretrain") & ids(streets, "a", "pretrain")


def test_a_damaged_table_of_a_city_is_one_error(tmp_path: Path) -> None:
    city = tmp_path / "city"
    city.mkdir()
    (city / "images.parquet").write_bytes(b"PAR1" + bytes(40) + b"PAR1")
    study = read(tmp_path, TEXT.replace("synthetic:16:0", str(city)))
    with pytest.raises(ArtefactError, match="not a readable Parquet"):
        make_work(study)


def test_what_simulated_captioners_are_told_counts_where_they_are_asked(tmp_path: Path) -> None:
    """The defaults, and a detector that nobody asks, change no key: what was made before is still found."""
    text = TEXT + "\n[variants.c]\nrefine = { enabled = true, grounder = 'simulated' }\n"

    def keys(told: str) -> list[set[str]]:
        work = make_work(read(tmp_path, f"{text}\n[common.simulation]\n{told}\n"))
        return [ids(work, name, "candidates") for name in "ac"]

    plain, detector, false = keys(""), keys("detector_finds = 0.5"), keys("untrue = 0.5")
    assert plain[0] == ids(make_work(read(tmp_path, TEXT)), "a", "candidates")
    assert detector[0] == plain[0]
    assert detector[1] != plain[1]
    assert all(one.isdisjoint(other) for one, other in zip(plain, false, strict=True))
