"""The verbs ``caption`` and ``audit``: a faulty server, a vote on a table, hostile texts, wrong calls."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import tomli_w
from tests.captions.asking.fault_server import FaultServer, completion, serving
from tests.captions.asking.postgres import Server
from tests.cli.test_cli import run

from urbanln.captions.asking.ledger import Ledger
from urbanln.captions.simulation.server import Faults, serve
from urbanln.city.store import City
from urbanln.city.synthetic import make_synthetic_city

MODELS = ("simulated-a", "simulated-c", "simulated-e")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic city of 12 regions."""
    folder = tmp_path_factory.mktemp("town") / "city"
    make_synthetic_city(folder, regions=12, seed=3)
    return folder


@pytest.fixture(scope="module")
def settings(town: Path) -> Iterator[Path]:
    """Three captioners behind a server that fails now and then, as a settings file."""
    with serve(town, Faults.spread(0.1, seed=1)) as base_url:
        one = {"base_url": base_url, "tag_requests": True, "timeout_s": 5.0, "usd_per_million_out": 1.0}
        values = {
            "describe": {"view": "satellite"},
            "captioners": {name: {**one, "model": name} for name in MODELS},
            "refine": {"enabled": True, "max_crops": 2},
        }
        path = town.parent / "captions.toml"
        path.write_text(tomli_w.dumps(values))
        yield path


@pytest.fixture(scope="module")
def captioned(town: Path, settings: Path) -> Path:
    assert run("caption", town, "--settings", settings) == 0
    return town


def test_a_plan_comes_before_anything_is_sent(town: Path, settings: Path, tmp_path: Path, capsys) -> None:
    fresh = shutil.copytree(town, tmp_path / "city", ignore=shutil.ignore_patterns("captions*"))
    assert run("caption", fresh, "--settings", settings, "--plan", "--limit", 5) == 0
    printed = capsys.readouterr().out
    assert "5 pictures; nothing has been sent" in printed
    assert "simulated-e" in printed
    assert not list(fresh.glob("captions*"))


def test_a_city_is_captioned_refined_and_voted_on(captioned: Path, settings: Path, capsys) -> None:
    table = City.open(captioned).captions
    assert table["image_id"].nunique() == 12
    assert table["agreement"].notna().all()
    chosen = table[table["selected"]]
    assert (chosen["rank"] == 0).all()
    assert (chosen["margin"] >= 0).all()
    assert run("caption", captioned, "--settings", settings) == 0
    printed = capsys.readouterr().out
    assert "0 new" in printed
    assert "nothing that was said was looked for in the pictures" in printed
    pd.testing.assert_frame_equal(City.open(captioned).captions, table)


def test_one_picture_is_shown_with_all_that_was_said(captioned: Path, tmp_path: Path) -> None:
    image = City.open(captioned).images["image_id"].iloc[0]
    assert run("caption", captioned, "--show", image, "--out", tmp_path / "p.html") == 0
    page = (tmp_path / "p.html").read_text()
    for name in MODELS:
        assert name in page
    assert page.count("data:image/") >= 2
    assert run("caption", captioned, "--show", "nobody") == 2


def test_a_ledger_travels_as_parquet(captioned: Path, tmp_path: Path, capsys) -> None:
    assert run("caption", captioned, "--export-ledger", tmp_path / "l.parquet") == 0
    other = shutil.copytree(captioned, tmp_path / "city", ignore=shutil.ignore_patterns("captions*"))
    assert run("caption", other, "--import-ledger", tmp_path / "l.parquet") == 0
    with Ledger(captioned / "captions.sqlite") as ours, Ledger(other / "captions.sqlite") as theirs:
        pd.testing.assert_frame_equal(ours.texts(), theirs.texts())
    assert run("caption", tmp_path, "--export-ledger", tmp_path / "x.parquet") == 2
    assert "city.toml" in capsys.readouterr().err


def test_hosts_that_share_a_ledger_on_a_server_have_the_same_captions_of_it(
    captioned: Path, settings: Path, postgres: Server, tmp_path: Path, capsys
) -> None:
    command = ("--settings", settings, "--set", f"captions.ledger={postgres.new_schema()}")
    hosts = [
        shutil.copytree(captioned, tmp_path / name, ignore=shutil.ignore_patterns("captions*"))
        for name in ("one", "other")
    ]
    assert run("caption", hosts[0], *command, "--plan") == 0
    assert run("caption", hosts[0], *command, "--export-ledger", tmp_path / "l.parquet") == 2
    assert "no ledger yet" in capsys.readouterr().err
    assert run("caption", captioned, "--export-ledger", tmp_path / "l.parquet") == 0
    assert run("caption", hosts[0], *command, "--import-ledger", tmp_path / "l.parquet") == 0
    for host in hosts:
        capsys.readouterr()
        assert run("caption", host, *command) == 0
        assert "0 new" in capsys.readouterr().out
        pd.testing.assert_frame_equal(City.open(host).captions, City.open(captioned).captions)
        assert not list(host.glob("captions.sqlite*"))
    image = City.open(captioned).images["image_id"].iloc[0]
    assert run("caption", hosts[1], *command, "--show", image, "--out", tmp_path / "p.html") == 0
    assert MODELS[0] in (tmp_path / "p.html").read_text()
    assert run("audit", hosts[1], *command[2:]) == 0
    assert "36 captions of 12 pictures by 3 captioners" in capsys.readouterr().out
    assert run("caption", hosts[1], *command, "--export-ledger", tmp_path / "back.parquet") == 0
    assert (tmp_path / "back.parquet").read_bytes() == (tmp_path / "l.parquet").read_bytes()


@pytest.mark.parametrize("key", ["captions.ledger", "ledger"])
def test_a_password_in_the_url_of_a_ledger_is_refused_and_said_nowhere(town: Path, key: str, capsys) -> None:
    assert run("caption", town, "--captioner", "measured", "--set", f"{key}=postgresql://me:word@host/x") == 2
    told = capsys.readouterr()
    assert "word@" not in told.out + told.err
    assert "password" in told.err or key == "ledger"


def test_the_budget_of_a_ledger_is_kept_and_said(town: Path, settings: Path, tmp_path: Path, capsys) -> None:
    fresh = shutil.copytree(town, tmp_path / "city", ignore=shutil.ignore_patterns("captions*"))
    assert run("caption", fresh, "--settings", settings, "--budget-usd", 0.004) == 1
    printed = capsys.readouterr()
    assert "budget is spent" in printed.out
    assert "run the same command again" in printed.err
    with Ledger(fresh / "captions.sqlite") as ledger:
        assert 0 < ledger.spent_usd() <= 0.004
    assert len(City.open(fresh).captions) > 0


def test_an_audit_reads_the_ledger_and_files(captioned: Path, tmp_path: Path, capsys) -> None:
    assert run("audit", captioned, "--out", tmp_path / "a.json") == 0
    assert "36 captions of 12 pictures by 3 captioners" in capsys.readouterr().out
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["captions"]["captioners"].keys() == set(MODELS)
    assert found["labels"].keys() >= {"population"}
    sentences = [("I'm sorry, but I cannot see it.", "1.jpg"), ("A road in Beijing.", "2.jpg")]
    urbanclip = [[{"caption": caption, "image": image} for caption, image in sentences]]
    (tmp_path / "u.json").write_text(json.dumps(urbanclip))
    assert run("audit", "--captions", tmp_path / "u.json") == 0
    printed = capsys.readouterr().out
    assert "refusal: 1 (50.0%)" in printed
    assert "places named: Beijing 50.0%" in printed


def test_a_table_is_voted_on_without_a_city(tmp_path: Path, capsys) -> None:
    rows = [
        ("a", "one", "A wide road with tall buildings and a park."),
        ("a", "two", "Tall buildings stand beside a wide road and a small park."),
        ("a", "three", "An airport with two runways and a terminal."),
        ("b", "one", "I'm sorry, but I can't help with that."),
        ("b", "two", "A river with a bridge."),
    ]
    pd.DataFrame(rows, columns=["image", "captioner", "caption"]).to_csv(tmp_path / "t.csv", index=False)
    assert run("caption", "--vote", tmp_path / "t.csv", "--set", "vote.weights=soft") == 0
    printed = capsys.readouterr().out
    assert "refusal: 1" in printed
    table = pd.read_parquet(tmp_path / "t-voted.parquet")
    chosen = table[table["selected"]].set_index("image_id")
    assert chosen.loc["a", "captioner"] in ("one", "two")
    assert chosen.loc["b", "captioner"] == "two"
    assert 0 < chosen.loc["a", "weight"] < 1


HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)> a road.",
    "A very long text. " * 60_000,
    "A \x00\x1b[2J\u202egnol road\u200b with \x07 trees.",
    "road" + "," * 10_000 + " tree.",
    "{{ 7 * 7 }} {description} %s a park.",
)


def test_hostile_captions_harm_neither_vote_nor_page(town: Path, tmp_path: Path, capsys) -> None:
    city = shutil.copytree(town, tmp_path / "city", ignore=shutil.ignore_patterns("captions*"))
    images = City.open(city).images["image_id"].tolist()
    rows = [(images[k], name, text) for k, text in enumerate(HOSTILE) for name in ("x", "y")]
    rows = [(image, name, text if name == "x" else text + " A tree.") for image, name, text in rows]
    pd.DataFrame(rows, columns=["image_id", "captioner", "caption"]).to_parquet(tmp_path / "h.parquet")
    assert run("caption", city, "--captioner", f"recorded:{tmp_path / 'h.parquet'}") == 0
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert run("caption", city, "--show", images[0], "--out", tmp_path / "p.html") == 0
    page = (tmp_path / "p.html").read_text()
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;" in page
    table = City.open(city).captions
    assert table["image_id"].nunique() == len(HOSTILE)
    assert table["tokens"].max() <= 248
    assert run("audit", city) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["caption"], "no city was given"),
        (["caption", "CITY"], "no captioner was given"),
        (["caption", "CITY", "--captioner", "openai:"], "openai:MODEL@URL"),
        (["caption", "CITY", "--captioner", "openai:m@https://api.example.com/v1"], "--allow-remote"),
        (["caption", "CITY", "--captioner", "measured", "--set", "refine.grounder=owl"], "refine.grounder"),
        (["caption", "CITY", "--captioner", "measured", "--set", "clean.refusals=keep"], "did you mean"),
        (["caption", "CITY", "--captioner", "measured", "--set", "describe.prompts=nowhere"], "nowhere"),
        (["caption", "--vote", "nowhere.csv"], "nowhere.csv"),
        (["audit"], "nothing to audit"),
        (["audit", "--captions", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_wrong_calls_are_one_clear_error(town: Path, capsys, arguments: list[str], said: str) -> None:
    assert run(*(town if a == "CITY" else a for a in arguments)) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert "Traceback" not in printed.err


def test_a_server_that_is_not_there_stops_and_says_so(town: Path, tmp_path: Path, capsys) -> None:
    city = shutil.copytree(town, tmp_path / "city", ignore=shutil.ignore_patterns("captions*"))
    server = {"model": "gone", "base_url": "http://127.0.0.1:9/v1", "retries": 0}
    (tmp_path / "s.toml").write_text(tomli_w.dumps({"captioners": {"gone": server}}))
    asked = ["--captioner", "gone", "--captioner", "measured", "--set", "describe.view=satellite"]
    assert run("caption", city, *asked, "--settings", tmp_path / "s.toml") == 1
    printed = capsys.readouterr()
    assert "gone was stopped" in printed.err
    assert len(City.open(city).captions) == 12


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, {"error": {"message": "Incorrect API key"}}, ("401", "Incorrect API key", "key_env")),
        (404, {"detail": "Not Found"}, ("404", "Not Found", "/v1")),
        (
            429,
            {"error": {"code": "insufficient_quota", "message": "Pay."}},
            ("429", "Pay.", "top the"),
        ),
        (
            200,
            {"error": {"message": "Vision add-on is off"}},
            ("200", "Vision add-on is off", "load a"),
        ),
        (200, json.loads(completion(None, reasoning="A road.")), ("thoughts", "parser", "max_tokens")),
    ],
)
@pytest.mark.parametrize("alone", [True, False])
def test_the_last_line_says_who_stopped_where_why_and_what_to_do(
    town: Path, tmp_path: Path, capsys, status: int, body: dict, said: tuple[str, ...], alone: bool
) -> None:
    city = shutil.copytree(town, tmp_path / "city", ignore=shutil.ignore_patterns("captions*"))
    with serving(FaultServer(lambda: None)) as server:
        server.reply = lambda _: (status, {}, json.dumps(body).encode())
        one = {"model": "m", "base_url": server.url, "retries": 0, "concurrency": 1}
        (tmp_path / "s.toml").write_text(tomli_w.dumps({"captioners": {"qwen": one}}))
        asked = ["--captioner", "qwen", *([] if alone else ["--captioner", "measured"])]
        asked += ["--set", "describe.view=satellite", "--settings", str(tmp_path / "s.toml")]
        assert run("caption", city, *asked) == 1
        host = server.url.split("/")[2]
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert all(word in last for word in ("qwen", host, *said)), last


def test_a_ledger_of_last_month_gives_no_thought_and_no_empty_caption(town: Path, tmp_path: Path) -> None:
    city = shutil.copytree(town, tmp_path / "city", ignore=shutil.ignore_patterns("captions*"))
    with serving(FaultServer(lambda: None)) as server:
        one = {"model": "m", "base_url": server.url, "retries": 0}
        (tmp_path / "s.toml").write_text(tomli_w.dumps({"captioners": {"qwen": one}}))
        asked = ("caption", city, "--settings", tmp_path / "s.toml", "--set", "describe.view=satellite")
        assert run(*asked) == 0
        old = [
            "<think>A ship?",
            "<think>A ship?</think>A road.<|im_end|>",
            "",
            "A road.<|endoftext|>Human: hi",
        ]
        with Ledger(city) as ledger:
            keys = [row[0] for row in ledger._rows("SELECT key FROM texts ORDER BY rowid")]
            pictures = list(ledger.texts()["image_id"])
            for key, text in zip(keys, old, strict=False):
                ledger._rows("UPDATE texts SET text = ? WHERE key = ?", (text, key))
        server.reply = lambda _: (200, {}, completion("A park."))
        assert run("audit", city) == 0
        before = len(server.requests)
        assert run(*asked) == 0
        assert len(server.requests) - before == 2
    said = City.open(city).captions.set_index("image_id")["caption"]
    assert [said[name] for name in pictures[:4]] == ["A park.", "A road.", "A park.", "A road."]
    assert run("caption", city, "--show", pictures[1], "--out", tmp_path / "p.html") == 0
    page = (tmp_path / "p.html").read_text()
    assert "more than the answer" in page
    assert "&lt;think&gt;" in page
