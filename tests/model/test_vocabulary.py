"""CLIP's own vocabulary."""

from __future__ import annotations

from pathlib import Path

import pytest

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
