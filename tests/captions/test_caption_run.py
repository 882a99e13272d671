"""Captioning a whole city."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from shapely.geometry import Point

from urbanln.base import locks
from urbanln.base.errors import InputError, StorageError
from urbanln.base.files import hash_bytes, table_note
from urbanln.captions import run
from urbanln.captions.asking.ledger import Ledger
from urbanln.captions.asking.ledger_place import has_ledger
from urbanln.captions.captioners.base import Answer, Ask, Identity, LastingFault, Limits, Picture
from urbanln.captions.captioners.named import choose_captioners
from urbanln.captions.run import NotDescribed, caption_city, plan_city
from urbanln.captions.settings import CaptionerSettings, CaptionSettings, VoteSettings
from urbanln.city.meta import Meta
from urbanln.city.store import City


def make_city(folder: Path, n: int = 4) -> City:
    """Regions with a satellite tile and a street view each, of random blocks of colour."""
    rng = np.random.default_rng(0)
    rows = []
    for view in ("satellite", "street"):
        (folder / view).mkdir(parents=True)
        for at in range(n):
            path = folder / view / f"{at}.png"
            blocks = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            Image.fromarray(blocks).resize((48, 48), Image.Resampling.NEAREST).save(path)
            rows.append(
                {
                    "image_id": f"{view}{at}",
                    "region_id": f"r{at}",
                    "view": view,
                    "path": f"{view}/{at}.png",
                    "lon": 8.0,
                    "lat": 47.0,
                    "captured": None,
                    "source": None,
                    "licence": None,
                    "sha256": hash_bytes(path.read_bytes()),
                }
            )
    ids = [f"r{at}" for at in range(n)]
    shapes = [Point(8 + at / 100, 47) for at in range(n)]
    regions = gpd.GeoDataFrame({"region_id": ids}, geometry=shapes, crs="EPSG:4326")
    labels = pd.DataFrame({"region_id": ids, "y": np.arange(n, dtype=float)})
    images = pd.DataFrame(rows)
    return City.create(folder, meta=Meta(name="Test"), regions=regions, images=images, indicators=labels)


class Says:
    """A captioner for tests: its name and the image's id, or a text of its own."""

    prompted = False
    remote: str | None = None
    sources: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, name: str, only: str = "", text: str | None = None, revision: str = "") -> None:
        self.only, self.text = only, text
        self.identity, self.limits = Identity(name, revision or str(text)), Limits(concurrency=2)
        self.asked: list[str] = []

    def prepare(self, pictures: Sequence[Picture]) -> list[str]:
        return [f"{self.identity.name} saw {len(pictures)}"]

    async def answer(self, ask: Ask) -> Answer | None:
        self.asked.append(ask.picture.image_id)
        if self.only and ask.picture.view != self.only:
            return None
        return Answer(self.text or f"{self.identity.name} of {ask.picture.image_id}.", "stop")

    async def close(self) -> None:
        self.asked.append("closed")


NO_VOTE = CaptionSettings(vote=VoteSettings(enabled=False))


def test_all_pictures_by_all_captioners_in_order(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c")
    captioners = [Says("x"), Says("y", only="street")]
    report = caption_city(city, captioners, settings=NO_VOTE, count_tokens=lambda t: [100] * len(t))
    table = City.open(tmp_path / "c").captions
    assert list(table["image_id"].unique()) == list(city.images["image_id"])
    assert list(table.loc[table["image_id"] == "street1", "caption"]) == ["x of street1.", "y of street1."]
    assert set(table.loc[table["selected"], "captioner"]) == {"x"}
    assert report.per_captioner == {"x": 8, "y": 4}
    assert report.asked.nothing == {"y": 4}
    text = "\n".join(report.lines())
    assert "100.0% over 77, 0.0% over 248" in text
    assert "x saw 8" in text
    assert report.shared == 0.0
    assert all(captioner.asked[-1] == "closed" for captioner in captioners)


def test_captioners_that_run_at_once_all_find_their_way_into_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second comes to its end between the first one's reading of the table and its writing."""
    city, clean, who = make_city(tmp_path / "c"), run.clean_captions, locks.holder
    at_the_table = threading.Event()

    def second() -> None:
        try:
            caption_city(City.open(city.folder), [Says("b")], settings=NO_VOTE)
        finally:
            at_the_table.set()

    def waits_for(place: Path) -> str:
        at_the_table.set()
        return who(place)

    def clean_meanwhile(*given: Any, **how: Any) -> Any:
        monkeypatch.setattr(run, "clean_captions", clean)
        other.start()
        at_the_table.wait()
        return clean(*given, **how)

    other = threading.Thread(target=second)
    monkeypatch.setattr(locks, "holder", waits_for)
    monkeypatch.setattr(run, "clean_captions", clean_meanwhile)
    caption_city(city, [Says("a")], settings=NO_VOTE)
    other.join()
    table = City.open(city.folder).captions
    assert table["captioner"].value_counts().to_dict() == {"a": 8, "b": 8}
    assert "waiting for another process that writes the captions" in capsys.readouterr().err


def test_captions_of_others_are_kept_and_the_same_captioners_replaced(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c")
    caption_city(city, [Says("x", text="An old text."), Says("y")], settings=NO_VOTE)
    report = caption_city(city, [Says("z"), Says("x", text="A new text.")], settings=NO_VOTE, limit=3)
    table = city.captions.set_index(["image_id", "captioner"])["caption"]
    assert report.n_images == 3
    assert "captions that were there: 13 kept, 3 replaced" in report.remarks
    assert table["satellite0"].to_dict() == {
        "x": "A new text.",
        "y": "y of satellite0.",
        "z": "z of satellite0.",
    }
    assert table["satellite3"].to_dict() == {"x": "An old text.", "y": "y of satellite3."}
    assert list(table["satellite0"].index) == ["x", "y", "z"]
    caption_city(city, [Says("z")], replace=True)
    assert set(city.captions["captioner"]) == {"z"}


def test_equal_captions_on_many_pictures_are_reported(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c")
    report = caption_city(city, [Says("x", only="street", text="Boilerplate.")])
    assert report.shared == 1.0
    assert report.table["selected"].sum() == 4


def test_nothing_is_asked_twice_and_another_revision_is_asked_anew(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c")
    first, again, other = Says("x"), Says("x"), Says("x", revision="2")
    caption_city(city, [first])
    before = city.captions
    report = caption_city(city, [again])
    assert len(first.asked) == 9
    assert again.asked == ["closed"]
    assert report.asked.counts["x"].from_ledger == 8
    pd.testing.assert_frame_equal(city.captions, before)
    caption_city(city, [other])
    assert len(other.asked) == 9
    with Ledger(city.folder) as ledger:
        assert len(ledger.texts()) == 16


def test_corrupt_pictures_are_left_out_and_the_rest_goes_on(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c")
    (tmp_path / "c/satellite/0.png").write_bytes(b"")
    whole = (tmp_path / "c/street/2.png").read_bytes()
    (tmp_path / "c/street/2.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "c/street/3.png").unlink()
    report = caption_city(city, choose_captioners("measured"))
    assert [line.split(":")[0] for line in report.skipped] == [
        "satellite/0.png",
        "street/2.png",
        "street/3.png",
    ]
    assert len(city.captions) == 5
    assert report.asked.nothing == {}
    assert "3 pictures left out" in "\n".join(report.lines())


def test_nothing_described_is_an_error_and_the_old_captions_stay(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c", n=1)
    caption_city(city, [Says("x")])
    for path in (tmp_path / "c").glob("*/0.png"):
        path.write_text("no picture")
    with pytest.raises(InputError, match="not one picture") as caught:
        caption_city(city, choose_captioners("measured"))
    assert "not a picture" in str(caught.value)
    assert len(city.captions) == 2


def test_recorded_captions_note_their_file(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c")
    (tmp_path / "t.csv").write_text("image_id,caption\nsatellite0,A tile.\nghost,A ghost.\n")
    report = caption_city(city, choose_captioners(f"recorded:{tmp_path / 't.csv'}"))
    assert list(city.captions["caption"]) == ["A tile."]
    assert "1 recorded captions belong to no picture" in "\n".join(report.lines())
    note = table_note(tmp_path / "c/captions.parquet")
    assert note["made_from"]["captions from t.csv"] == hash_bytes((tmp_path / "t.csv").read_bytes())


def test_refusals_are_dropped_and_stay_in_the_ledger(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c")
    refuses = Says("x", text="I'm sorry, but I can't help with that.")
    report = caption_city(city, [refuses, Says("y")], settings=NO_VOTE)
    assert set(city.captions["captioner"]) == {"y"}
    assert report.cleaned.counts()["refusal"] == 8
    with Ledger(city.folder) as ledger:
        assert (ledger.texts(captioner="x")["text"] == refuses.text).sum() == 8
    with pytest.raises(InputError, match="no caption is left after cleaning") as caught:
        caption_city(city, [refuses], replace=True)
    assert "refusal: 8" in str(caught.value)
    assert set(city.captions["captioner"]) == {"y"}


class _Down(Says):
    async def answer(self, ask: Ask) -> Answer | None:
        self.asked.append(ask.picture.image_id)
        raise LastingFault("no such model", whole=True)


def test_a_captioner_that_refuses_everything_stops_alone(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c")
    down = _Down("x")
    report = caption_city(city, [down, Says("y")], settings=NO_VOTE)
    assert len(down.asked) <= 3  # two at once, then closed
    assert not report.complete
    assert report.asked.stopped["x"][1] == 8
    assert "stopped with 8 pictures left" in "\n".join(report.lines())
    assert len(city.captions) == 8


def test_a_plan_sends_nothing_and_leaves_no_trace(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c")
    captioner = Says("x")
    plan = plan_city(city, [captioner], limit=5)
    assert (plan.pictures, plan.calls) == (5, 5)
    assert captioner.asked == []
    assert not has_ledger(city)
    caption_city(city, [captioner], limit=2)
    plan = plan_city(city, [Says("x")])
    assert (plan.calls, plan.steps[0].known) == (6, 2)


def test_pictures_leave_the_network_only_when_told(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c", n=1)
    far = Says("x")
    far.remote = "https://api.example.com/v1"
    with pytest.raises(InputError, match="not on this machine or its network") as caught:
        caption_city(city, [far])
    assert "--allow-remote" in str(caught.value)
    assert far.asked == []
    assert any("https://api.example.com/v1" in remark for remark in plan_city(city, [far]).remarks)
    allowed = CaptionSettings.model_validate({"describe": {"allow_remote": True}})
    caption_city(city, [far], settings=allowed)
    assert len(city.captions) == 2


def test_bad_captioners_are_refused(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c", n=1)
    with pytest.raises(InputError, match="no captioner"):
        caption_city(city, [])
    with pytest.raises(InputError, match="same name") as caught:
        caption_city(city, [Says("x"), Says("x")])
    assert "[captioners.NAME]" in str(caught.value)
    with pytest.raises(InputError, match="synthetic city"):
        caption_city(city, choose_captioners("simulated-a"))
    for spec in ("gpt", "recorded:", "recorded:nowhere.csv", "", "openai:", "all"):
        with pytest.raises(InputError):
            choose_captioners(spec)


def test_captioners_of_the_settings_are_found_by_name() -> None:
    one = CaptionerSettings(model="some/model", temperature=0.0)
    settings = CaptionSettings(captioners={"mine": one, "other": CaptionerSettings(model="m")})
    assert [c.identity.name for c in choose_captioners("all", settings)] == ["mine", "other"]
    assert choose_captioners("mine", settings)[0].identity.decoding["temperature"] == 0.0
    with pytest.raises(InputError, match="no such captioner") as caught:
        choose_captioners("yours", settings)
    assert "mine, other" in str(caught.value)


def test_a_full_disk_ends_the_run_before_answers_are_paid_for_that_cannot_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    city, captioner = make_city(tmp_path / "c", n=20), Says("x", text="A long text. " * 2000)
    opened = Ledger.__init__

    def full(self: Ledger, path: Path) -> None:
        opened(self, path)
        (pages,) = self._rows("PRAGMA page_count")[0]
        self._rows(f"PRAGMA max_page_count = {pages + 1}")

    monkeypatch.setattr(Ledger, "__init__", full)
    with pytest.raises(StorageError, match="disk is full"):
        caption_city(city, [Says("y"), captioner], settings=NO_VOTE)
    assert captioner.asked[-1] == "closed"
    assert len(captioner.asked) <= 4


class _Stops(Says):
    """Answers nothing about the first picture, and is down then."""

    async def answer(self, ask: Ask) -> Answer | None:
        raise LastingFault("the key is wrong", whole=True)


def test_a_stopped_captioner_keeps_what_the_ledger_knows_of_later_pictures(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c")
    caption_city(city, [Says("x", only="street")], settings=NO_VOTE)
    report = caption_city(city, [_Stops("x"), Says("y")], settings=NO_VOTE, replace=True)
    assert report.per_captioner == {"x": 4, "y": 8}
    assert report.asked.stopped["x"] == ("it refuses every question: the key is wrong", 4)
    assert set(city.captions.loc[city.captions["captioner"] == "x", "image_id"]) == {
        "street0", "street1", "street2", "street3",
    }  # fmt: skip


class _Unclear(Says):
    async def answer(self, ask: Ask) -> Answer | None:
        if ask.picture.image_id == "street2":
            raise LastingFault("the picture is too large")
        return Answer("It shows a road. And a house.", "length")


def test_why_a_text_ended_is_known_in_the_second_run_as_in_the_first(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c")
    first = caption_city(city, [_Unclear("x")], settings=NO_VOTE)
    again = caption_city(city, [_Unclear("x")], settings=NO_VOTE)
    assert first.cleaned.counts()["cut_off"] == 7
    assert again.cleaned.counts() == first.cleaned.counts()
    assert "no answer for 1 (the picture is too large)" in "\n".join(again.lines())


def test_a_budget_for_a_server_without_prices_is_refused(tmp_path: Path) -> None:
    city, far = make_city(tmp_path / "c", n=1), Says("x")
    far.remote = "https://api.example.com/v1"
    allowed = CaptionSettings.model_validate({"describe": {"allow_remote": True}})
    for call in (caption_city, plan_city):
        with pytest.raises(InputError, match="kept by prices"):
            call(city, [far], settings=allowed, budget_usd=1.0)
    with pytest.raises(ValueError, match="kept by prices"):
        CaptionerSettings(model="m", budget_usd=1.0)
    far.limits = Limits(usd_per_million_out=1.0)
    caption_city(city, [far], settings=allowed, budget_usd=1.0)
    assert len(city.captions) == 2


def test_a_city_is_captioned_where_a_loop_runs_already(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c", n=1)

    async def notebook_cell() -> int:
        return int(caption_city(city, [Says("x")]).table["selected"].sum())

    assert asyncio.run(notebook_cell()) == 2


def test_recorded_captions_come_before_what_is_measured_which_fills_gaps(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c")
    (tmp_path / "t.csv").write_text(
        "image_id,caption\nsatellite0,Houses.\nstreet1,I'm sorry but I cannot see it.\n"
    )
    recorded = f"recorded:{tmp_path / 't.csv'}"
    for specs in (("measured", recorded), (recorded, "measured")):
        captioners = [one for spec in specs for one in choose_captioners(spec)]
        report = caption_city(city, captioners, replace=True)
        chosen = city.captions.set_index("image_id")["captioner"]
        assert chosen.index.is_unique
        assert set(chosen[chosen == "recorded"].index) == {"satellite0"}
        assert len(chosen) == 8
        said = "\n".join(report.lines())
        assert "measured: 1 captions stand back behind what others say" in said
        assert "measured, since nobody described them: 7 pictures" in said
        assert "vote" not in said
    caption_city(city, choose_captioners("measured"))
    assert city.captions.set_index("image_id").loc["satellite0", "captioner"] == "recorded"


def test_a_vote_is_only_said_where_one_was_held(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c", n=1)
    two = caption_city(city, [Says("x", text="A road."), Says("y", text="A road with trees.")])
    said = "\n".join(two.lines())
    assert "chosen by vote" not in said
    assert "chosen without a vote among several: 2 pictures (y 100%)" in said
    captioners = [Says("x", text="A road with trees."), Says("y", text="A road."), Says("z", text="A ship.")]
    said = "\n".join(caption_city(city, captioners, replace=True).lines())
    assert "chosen by vote: 2 pictures" in said
    assert "without a vote" not in said


def test_captions_of_the_table_that_are_thoughts_are_none_any_more(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c", n=1)
    caption_city(city, [Says("x")], settings=NO_VOTE)
    table = city.captions
    table["caption"] = ["<think>A ship? It could be one.", "<think>A ship?</think>A road."]
    city.save_captions(table)
    caption_city(city, [Says("y", only="satellite")], settings=NO_VOTE)
    said = city.captions[["image_id", "captioner", "caption"]].itertuples(index=False, name=None)
    assert list(said) == [("satellite0", "y", "y of satellite0."), ("street0", "x", "A road.")]


def test_the_last_line_tells_why_nothing_was_described(tmp_path: Path) -> None:
    city = make_city(tmp_path / "c", n=1)
    with pytest.raises(NotDescribed) as caught:
        caption_city(city, [_Down("x")])
    assert caught.value.exit_code == 1, "a server that is down is no wrong usage"
    last = str(caught.value).splitlines()[-1]
    assert "x was stopped with 2 pictures left" in last
    assert "no such model" in last
