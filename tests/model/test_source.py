"""Models are what they say, however their folder came about: hub snapshots, .bin files, other tools."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tests.model.test_clip import positions

from urbanln.base.errors import ArtefactError, InputError
from urbanln.base.files import hash_bytes, hash_file
from urbanln.model import source
from urbanln.model.checkpoint import network_hash
from urbanln.model.clip import LongClip, load_clip
from urbanln.model.source import find_source
from urbanln.model.tokens import load_tokenizer

COMMIT, OLDER = "ab" * 20, "cd" * 20


@pytest.fixture
def long_folder(base_folder: Path, tmp_path: Path) -> Path:
    return load_clip(base_folder).save(tmp_path / "long")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache of the hub, without a network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    source._snapshot.cache_clear()
    return tmp_path / "hub"


def put_on_hub(hub: Path, folder: Path, *, name: str = "someone/clip", commit: str = COMMIT) -> Path:
    """As the hub's client keeps it: blobs by hash, a snapshot of links to them, and what a branch names."""
    root = hub / ("models--" + name.replace("/", "--"))
    snapshot = root / "snapshots" / commit
    for part in (root / "blobs", root / "refs", snapshot):
        part.mkdir(parents=True, exist_ok=True)
    for file in folder.iterdir():
        blob = root / "blobs" / hash_file(file)
        shutil.copyfile(file, blob)
        (snapshot / file.name).symlink_to(Path("../../blobs") / blob.name)
    (root / "refs" / "main").write_text(commit)
    return snapshot


def as_bin(folder: Path) -> Path:
    """The same weights as PyTorch wrote them before safetensors."""
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def change_config(folder: Path, **text: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["text_config"] |= text
    (folder / "config.json").write_text(json.dumps(config))


def test_a_name_on_the_hub_is_its_snapshot(hub: Path, long_folder: Path) -> None:
    snapshot = put_on_hub(hub, long_folder)
    found = find_source("someone/clip")
    assert (found.folder, found.revision) == (snapshot, COMMIT)
    assert found.weights_hash() == hash_file(long_folder / "model.safetensors")
    assert found.config_hashes() == find_source(long_folder).config_hashes()
    by_name, by_folder = load_clip("someone/clip"), load_clip(snapshot)
    for model in (by_name, by_folder):
        assert model.record.stretched_from == 77, "the record is read from the snapshot"
        assert network_hash(model) == network_hash(load_clip(long_folder))
    with pytest.raises(InputError, match="stretched to 248 positions before"):
        load_clip("someone/clip", context=400)
    assert load_tokenizer("someone/clip").count_tokens(["a park"]) == by_name.count_tokens(["a park"])


def test_a_revision_is_pinned_by_name_or_apart(hub: Path, long_folder: Path, base_folder: Path) -> None:
    old = put_on_hub(hub, base_folder, commit=OLDER)
    put_on_hub(hub, long_folder)
    (hub / "models--someone--clip" / "refs" / "v1").write_text(OLDER)
    for name, revision in (
        (f"someone/clip@{OLDER}", ""),
        ("someone/clip@v1", ""),
        ("someone/clip", "v1"),
        ("someone/clip@v1", "v1"),
    ):
        assert find_source(name, revision).folder == old
    assert load_clip("someone/clip", revision="v1", context=None).context == 77
    assert load_clip("someone/clip", context=None).context == 248
    with pytest.raises(InputError, match="two revisions"):
        find_source("someone/clip@v1", "main")
    with pytest.raises(InputError, match="only a name on the hub"):
        find_source(base_folder, "v1")
    with pytest.raises(InputError, match="could not be had from the hub") as caught:
        find_source("someone/clip@v2")
    assert "someone/clip@v2" in str(caught.value)
    with pytest.raises(InputError, match="no model") as caught:
        find_source(hub / "models--someone--clip")
    assert str(hub / "models--someone--clip" / "snapshots") in str(caught.value)


def test_one_process_reads_one_commit(hub: Path, long_folder: Path, base_folder: Path) -> None:
    put_on_hub(hub, base_folder, commit=OLDER)
    assert find_source("someone/clip").revision == OLDER
    put_on_hub(hub, long_folder)
    assert find_source("someone/clip").revision == OLDER


@pytest.mark.parametrize("kinds", [("safetensors", "bin"), ("bin",)])
def test_the_second_kind_of_weights_is_fetched_only_without_the_first(
    monkeypatch: pytest.MonkeyPatch, base_folder: Path, tmp_path: Path, kinds: tuple[str, ...]
) -> None:
    there = tmp_path / "snapshots" / COMMIT
    there.mkdir(parents=True)
    asked: list[str] = []

    def fetch(repository: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        assert revision == (COMMIT if asked else None), "all of it from the commit of the first answer"
        asked.extend(allow_patterns)
        shutil.copyfile(base_folder / "config.json", there / "config.json")
        for kind, name in (("safetensors", "model.safetensors"), ("bin", "pytorch_model.bin")):
            if kind in kinds and name in allow_patterns:
                (there / name).write_bytes(b"weights")
        return str(there)

    source._snapshot.cache_clear()
    monkeypatch.setattr(source, "snapshot_download", fetch)
    assert find_source("a/b", weights=False).folder == there
    assert list(there.glob("*")) == [there / "config.json"]
    asked.clear()
    assert find_source("a/b").weight_files() == [
        there / ("model.safetensors" if "safetensors" in kinds else "pytorch_model.bin")
    ]
    assert ("pytorch_model.bin" in asked) == ("safetensors" not in kinds)
    source._snapshot.cache_clear()


def test_a_bin_folder_is_the_same_model_and_has_a_hash(long_folder: Path, tmp_path: Path) -> None:
    folder = as_bin(shutil.copytree(long_folder, tmp_path / "bin"))
    assert find_source(folder).weights_hash() == hash_file(folder / "pytorch_model.bin")
    model = load_clip(folder)
    assert model.record.stretched_from == 77
    assert network_hash(model) == network_hash(load_clip(long_folder))


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("/nonexistent/never"),))


def test_of_a_pickle_only_tensors_are_read(long_folder: Path) -> None:
    weights = load_file(long_folder / "model.safetensors")
    (long_folder / "model.safetensors").unlink()
    torch.save(weights | {"x": _Evil()}, long_folder / "pytorch_model.bin")
    with pytest.raises(ArtefactError, match="weights cannot be read") as caught:
        load_clip(long_folder)
    assert "nonexistent" not in str(caught.value), "refused, not run"


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_weights_in_several_files(base_folder: Path, tmp_path: Path, kind: str) -> None:
    folder = shutil.copytree(base_folder, tmp_path / "pieces")
    whole = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    stem = "model" if kind == "safetensors" else "pytorch_model"
    names = [f"{stem}-0000{i}-of-00002.{kind}" for i in (1, 2)]
    place = {tensor: names[i % 2] for i, tensor in enumerate(sorted(whole))}
    for name in names:
        part = {tensor: whole[tensor] for tensor in place if place[tensor] == name}
        if kind == "bin":
            torch.save(part, folder / name)
        else:
            save_file(part, folder / name, metadata={"format": "pt"})
    index = folder / (f"{stem}.{kind}.index.json")
    index.write_text(json.dumps({"metadata": {}, "weight_map": place}))
    assert network_hash(load_clip(folder)) == network_hash(load_clip(base_folder))
    hashes = [hash_file(folder / name) for name in names]
    assert find_source(folder).weights_hash() == hash_bytes("".join(hashes).encode())
    (folder / names[1]).unlink()
    with pytest.raises(ArtefactError, match="1 of the model's 2 weight files are missing") as caught:
        load_clip(folder)
    assert names[1] in str(caught.value)
    index.write_text("[]")
    with pytest.raises(ArtefactError):
        find_source(folder).weights_hash()


def test_folders_saved_again_by_other_tools_keep_their_record(long_folder: Path, tmp_path: Path) -> None:
    sentences = pytest.importorskip("sentence_transformers", reason="comes with the extra nlp")
    transformers.CLIPModel.from_pretrained(long_folder).save_pretrained(tmp_path / "plain")
    for saver in (transformers.AutoTokenizer, transformers.AutoImageProcessor):
        saver.from_pretrained(long_folder).save_pretrained(tmp_path / "plain")
    sentences.SentenceTransformer(str(long_folder), device="cpu").save(str(tmp_path / "sentences"))
    for name in ("plain", "sentences"):
        folder = tmp_path / name
        assert not (folder / "urbanln.json").exists()
        model = load_clip(folder)
        assert model.record == load_clip(long_folder).record
        assert torch.equal(positions(model), positions(load_clip(long_folder)))
        with pytest.raises(InputError, match="stretched once"):
            load_clip(folder, context=900)


def test_a_long_table_without_a_record_is_stretched_only_when_told(long_folder: Path, tmp_path: Path) -> None:
    (long_folder / "urbanln.json").unlink()
    config = json.loads((long_folder / "config.json").read_text())
    del config["urbanln"]
    (long_folder / "config.json").write_text(json.dumps(config))
    for context in (248, None):
        model = load_clip(long_folder, context=context)
        assert model.context == 248
        assert model.record.stretched_from is None, "nothing was done to it, and nothing is made up"
    with pytest.raises(InputError, match="no record") as caught:
        load_clip(long_folder, context=900)
    for choice in ("context=248", "base", "restretch=True", "model.restretch=true"):
        assert choice in str(caught.value.remedy)
    model = load_clip(long_folder, context=900, restretch=True)
    assert (model.context, model.record.stretched_from) == (900, 248)
    again = model.save(tmp_path / "again")
    with pytest.raises(InputError, match="stretched once"):
        load_clip(again, context=1000, restretch=True)


def test_a_damaged_record_in_the_configuration_is_one_clear_error(long_folder: Path) -> None:
    (long_folder / "urbanln.json").unlink()
    config = json.loads((long_folder / "config.json").read_text())
    for bad in ("yes", {"kind": "clip"}, config["urbanln"] | {"keep": "20"}, {"schema_version": 99}):
        (long_folder / "config.json").write_text(json.dumps(config | {"urbanln": bad}))
        with pytest.raises(ArtefactError, match="record") as caught:
            load_clip(long_folder)
        assert "config.json" in str(caught.value.where)


def adapted(folder: Path) -> None:
    """As peft leaves a network whose adapter was not merged."""
    weights = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        stem, _, part = name.rpartition(".")
        if not stem.endswith("q_proj"):
            weights[name] = tensor
            continue
        weights[f"{stem}.base_layer.{part}"] = tensor
        if part == "weight":
            weights[f"{stem}.lora_A.default.weight"] = torch.ones(2, tensor.shape[1])
            weights[f"{stem}.lora_B.default.weight"] = torch.zeros(tensor.shape[0], 2)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_folder_without_a_model_says_what_to_give(base_folder: Path, tmp_path: Path) -> None:
    for inside, wanted in (
        ("run/model", "run/model"),
        ("cache/snapshots/abc", "cache/snapshots/abc"),
        ("adapter/adapter_config.json", "merge the adapter"),
        ("empty/readme.txt", "'tiny'"),
    ):
        place = tmp_path / inside
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.suffix:
            place.write_text("{}")
        else:
            shutil.copytree(base_folder, place)
        with pytest.raises(InputError, match="holds no model") as caught:
            load_clip(tmp_path / Path(inside).parts[0])
        assert wanted in (caught.value.remedy or "")


@pytest.mark.parametrize("how", ["adapter_config.json", "adapter_model.safetensors", "weights"])
def test_adapters_are_refused_with_the_remedy(base_folder: Path, tmp_path: Path, how: str) -> None:
    folder = shutil.copytree(base_folder, tmp_path / "adapted")
    if how == "weights":
        adapted(folder)
    else:
        (folder / how).write_text("{}")
    with pytest.raises(InputError, match="adapter") as caught:
        load_clip(folder)
    assert "merge_and_unload" in str(caught.value.remedy)
    assert caught.value.where == folder


def test_weights_stored_in_bf16_are_computed_with_in_fp32(base_folder: Path, tmp_path: Path) -> None:
    clip = transformers.CLIPModel.from_pretrained(base_folder, dtype=torch.bfloat16)
    folder = shutil.copytree(base_folder, tmp_path / "bf16")
    clip.save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    stored = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.bfloat16}
    model = load_clip(folder)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert model.logit_scale.item() == float(stored["logit_scale"].float())
    saved = model.save(tmp_path / "saved")
    assert "bfloat16" not in (saved / "config.json").read_text()
    plain = transformers.CLIPModel.from_pretrained(saved)
    assert {p.dtype for p in plain.parameters()} == {torch.float32}


def with_added_token(folder: Path) -> int:
    """A token with an id above EOT's, and the embedding it needs; the id."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["urbanism"])
    tokenizer.save_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    name = "text_model.embeddings.token_embedding.weight"
    weights[name] = torch.cat([weights[name], weights[name][:1]])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    change_config(folder, vocab_size=len(tokenizer))
    return len(tokenizer) - 1


@pytest.mark.parametrize("legacy", [False, True])
def test_the_end_of_a_text_is_where_the_tokenizer_says(
    base_folder: Path, tmp_path: Path, legacy: bool
) -> None:
    folder = shutil.copytree(base_folder, tmp_path / "added")
    added = with_added_token(folder)
    change_config(folder, **({"eos_token_id": 2} if legacy else {}))
    model = load_clip(folder)
    ids = model.tokenize(["urbanism beside a river", "urbanism in a park"])
    assert int(ids[0, 1]) == added > model.tokenizer.eos_token_id
    with torch.no_grad():
        first, second = model.encode_text(ids)
        # The largest id is the first word of both, which knows nothing of the others.
        assert not torch.allclose(first, second, atol=1e-3)
        saved = model.save(tmp_path / "saved")
        theirs = transformers.CLIPModel.from_pretrained(saved).eval().get_text_features(input_ids=ids)
    torch.testing.assert_close(
        theirs.pooler_output, model.encode_text(ids, normalize=False), rtol=0, atol=1e-6
    )


def without_eos(folder: Path) -> None:
    """A tokenizer that writes EOT but does not say which token that is."""
    transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json")).save_pretrained(
        folder
    )


def test_without_the_tokenizers_word_the_largest_id_ends_a_text(base_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(base_folder, tmp_path / "mute")
    without_eos(folder)
    assert transformers.AutoTokenizer.from_pretrained(folder).eos_token_id is None
    change_config(folder, eos_token_id=2)
    mute, known = load_clip(folder), load_clip(base_folder)
    texts = ["a park", "a park beside a river " * 90]
    assert torch.equal(mute.tokenize(texts), known.tokenize(texts))
    assert load_tokenizer(folder).count_tokens(texts) == known.count_tokens(texts)
    with torch.no_grad():
        assert torch.equal(mute.encode_text(mute.tokenize(texts)), known.encode_text(known.tokenize(texts)))
    assert isinstance(load_clip(mute.save(tmp_path / "saved")), LongClip)


def test_a_study_tells_bin_folders_and_revisions_apart(base_folder: Path, tmp_path: Path) -> None:
    from urbanln.base.config import ModelSettings
    from urbanln.study.stages import _weights

    folder = as_bin(shutil.copytree(base_folder, tmp_path / "bin"))
    assert _weights(str(folder)) == [hash_file(folder / "pytorch_model.bin")]
    assert ModelSettings(name="a/b", revision="v1").pinned == "a/b@v1"
    assert (
        ModelSettings(name="a/b@v1", revision="v1").pinned == ModelSettings(name="a/b@v1").pinned == "a/b@v1"
    )
