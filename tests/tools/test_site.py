"""What makes the documentation site: its look through what was built, and its reference."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import urbanln

TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path.insert(0, str(TOOLS))

import make_site  # noqa: E402
from make_site import faults  # noqa: E402
from site_reference import reference  # noqa: E402

FINE = (
    '<h1 id="top">Here</h1><a href="sub/b.html#there">b</a><a href="https://a.example">out</a>'
    '<img src="p.png">'
)


def _site(folder: Path, page: str, style: str = "") -> list[str]:
    (folder / "sub").mkdir()
    (folder / "index.html").write_text(page)
    (folder / "sub" / "b.html").write_text('<p id="there">.</p><a href="../index.html#top">up</a>')
    (folder / "p.png").write_bytes(b"")
    (folder / "s.css").write_text(style)
    return faults(folder)


def test_a_whole_site_has_no_fault(tmp_path: Path) -> None:
    assert _site(tmp_path, FINE, "a { background: url(p.png) }") == []


@pytest.mark.parametrize(
    ("added", "fault"),
    [
        ('<a href="gone.html">', "index.html leads nowhere: gone.html"),
        ('<a href="sub/b.html#gone">', "index.html leads nowhere: sub/b.html#gone"),
        ('<a href="#gone">', "index.html leads nowhere: #gone"),
        ('<a href="../above.html">', "index.html leads nowhere: ../above.html"),
        ('<img src="gone.png">', "index.html leads nowhere: gone.png"),
        ('<script src="https://cdn.example/a.js"></script>', "index.html fetches https://cdn.example/a.js"),
        ('<link rel="stylesheet" href="//f.example/a.css">', "index.html fetches //f.example/a.css"),
        ('<link rel="preconnect" href="https://f.example">', "index.html fetches https://f.example"),
        ("<style>a{b:url('https://f.example/w')}</style>", "index.html fetches https://f.example/w"),
        ('<p style="b:url(//f.example/w)">', "index.html fetches //f.example/w"),
    ],
)
def test_a_link_to_nowhere_and_a_request_to_another_host_are_faults(
    tmp_path: Path, added: str, fault: str
) -> None:
    assert _site(tmp_path, FINE + added) == [fault]


def test_styles_may_fetch_nothing_from_elsewhere_either(tmp_path: Path) -> None:
    assert _site(tmp_path, FINE, "@import 'https://f.example/a.css';") == [
        "s.css fetches https://f.example/a.css"
    ]


def test_the_reference_has_the_public_names_the_verbs_and_the_settings() -> None:
    pages = reference()
    assert {
        line[4:].rpartition(".")[2] for line in pages["index.md"].splitlines() if line[:4] == "::: "
    } == set(urbanln.__all__) - {"__version__"}
    for verb in ("pretrain", "import-model", "doctor"):
        assert f"\n## {verb}\n" in pages["command-line.md"]
        assert f"Usage: urbanln {verb}" in pages["command-line.md"]
    assert "| `lr` |" in pages["settings.md"]
    assert "## score\n\n::: urbanln.probe.score\n" in pages["probe.md"]


def test_what_stands_beside_docs_is_copied_and_pages_within_are_linked_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "one.py").write_text("1\n")
    page = tmp_path / "build" / "docs" / "tutorials" / "page.md"
    page.parent.mkdir(parents=True)
    page.write_text("[a](../reading.md) [b](../../examples/one.py)")
    monkeypatch.setattr(make_site, "ROOT", tmp_path)
    monkeypatch.setattr(make_site, "BUILD", tmp_path / "build")
    assert make_site._settled(page) == "[a](../reading.md) [b](../examples/one.py)"
    assert (tmp_path / "build" / "docs" / "examples" / "one.py").read_text() == "1\n"
