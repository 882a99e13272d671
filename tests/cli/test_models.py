"""The verbs that bring a model in and take one out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.oracles.openai_clip import OpenAIClip

from urbanln.cli.app import main
from urbanln.model.clip import load_clip


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = OpenAIClip(
        size=32, patch=16, width=64, heads=1, layers=1, text_width=64, text_heads=1, text_layers=1, dim=8,
        quick=True,
    )  # fmt: skip
    torch.save(network.state_dict(), tmp_path / "RemoteCLIP.pt")
    return tmp_path / "RemoteCLIP.pt"


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    return int(stop.value.code or 0)


def test_a_checkpoint_comes_in_and_goes_out(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    came, went = tmp_path / "in", tmp_path / "out"
    told = ["--activation", "quick_gelu", "--licence", "MIT"]
    assert _run("import-model", str(checkpoint), *told, "--out", str(came)) == 0
    said = capsys.readouterr()
    assert said.out.strip() == str(came)
    assert "ViT of width 64 with 1 layers, 32 px in patches of 16" in said.err
    assert "activation quick_gelu (as told); licence MIT" in said.err
    assert load_clip(came, context=None).dim == 8
    assert load_clip(came).context == 248
    assert _run("export-model", str(came), "--to", "open_clip", "--out", str(went)) == 0
    assert sorted(file.name for file in went.iterdir()) == [
        "README.md", "open_clip_config.json", "open_clip_model.safetensors", "tokenizer.json",
        "tokenizer_config.json",
    ]  # fmt: skip


def test_what_is_meant_is_found_or_told(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    told = ["--activation", "quick_gelu", "--out", "tiny"]
    assert _run("import-model", str(checkpoint), *told) == 0
    assert _run("export-model", "./tiny", "--to", "transformers", "--out", "mine") == 0
    assert _run("export-model", "tiny", "--to", "transformers", "--out", "theirs") == 0
    assert load_clip("./mine", context=None).dim == 8  # the folder, not the one in the package
    assert load_clip("./theirs", context=None).dim != 8
    capsys.readouterr()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.toml").write_text("")
    for source, more, says in (
        ("run", [], "no model yet"),
        (checkpoint.name, [], "urbanln import-model RemoteCLIP.pt"),
        ("./mine", ["--encoder", "teacher"], "only a run has"),
        ("mine/model.safetensors", [], "this is a file"),
    ):
        assert _run("export-model", source, "--to", "open_clip", "--out", "out", *more) != 0
        assert says in capsys.readouterr().err
    assert _run("import-model", "mine", "--out", "out") == 2
    assert "model.name=FOLDER" in capsys.readouterr().err
    assert _run("import-model", "mine/model.safetensors", "--activation", "gelu", "--out", "out") == 2
    assert "model.name=FOLDER" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["import-model", "export-model"])
def test_what_is_there_stays(
    verb: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    more = ["--activation", "gelu"] if verb == "import-model" else ["--to", "open_clip"]
    assert _run(verb, str(checkpoint), *more, "--out", str(tmp_path / "mine")) == 2
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"
    assert "remedy:" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["import-model", "export-model"])
def test_a_folder_without_a_name_is_not_this_one(
    verb: str, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    more = ["--activation", "gelu"] if verb == "import-model" else ["--to", "open_clip"]
    assert _run(verb, str(checkpoint), *more, "--out", "") == 2
    assert not list((tmp_path / "here").iterdir())


def test_an_activation_nobody_named_is_asked_for(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run("import-model", str(checkpoint), "--out", str(tmp_path / "in")) == 2
    assert "--activation quick_gelu" in capsys.readouterr().err
    assert not (tmp_path / "in").exists()
