from __future__ import annotations

import json
import shutil
from copy import deepcopy
from pathlib import Path

import pytest
import torch
import transformers
from PIL import Image

from urbanln.base.errors import ArtefactError, InputError, StorageError, UrbanLNError
from urbanln.model.clip import LongClip, load_clip
from urbanln.model.preprocess import Preprocessing
from urbanln.model.stretch import interpolate_positions, stretch_positions
from urbanln.model.tokens import load_tokenizer
from urbanln.train.groups import parameter_groups


def pictures(count: int = 3, size: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


def positions(model: LongClip) -> torch.Tensor:
    return model.clip.text_model.embeddings.position_embedding.weight.detach()


@pytest.fixture
def texts(sentences: list[str]) -> list[str]:
    return [sentences[0], "a park", " ".join(sentences * 8), "", sentences[1] + ". " + sentences[2]]


@pytest.fixture
def legacy_folder(base_folder: Path, tmp_path: Path) -> Path:
    """OpenAI's checkpoints name token 2 as EOT in their configuration; the largest id is meant."""
    folder = tmp_path / "legacy"
    shutil.copytree(base_folder, folder)
    (folder / "urbanln.json").unlink()
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["eos_token_id"] = 2
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_loading_stretches_once(base_folder: Path, tmp_path: Path) -> None:
    base, long = load_clip(base_folder, context=77), load_clip(base_folder)
    assert (base.context, long.context, long.keep, long.dim, long.image_size) == (77, 248, 20, 16, 32)
    assert torch.equal(positions(long), stretch_positions(positions(base)))
    folder = long.save(tmp_path / "long")
    for context in (248, None):
        again = load_clip(folder, context=context, keep=3)
        assert torch.equal(positions(again), positions(long))
        assert again.keep == 20, "the folder remembers"
    with pytest.raises(InputError, match="before"):
        load_clip(folder, context=400)


def test_other_contexts(base_folder: Path) -> None:
    base = positions(load_clip(base_folder, context=None))
    assert torch.equal(positions(load_clip(base_folder, context=128)), stretch_positions(base, 20, 2)[:128])
    clamped = positions(load_clip(base_folder, context=100, keep=0, tail="clamp"))
    assert torch.equal(clamped, stretch_positions(base, 0, 2, "clamp")[:100])
    assert parameter_groups(load_clip(base_folder, context=77, keep=77), 0.1)
    with pytest.raises(InputError, match="below") as caught:
        load_clip(base_folder, context=50)
    assert str(base_folder) in str(caught.value)


def test_naive_interpolation_keeps_and_freezes_nothing(base_folder: Path, tmp_path: Path) -> None:
    naive = load_clip(base_folder, stretch="interpolate")
    base = positions(load_clip(base_folder, context=None))
    assert torch.equal(positions(naive), interpolate_positions(base, 248))
    assert naive.keep == 0
    assert naive.clip.text_model.embeddings.position_embedding.head.shape[0] == 0
    folder = naive.save(tmp_path / "naive")
    again = load_clip(folder)
    assert again.record.method == "interpolate"
    note = json.loads((folder / "urbanln.json").read_text())
    del note["method"]  # as written before there was a second method
    (folder / "urbanln.json").write_text(json.dumps(note))
    assert load_clip(folder).record.method == "keep"


@pytest.mark.parametrize("legacy", [False, True])
def test_short_captions_read_the_same_after_stretching(
    base_folder: Path, legacy_folder: Path, sentences: list[str], legacy: bool
) -> None:
    folder = legacy_folder if legacy else base_folder
    base, long = load_clip(folder, context=77), load_clip(folder)
    short = [s for s in [*sentences, "a park", ""] if long.count_tokens([s])[0] <= 20]
    assert len(short) >= 3
    with torch.no_grad():
        for text in short:
            before, after = base.encode_text(base.tokenize([text])), long.encode_text(long.tokenize([text]))
            torch.testing.assert_close(after, before, rtol=0, atol=1e-6)
        many = " ".join(sentences)
        assert not torch.allclose(
            base.encode_text(base.tokenize([many])), long.encode_text(long.tokenize([many])), atol=1e-4
        )


@pytest.mark.parametrize("legacy", [False, True])
def test_what_follows_eot_is_not_read(
    base_folder: Path, legacy_folder: Path, texts: list[str], legacy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = load_clip(legacy_folder if legacy else base_folder)
    ids = long.tokenize([texts[0], texts[1]])
    eot = long.tokenizer.eos_token_id
    padded = torch.full((2, 248), eot)
    padded[:, : ids.shape[1]] = ids
    with torch.no_grad():
        whole = long.clip.get_text_features(input_ids=padded).pooler_output
        assert torch.allclose(long.encode_text(padded, normalize=False), whole, atol=1e-6)
        seen = []
        plain = torch.nn.Embedding.forward
        # Not by a hook: a tower with one is run as it is.
        monkeypatch.setattr(
            torch.nn.Embedding, "forward", lambda self, given: seen.append(len(given)) or plain(self, given)
        )
        long.encode_text(padded)
    assert seen == [sum(long.count_tokens([texts[0], texts[1]]))]


@pytest.mark.parametrize("legacy", [False, True])
def test_a_saved_folder_is_a_plain_clip(
    base_folder: Path, legacy_folder: Path, texts: list[str], tmp_path: Path, legacy: bool
) -> None:
    long = load_clip(legacy_folder if legacy else base_folder)
    with torch.no_grad():
        for parameter in long.parameters():
            parameter += 0.01 * torch.randn(parameter.shape)
    folder = long.save(tmp_path / "saved")
    clip = transformers.CLIPModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    processor = transformers.CLIPImageProcessorPil.from_pretrained(folder)
    assert clip.config.text_config.max_position_embeddings == tokenizer.model_max_length == 248
    inputs = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    assert torch.equal(inputs["input_ids"], long.tokenize(texts))
    image = Image.fromarray(pictures(1, 50)[0].permute(1, 2, 0).numpy()[:, :41])
    pixels = processor(images=image, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        theirs = clip.get_text_features(input_ids=inputs["input_ids"]).pooler_output
        assert torch.allclose(long.encode_text(long.tokenize(texts), normalize=False), theirs, atol=1e-6)
        theirs = clip.get_image_features(pixel_values=pixels).pooler_output
        ours = long.encode_image(long.preprocess(image)[None], normalize=False)
        assert torch.allclose(ours, theirs, atol=1e-6)
        again = load_clip(folder)
        theirs, ours = (one.encode_text(one.tokenize(texts)) for one in (again, long))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
    assert all(
        name.suffix in {".json", ".safetensors"} for name in folder.iterdir() if name.name != "README.md"
    )
    assert str(tmp_path) not in "".join(f.read_text() for f in folder.glob("*.json"))


def test_tokens_are_cut_with_eot_last(long_clip: LongClip, texts: list[str]) -> None:
    counts, ids = long_clip.count_tokens(texts), long_clip.tokenize(texts)
    assert counts[2] > 248
    assert counts[3] == 2, "an empty text is BOS and EOT"
    assert ids.shape == (len(texts), 248)
    assert int(ids[2, -1]) == long_clip.tokenizer.eos_token_id
    assert ids[2, :-1].tolist() == long_clip.tokenizer([texts[2]])["input_ids"][0][:247]
    assert long_clip.tokenize(texts[:2]).shape[1] == max(counts[:2])
    for bad in ([], "a park", [None]):
        with pytest.raises(InputError, match="texts"):
            long_clip.tokenize(bad)  # type: ignore[arg-type]


def test_a_tokenizer_alone_counts_the_same(base_folder: Path, long_clip: LongClip, texts: list[str]) -> None:
    alone = load_tokenizer(base_folder)
    assert alone.count_tokens(texts) == long_clip.count_tokens(texts)
    assert torch.equal(alone.tokenize(texts), long_clip.tokenize(texts))


def test_unseen_letters_are_no_end_of_text(long_clip: LongClip) -> None:
    ids = long_clip.tokenize(["Größe 中 zq §$ ÿ"])[0].tolist()
    assert ids.count(long_clip.tokenizer.eos_token_id) == 1
    assert ids[-1] == long_clip.tokenizer.eos_token_id


def test_a_text_without_eot_is_refused(long_clip: LongClip) -> None:
    ids = long_clip.tokenize(["a park", "a river"])
    ids[1, -1] = 5
    with pytest.raises(InputError, match="end-of-text") as caught:
        long_clip.encode_text(ids)
    assert "row 1" in str(caught.value)
    with pytest.raises(InputError, match="shape"):
        long_clip.encode_text(torch.zeros(1, 249, dtype=torch.int64))
    with pytest.raises(InputError, match="shape"):
        long_clip.encode_image(pictures(2, 33))


def test_vectors_are_float32_of_length_one_also_under_autocast(long_clip: LongClip) -> None:
    ids = long_clip.tokenize(["a park", "grey roofs"])
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        image, text = long_clip(pictures(2), ids)
    for vectors in (image, text):
        assert vectors.dtype == torch.float32
        assert vectors.shape == (2, 16)
        assert torch.allclose(vectors.norm(dim=1), torch.ones(2), atol=1e-6)
    with torch.no_grad():
        scaled = (pictures(2).float() / 255 - long_clip.pixel_mean) / long_clip.pixel_std
        assert torch.equal(long_clip.encode_image(pictures(2)), long_clip.encode_image(scaled))


def one_step(model: LongClip) -> torch.Tensor:
    """One step with much decay; the position table before it."""
    before = positions(model).clone()
    optimiser = torch.optim.AdamW(parameter_groups(model, weight_decay=0.5), lr=0.1)
    for _ in range(2):
        image, text = model(pictures(2), model.tokenize(["a park beside a river " * 9, "grey roofs"]))
        (model.logit_scale.exp() * (image * text).sum()).backward()
        # DDP waits for every gradient.
        assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
        optimiser.step()
    return before


def test_decay_does_not_move_kept_rows(base_folder: Path, tmp_path: Path) -> None:
    model = load_clip(base_folder)
    before = one_step(model)
    assert torch.equal(positions(model)[:20], before[:20])
    assert (positions(model)[20:] != before[20:]).all(), "decay moves every other row, read or not"
    again = load_clip(model.save(tmp_path / "run"), context=None)
    before = one_step(again)
    assert torch.equal(positions(again)[:20], before[:20]), "after reloading too"
    free = load_clip(base_folder, freeze_head=False)
    before = one_step(free)
    assert (positions(free)[:20] != before[:20]).any()


def test_parameter_groups_hold_each_trained_parameter_once(long_clip: LongClip) -> None:
    long_clip.clip.visual_projection.requires_grad_(False)
    decayed, plain = parameter_groups(long_clip, 0.3)
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.3, 0.0)
    ids = [id(p) for p in decayed["params"] + plain["params"]]
    assert len(ids) == len(set(ids))
    assert set(ids) == {id(p) for p in long_clip.parameters() if p.requires_grad}
    assert any(p is long_clip.logit_scale for p in plain["params"])
    assert all(p.ndim >= 2 for p in decayed["params"])


def test_a_model_can_be_copied_and_its_state_carried_over(long_clip: LongClip, base_folder: Path) -> None:
    copy = deepcopy(long_clip)
    other = load_clip(base_folder)
    one_step(copy)
    other.load_state_dict(copy.state_dict())
    ids = long_clip.tokenize(["a park"])
    with torch.no_grad():
        # Equal weights at addresses of another alignment may differ in the last bit of a product.
        torch.testing.assert_close(copy.encode_text(ids), other.encode_text(ids), rtol=0, atol=1e-6)
        assert (copy.encode_text(ids) - long_clip.encode_text(ids)).abs().max() > 1e-4
    theirs = other.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in copy.state_dict().items())


def broken(base: Path, folder: Path, how: str) -> Path:
    shutil.copytree(base, folder)
    weights, config = folder / "model.safetensors", folder / "config.json"
    if how == "cut":
        weights.write_bytes(weights.read_bytes()[:-5000])
    elif how == "empty":
        weights.write_bytes(b"")
    elif how == "missing":
        weights.unlink()
    elif how == "kind":
        config.write_text(json.dumps({"model_type": "bert"}))
    elif how == "json":
        config.write_text(config.read_text()[:100])
    elif how == "no config":
        config.unlink()
    elif how == "no tokenizer":
        (folder / "tokenizer.json").unlink()
    elif how == "tokenizer":
        (folder / "tokenizer.json").write_text("{}")
    elif how == "preprocessing":
        (folder / "preprocessor_config.json").write_text('{"image_mean": [')
    elif how == "record":
        (folder / "urbanln.json").write_text('{"kind": "clip", "schema_version": 99}')
    return folder


@pytest.mark.parametrize(
    ("how", "kind", "word"),
    [
        ("cut", ArtefactError, "weights"),
        ("empty", ArtefactError, "weights"),
        ("missing", ArtefactError, "weights"),
        ("kind", InputError, "cannot be a base"),
        ("json", ArtefactError, "JSON"),
        ("no config", InputError, "config.json"),
        ("no tokenizer", InputError, "tokenizer"),
        ("tokenizer", ArtefactError, "tokenizer"),
        ("preprocessing", ArtefactError, "preprocessing"),
        ("record", ArtefactError, "newer"),
    ],
)
def test_a_damaged_folder_is_one_clear_error(
    base_folder: Path, tmp_path: Path, how: str, kind: type[UrbanLNError], word: str
) -> None:
    folder = broken(base_folder, tmp_path / "broken", how)
    with pytest.raises(kind, match=word) as caught:
        load_clip(folder)
    assert str(folder) in str(caught.value)


def test_pictures_of_a_folder_without_their_settings_are_normalised_as_clips(
    base_folder: Path, tmp_path: Path
) -> None:
    folder = broken(base_folder, tmp_path / "plain", "none")
    (folder / "preprocessor_config.json").unlink()
    assert load_clip(folder).preprocessing == Preprocessing(32)


@pytest.mark.parametrize(
    "changed", [{"resample": 2}, {"size": {"shortest_edge": 40}}, {"size": {"height": 40, "width": 36}}]
)
def test_how_pictures_are_prepared_is_read_and_written(
    base_folder: Path, tmp_path: Path, changed: dict[str, object]
) -> None:
    folder = broken(base_folder, tmp_path / "own", "none")
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))
    model = load_clip(folder)
    assert model.preprocessing != Preprocessing(32)
    model.save(tmp_path / "saved")
    assert load_clip(tmp_path / "saved").preprocessing == model.preprocessing


def test_a_damaged_nested_file_is_no_missing_one(base_folder: Path, tmp_path: Path) -> None:
    folder = broken(base_folder, tmp_path / "nested", "none")
    facts = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": facts | {"resample": 2}}))
    assert load_clip(folder).preprocessing.resample == 2
    (folder / "processor_config.json").write_text('{"image_processor": {')
    with pytest.raises(ArtefactError):
        load_clip(folder)


@pytest.mark.parametrize("writer", ["weights", "tokenizer"])
def test_a_full_disk_while_saving_is_one_clear_error_and_leaves_the_old_folder(
    long_clip: LongClip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str
) -> None:
    from safetensors import SafetensorError

    from urbanln.model import checkpoint

    long_clip.save(tmp_path / "model")
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}

    def full(*_: object, **__: object) -> None:
        kind = SafetensorError if writer == "weights" else Exception  # as the Rust libraries raise them
        raise kind("I/O error: No space left on device (os error 28)")

    if writer == "weights":
        monkeypatch.setattr(checkpoint, "save_file", full)
    else:
        monkeypatch.setattr(long_clip.tokenizer, "save_pretrained", full)
    with pytest.raises(StorageError, match="No space left") as caught:
        long_clip.save(tmp_path / "model")
    assert "free some space" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before


def test_missing_tensors_and_a_foreign_tokenizer_are_refused(base_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = broken(base_folder, tmp_path / "partial", "none")
    weights = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "visual_projection" not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ArtefactError, match="incomplete") as caught:
        load_clip(folder)
    assert "visual_projection.weight" in str(caught.value)

    folder = broken(base_folder, tmp_path / "foreign", "none")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["eos_token_id"] = 7
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ArtefactError, match="does not belong"):
        load_clip(folder)


def test_names_that_lead_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name in (tmp_path / "none", "./none", "a/b/c"):
        with pytest.raises(InputError, match="no such model folder"):
            load_clip(name)
    with pytest.raises(InputError, match="hub") as caught:
        load_clip("nobody/nothing")
    assert "'tiny'" in str(caught.value)


def test_tiny_missing_from_the_installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("urbanln.model.source._TINY", tmp_path)
    with pytest.raises(InputError, match="missing from the installation"):
        load_clip()
