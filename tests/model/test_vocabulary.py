"""CLIP's own vocabulary."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import urbanln.model
from urbanln.base.errors import InputError
from urbanln.model.clip import load_clip
from urbanln.model.tokens import clip_tokenizer, load_tokenizer


# Ids as OpenAI's tokenizer gives them: the first two stand in its repository, the others are open_clip's.
@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("a diagram", [320, 22697]),
        ("a photo of a cat", [320, 1125, 539, 320, 2368]),
        ("", []),
    ],
)
def test_ids_are_those_of_the_published_clip(text: str, ids: list[int]) -> None:
    assert load_tokenizer("clip").tokenize([text])[0].tolist() == [49406, *ids, 49407]


def test_every_byte_has_a_token() -> None:
    tokenizer = clip_tokenizer()
    assert len(tokenizer) == 49408
    text = "a 北京 é ☂ \U0001f600"
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True).split() == text.split()
    assert ids.count(tokenizer.eos_token_id) == 1


def test_a_tokenizer_is_not_shared() -> None:
    one, other = clip_tokenizer(context=77), clip_tokenizer(context=248)
    one.add_tokens(["newword"])
    assert (one.model_max_length, other.model_max_length) == (77, 248)
    assert (len(one), len(other), len(clip_tokenizer())) == (49409, 49408, 49408)


def test_the_vocabulary_is_no_model() -> None:
    with pytest.raises(InputError, match="no weights come with it"):
        load_clip("clip")


def test_a_folder_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clip").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="holds no model"):
        load_tokenizer("clip")


def test_its_licence_travels_with_it() -> None:
    import urbanln.model.tokens as module

    text = (Path(module.__file__).parent / "clip_vocabulary/LICENSE.txt").read_text()
    assert "Permission is hereby granted" in text
    assert "OpenAI" in text


def test_many_texts_are_counted_in_pieces_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = load_tokenizer("clip")
    many = [" ".join(["road"] * n) for n in range(7)]
    whole = tokens.count_tokens(many)
    monkeypatch.setattr("urbanln.model.texts._PIECE", 3)
    assert tokens.count_tokens(many) == whole == [n + 2 for n in range(7)]
    with pytest.raises(InputError, match="list of texts"):
        tokens.count_tokens([*many, None])  # type: ignore[list-item]


@pytest.mark.parametrize("name", ["clip", "tiny", "saved", "not special", "vocab and merges"])
@pytest.mark.parametrize(
    "text",
    [
        "a road.<|endoftext|> trees and a river behind it.",
        "<|startoftext|>a road",
        "a road <|endoftext|>",
        "<|endoftext|>",
        "<|EndOfText|> trees",
    ],
)
def test_a_terminator_in_a_text_is_read_as_its_letters(name: str, text: str, tmp_path: Path) -> None:
    tokens = load_tokenizer(name if name in ("clip", "tiny") else _saved(name, tmp_path))
    bos, eot = tokens.tokenizer.bos_token_id, tokens.tokenizer.eos_token_id
    ids = tokens.tokenize([text])[0].tolist()
    assert (ids[0], ids[-1], ids.count(bos), ids.count(eot)) == (bos, eot, 1, 1)
    assert tokens.count_tokens([text]) == [len(ids)]
    said = tokens.tokenizer.decode(ids[1:-1])
    assert "".join(said.split()) == "".join(text.lower().split())


def test_a_text_is_read_to_its_end_behind_a_written_terminator() -> None:
    model = load_clip("tiny")
    ids = model.tokenize(["a road.<|endoftext|> trees and a river behind it.", "a road."])
    assert (ids[0] == model.tokenizer.eos_token_id).nonzero().tolist() == [[ids.shape[1] - 1]]
    both = model.encode_text(model.tokenize(["a road.<|endoftext|> trees", "a road.<|endoftext|> ships"]))
    assert not both[0].allclose(both[1])


def test_what_a_vocabulary_does_not_know_ends_no_text(tmp_path: Path) -> None:
    folder = _saved("saved", tmp_path)
    file = folder / "tokenizer.json"
    kept = json.loads(file.read_text())
    # As saved vocabularies are that do not hold every byte: the unknown token is EOT.
    gone = {token for token in kept["model"]["vocab"] if token.startswith("z")}
    kept["model"]["vocab"] = {token: n for token, n in kept["model"]["vocab"].items() if token not in gone}
    kept["model"]["merges"] = [pair for pair in kept["model"]["merges"] if not {*pair, "".join(pair)} & gone]
    kept["model"]["unk_token"] = "<|endoftext|>"
    file.write_text(json.dumps(kept))
    tokens = load_tokenizer(folder)
    ids = tokens.tokenize(["a z road"])[0].tolist()
    assert ids.count(tokens.tokenizer.eos_token_id) == 1
    assert ids == tokens.tokenize(["a road"])[0].tolist()


def _saved(how: str, folder: Path) -> Path:
    load_tokenizer("tiny").tokenizer.save_pretrained(folder)
    shutil.copy(Path(urbanln.model.__file__).with_name("tiny") / "config.json", folder)
    file = folder / "tokenizer.json"
    kept = json.loads(file.read_text())
    if how == "not special":
        for token in kept["added_tokens"]:
            token["special"] = False
        file.write_text(json.dumps(kept))
    elif how == "vocab and merges":
        file.unlink()
        (folder / "vocab.json").write_text(json.dumps(kept["model"]["vocab"]))
        merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in kept["model"]["merges"]]
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]))
        (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "CLIPTokenizer"}')
    return folder
