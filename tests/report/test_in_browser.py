"""The maps as a browser runs them: by keys, as a table, and where nothing can be drawn."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from urbanln.report import write_report

Make = Callable[..., dict[str, Any]]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium, which this machine has not")


def run(page: Path, script: str, *options: str) -> Any:
    """What ``script``, a function body, returns in a copy of the page that lets it run."""
    text = page.read_text(encoding="utf-8")
    text = re.sub('<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    ask = f"document.title = 'found ' + JSON.stringify((function () {{ {script} }})());"
    copy = page.with_name("copy.html")
    copy.write_text(text.replace("</body>", f"<script>{ask}</script></body>"), encoding="utf-8")
    command = [str(BROWSER), "--headless=new", "--no-sandbox", "--disable-gpu", *options, "--dump-dom"]
    command += [f"--user-data-dir={page.parent / 'profile'}", copy.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search("<title>found (.*?)</title>", dom, re.DOTALL)
    assert found, dom[:300]
    return json.loads(unescape(found[1]))


@pytest.fixture
def page(tmp_path: Path, make: Make) -> Path:
    """Nine regions, row by row from the south-west; the worst error is that of the last."""
    inputs = make(3, ("population",))
    frame = inputs["predictions"]
    frame["prediction"] = frame["truth"] * 1.1
    frame.loc[frame["region_id"] == "r0008", "prediction"] *= 40
    frame.loc[frame["region_id"] == "r0001", ["truth", "prediction"]] = None
    return write_report(tmp_path / "report.html", **inputs)


_TABLE = """
  document.getElementById("map-table").open = true;
  document.getElementById("map-table").dispatchEvent(new Event("toggle"));
  function rows() {
    return Array.from(document.querySelectorAll("#map-table tbody tr")).map(function (row) {
      return Array.from(row.children).map(function (cell) { return cell.textContent; });
    });
  }
  function visible(id) { return document.getElementById(id).offsetParent !== null; }
"""


def test_maps_are_walked_by_arrow_keys(page: Path) -> None:
    """From the middle, to the next region in each direction; every map shows and one line tells where."""
    script = """
      var canvas = document.querySelector("#map-1 canvas"), said = [];
      var keys = ["ArrowRight", "ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown", "ArrowDown", "Escape"];
      keys.forEach(function (key) {
        canvas.dispatchEvent(new KeyboardEvent("keydown", { key: key, cancelable: true }));
        said.push(document.getElementById("map-readout").textContent);
      });
      return { said: said, role: canvas.getAttribute("role"), label: canvas.getAttribute("aria-label"),
               reached: canvas.tabIndex };
    """
    found = run(page, script, "--enable-unsafe-swiftshader")
    told = [text.split(" · ")[0].removeprefix("Region ") for text in found["said"]]
    assert told[:-1] == ["r0004", "r0005", "r0008", "r0007", "r0004", "r0001"]
    assert told[-1].startswith("Point at a region")
    assert "truth –" in found["said"][5]
    assert (found["role"], found["reached"]) == ("application", 0)
    assert found["label"].startswith("Map of prediction: arrow keys")


def test_without_webgl_there_are_pictures_and_the_numbers_as_a_table(page: Path) -> None:
    script = f"""{_TABLE}
      var first = rows();
      document.querySelectorAll("#map-table th button")[1].click();
      var by = rows().map(function (row) {{ return row[0]; }});
      var head = document.querySelectorAll("#map-table th")[1];
      return {{ first: first, by: by, sort: head.getAttribute("aria-sort"),
               still: visible("map-still"), failed: visible("map-failed"), panels: visible("map-panels"),
               chooser: visible("map-layer") }};
    """
    found = run(page, script, "--disable-3d-apis")
    assert (found["still"], found["failed"], found["panels"], found["chooser"]) == (True, True, False, True)
    assert found["first"][0][0] == "r0008"
    assert found["first"][0][3] == "+3.78"
    assert found["first"][-1] == ["r0001", "–", "–", "–"]
    assert found["sort"] == "descending"
    assert len(set(found["by"])) == 9
    assert found["by"][-1] == "r0001"
