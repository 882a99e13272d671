"""Any two towers as a base: vectors of the plain class, positions stretched where they can be, faults."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from tests.model.other_bases import TEXTS, make_chinese_clip, make_two_towers, picture, pictures_of
from torch import Tensor
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging

from urbanln.base.errors import ArtefactError, InputError, UrbanLNError
from urbanln.model.clip import load_clip
from urbanln.model.context import settled_context
from urbanln.model.source import find_source
from urbanln.model.stretch import stretch_positions
from urbanln.model.tokens import load_tokenizer

logging.set_verbosity_error()
# Of each base the positions it has, and those it is given; a table of 514 rows is long enough as it is.
BASES = {
    "vit-bert-32": (32, 68),
    "dinov2-roberta-34": (32, 68),
    "clip-clip-77": (77, 248),
    "vit-bert-514": (514, 514),
    "vit-ernie-40": (40, 40),
    "chinese": (512, 512),
}
HARD = [*TEXTS, " and ".join(TEXTS * 3), "", "[PAD] a river </s> <|endoftext|> a park"]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, made = tmp_path_factory.mktemp("towers"), {}
    for name in BASES:
        if name == "chinese":
            made[name] = make_chinese_clip(folder / name)
        else:
            vision, text, rows = name.split("-")
            made[name] = make_two_towers(folder / name, vision, text, rows=int(rows))
    return made


def _theirs(folder: Path, length: int) -> tuple[Tensor, Tensor]:
    network = AutoModel.from_pretrained(folder)
    words = AutoTokenizer.from_pretrained(folder)(
        HARD[:-1], padding=True, truncation=True, max_length=length, return_tensors="pt"
    )
    given = {name: words[name] for name in ("input_ids", "attention_mask")}
    pixels = pictures_of(folder)(images=_pictures(), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        text = network.get_text_features(**given).pooler_output
        return network.get_image_features(pixel_values=pixels).pooler_output, text


def _pictures() -> list:
    return [picture(16, 16), picture(40, 18), picture(9, 33)]


@pytest.mark.parametrize("name", BASES)
def test_unstretched_its_vectors_are_those_of_the_plain_class(bases: dict[str, Path], name: str) -> None:
    model = load_clip(bases[name], context=None)
    image, text = _theirs(bases[name], BASES[name][0])
    assert (model.context, model.image_size) == (BASES[name][0], 16)
    with torch.no_grad():
        ours = model.encode_text(model.tokenize(HARD[:-1]), normalize=False)
        torch.testing.assert_close(ours, text, rtol=0, atol=1e-5)
        pixels = torch.stack([model.preprocess(one) for one in _pictures()])
        torch.testing.assert_close(model.encode_image(pixels, normalize=False), image, rtol=0, atol=1e-5)
    assert text.std(dim=0).max() > 0.1  # they say something
    assert model.encode_text(model.tokenize(HARD[-1:])).isfinite().all()


@pytest.mark.parametrize("name", BASES)
def test_positions_are_stretched_once_and_saved(bases: dict[str, Path], name: str, tmp_path: Path) -> None:
    base, model = load_clip(bases[name], context=None), load_clip(bases[name])
    own, given = BASES[name]
    assert settled_context(find_source(bases[name])) == load_tokenizer(bases[name]).context == given
    assert model.context == given
    if (table := model.family.table(model.clip)) is not None:
        rows, before = (one.clip.get_submodule(table.place).weight for one in (model, base))
        first = table.before
        assert torch.equal(rows[: first + 20], before[: first + 20])
        wanted = stretch_positions(before[first:], 20, 4) if own != given else before[first:]
        assert torch.equal(rows[first:], wanted)
    else:
        assert "no table of positions that could be stretched" in model.about_texts
        with pytest.raises(InputError, match="cannot be stretched"):
            load_clip(bases[name], context=96)
    out = model.save(tmp_path / "saved")
    again = load_clip(out)
    assert (again.context, again.record, again.preprocessing) == (given, model.record, model.preprocessing)
    image, text = _theirs(out, given)
    with torch.no_grad():
        ours = again.encode_text(again.tokenize(HARD[:-1]), normalize=False)
        torch.testing.assert_close(ours, text, rtol=0, atol=1e-5)
        pixels = torch.stack([again.preprocess(one) for one in _pictures()])
        torch.testing.assert_close(again.encode_image(pixels, normalize=False), image, rtol=0, atol=1e-5)
    card = (out / "README.md").read_text()
    assert f"# A {model.family.title}" in card
    assert model.about_texts in card


def test_what_no_vector_needs_does_not_train(bases: dict[str, Path]) -> None:
    model = load_clip(bases["dinov2-roberta-34"])
    still = [name for name, weight in model.named_parameters() if not weight.requires_grad]
    assert still == ["clip.vision_model.embeddings.mask_token"]
    v, t = model(torch.zeros(2, 3, 16, 16), model.tokenize(TEXTS[:2]))
    ((v * t).sum() * model.logit_scale.exp()).backward()
    without = [
        name for name, weight in model.named_parameters() if weight.requires_grad and weight.grad is None
    ]
    assert not without


def test_all_of_it_moves_to_another_device(bases: dict[str, Path]) -> None:
    model = load_clip(bases["vit-bert-32"]).to("meta")  # a device whose tensors meet no others
    assert model.encode_image(torch.zeros(2, 3, 16, 16)).shape == (2, 16)
    ids = torch.ones(2, model.context, dtype=torch.long, device="meta")
    assert model.clip.text_model.embeddings(input_ids=ids).shape == (2, 68, 32)


def _broken(base: Path, folder: Path, how: str) -> Path:
    shutil.copytree(base, folder)
    if how == "no pictures":
        (folder / "preprocessor_config.json").unlink()
    elif how == "no tokenizer":
        (folder / "tokenizer.json").unlink()
    elif how == "vocabulary":
        load_tokenizer("tiny").tokenizer.save_pretrained(folder)
    elif how == "padding":
        file = folder / "tokenizer_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"pad_token": "[SEP]"}))
    elif how == "no padding":
        file = folder / "tokenizer_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"pad_token": None}))
    elif how == "size":
        file = folder / "preprocessor_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"size": {"height": 24, "width": 24}}))
    elif how == "half":
        from safetensors.torch import load_file, save_file

        state = load_file(folder / "model.safetensors")
        kept = {name: one for name, one in state.items() if not name.startswith("text_model.pooler")}
        save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(
    ("how", "kind", "word"),
    [
        ("no pictures", InputError, "does not say how its picture tower wants"),
        ("no tokenizer", InputError, "has no tokenizer"),
        ("vocabulary", ArtefactError, "tokens; the text tower has"),
        ("padding", ArtefactError, "padding 3; the text tower has 0"),
        ("no padding", InputError, "no token to pad with"),
        ("size", InputError, "no vectors of a picture of 24 × 24"),
        ("half", ArtefactError, "2 tensors are missing"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(
    bases: dict[str, Path], tmp_path: Path, how: str, kind: type[UrbanLNError], word: str
) -> None:
    folder = _broken(bases["vit-bert-32"], tmp_path / "broken", how)
    with pytest.raises(kind, match=word) as caught:
        load_clip(folder)
    assert str(folder) in str(caught.value)


def test_towers_that_do_not_pool_or_read_all_texts_alike_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pooler_output"):
        load_clip(make_two_towers(tmp_path / "distilbert", text="distilbert", rows=64))
    clip = make_two_towers(tmp_path / "clip", text="clip", rows=77)
    config = json.loads((clip / "config.json").read_text())
    config["text_config"]["eos_token_id"] = 300
    (clip / "config.json").write_text(json.dumps(config))
    with pytest.raises(ArtefactError, match="reads two texts alike"):
        load_clip(clip)
