"""Classes and shares on a page of the audit: layers of the map, bars, tables; names of any kind stay text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tests.report.page_reader import Page, map_data, view

from urbanln.base.kinds import LabelKind
from urbanln.pages.maps import GREY
from urbanln.probe.audit import audit_labels
from urbanln.report import Seen, write_audit_page

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
KINDS = {"use": LabelKind("classes", ("use",)), "cover": LabelKind("shares", ("wood", "rest"))}
Make = Callable[..., dict[str, Any]]


@pytest.fixture
def regions(make: Make) -> Any:
    return make(6)["regions"]


def _page(tmp_path: Path, regions: Any, use: Any, wood: Any) -> tuple[Page, dict[str, Any]]:
    labels = pd.DataFrame(
        {"region_id": regions["region_id"], "gdp": np.arange(36.0), "use": use, "wood": wood}
    )
    labels["rest"] = 1 - labels["wood"]
    centres = regions.geometry.to_crs(4326).representative_point()
    where = pd.DataFrame({"region_id": regions["region_id"], "lon": centres.x, "lat": centres.y})
    audit = {"labels": audit_labels(labels, where, kinds=KINDS).as_json(), "regions": 36, "found": []}
    path = write_audit_page(tmp_path / "a.html", "City", audit, seen=Seen(regions, labels))
    page = Page(path.read_text(encoding="utf-8"))
    return page, map_data(page)


def test_classes_have_names_and_colours_and_parts_a_scale_in_common(tmp_path: Path, regions: Any) -> None:
    use = np.array(["port", "field", "field"] * 12, dtype=object)
    use[1] = None
    wood = np.linspace(0, 0.5, 36)
    wood[2] = np.nan
    page, data = _page(tmp_path, regions, use, wood)
    assert [layer["name"] for layer in data["layers"]] == ["GDP", "use", "cover: wood", "cover: rest"]
    shown = view(data["layers"][1], "use")
    assert [one["name"] for one in shown["classes"]] == ["field", "port"]
    assert len({one["colour"] for one in shown["classes"]} - {GREY}) == 2
    places = dict(zip(regions["region_id"], use, strict=True))
    assert [None if v is None else shown["classes"][v]["name"] for v in shown["values"]] == [
        places[one] for one in data["ids"]
    ]
    parts = [view(data["layers"][at], f"cover: {part}") for at, part in ((2, "wood"), (3, "rest"))]
    assert parts[0]["stops"] == parts[1]["stops"]
    assert sum(value is None for value in parts[0]["values"]) == 1
    pictures = [a["aria-label"] or "" for tag, a, _ in page.all("svg") if a.get("aria-label")]
    assert "Regions by class of use: 35 regions, 1 missing; field 23 · 66 %; port 12 · 34 %" in pictures
    assert "Mean shares of cover: mean share of 35 regions, 1 missing; rest .74; wood .26" in pictures
    assert "Same-class neighbours" in page.words
    assert "35 regions with shares, 1 without" in page.words
    assert "36 regions · 3 labels" in page.words


def test_where_colours_run_out_the_rarest_classes_are_others_and_grey(tmp_path: Path, regions: Any) -> None:
    use = np.resize([f"c{i:02d}" for i in range(12)], 36).astype(object)
    use[:9] = "c00"
    page, data = _page(tmp_path, regions, use, np.full(36, 0.5))
    shown = view(data["layers"][1], "use")
    assert len(shown["classes"]) == 8
    assert (shown["classes"][-1]["name"], shown["classes"][-1]["colour"]) == ("5 others", GREY)
    (bars,) = [
        a["aria-label"] or "" for _, a, _ in page.all("svg") if "by class" in (a.get("aria-label") or "")
    ]
    assert all(f"c{i:02d} " in bars for i in range(12))


def test_hostile_classes_stay_text(tmp_path: Path, regions: Any) -> None:
    plain, _ = _page(tmp_path, regions, ["a", "b"] * 18, np.full(36, 0.5))
    odd, data = _page(tmp_path, regions, [HOSTILE, "\0others"] * 18, np.full(36, 0.5))
    count = [[tag for tag, _, _ in page.elements].count("script") for page in (plain, odd)]
    assert count[0] == count[1]
    assert not [a for _, a, _ in odd.elements if any(name.startswith("on") for name in a)]
    assert view(data["layers"][1], "use")["classes"][1]["name"].startswith("</script>")


@pytest.mark.parametrize("gap", ["use", "wood"])
def test_a_label_without_a_value_draws_nothing(tmp_path: Path, regions: Any, gap: str) -> None:
    values = {"use": ["a", "b"] * 18, "wood": np.full(36, 0.5)}
    values[gap] = pd.Series([None] * 36, dtype="str") if gap == "use" else np.full(36, np.nan)
    page, data = _page(tmp_path, regions, values["use"], values["wood"])
    assert len(data["layers"]) == 4
    assert "0 regions, 36 missing" in page.words if gap == "use" else "0 regions with shares" in page.words
