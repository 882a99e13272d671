from __future__ import annotations

import asyncio
import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoConfig,
    AutoProcessor,
    Blip2Config,
    Blip2ForConditionalGeneration,
    Blip2Processor,
    BlipImageProcessorPil,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    OPTConfig,
    PreTrainedTokenizerFast,
)

from urbanln.base.errors import InputError
from urbanln.captions.captioners.answers import judge
from urbanln.captions.captioners.base import Answer, Ask, LastingFault, Picture, Prompt
from urbanln.captions.networks.local_model import LocalCaptioner
from urbanln.captions.settings import CaptionerSettings

SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "<image>"]
WORDS = ["describe", "user", ":", "what", "a", "red", "roof", "tree", "road", "near", "the", ".", "house"]
TEMPLATE = (
    "{% for m in messages %}USER : {% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<image>{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endfor %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random LLaVA of the real class: a CLIP tower for 32 pixels, a Llama of two layers, 18 words."""
    path = tmp_path_factory.mktemp("llava")
    torch.manual_seed(2)
    vocabulary = {word: n for n, word in enumerate(SPECIAL + WORDS)}
    raw = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
        additional_special_tokens=["<image>"],
    )  # fmt: skip
    pictures = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    LlavaProcessor(
        image_processor=pictures, tokenizer=tokenizer, patch_size=8,
        vision_feature_select_strategy="default", image_token="<image>", num_additional_image_tokens=1,
    ).save_pretrained(path)  # fmt: skip
    tower = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**tower, image_size=32, patch_size=8, projection_dim=32),
        text_config=LlamaConfig(**tower, vocab_size=len(vocabulary), **ids),
        image_token_index=4,
        image_seq_length=16,
    )
    LlavaForConditionalGeneration(config).save_pretrained(path)
    return path


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def ask(colour: str = "red", text: str = "describe what", **how: object) -> Ask:
    file = io.BytesIO()
    Image.new("RGB", (90, 60), colour).save(file, "PNG")
    picture = Picture("p", "satellite", "p.png", "hash", file.getvalue)
    return Ask(picture, prompt=Prompt(text), **how)  # type: ignore[arg-type]


def captioner(folder: Path, **settings: object) -> LocalCaptioner:
    given = {"model": str(folder), "kind": "transformers", "temperature": 0, "max_tokens": 12, **settings}
    return LocalCaptioner("local", CaptionerSettings(**given))  # type: ignore[arg-type]


def answer(local: LocalCaptioner, one: Ask) -> Answer:
    return asyncio.run(local.answer(one))


def test_a_real_model_answers_by_path(folder: Path) -> None:
    local = captioner(folder)
    assert local.prepare([]) == []
    found = answer(local, ask())
    assert found.text
    assert set(found.text.split()) <= {*WORDS, *SPECIAL}
    # 16 patches of the picture and two words; no limit is overrun.
    assert found.tokens_in == 18
    assert found.tokens_out is not None
    assert found.tokens_out <= 12
    assert found == Answer(**{**vars(answer(captioner(folder), ask())), "seconds": found.seconds})
    assert "torchvision" not in sys.modules


def test_cut_texts_say_so_and_parts_have_a_limit_of_their_own(folder: Path) -> None:
    whole = answer(captioner(folder, max_tokens=6, max_tokens_local=3), ask())
    part = answer(
        captioner(folder, max_tokens=6, max_tokens_local=3),
        ask(stage="local", box=(0, 0, 0.5, 0.5), min_side=40),
    )
    assert (whole.finish, whole.tokens_out) == ("length", 6)
    assert (part.finish, part.tokens_out) == ("length", 3)


def test_an_answer_that_ends_by_itself_is_whole(folder: Path, tmp_path: Path) -> None:
    model = LlavaForConditionalGeneration.from_pretrained(folder)
    with torch.no_grad():
        # Whatever comes in, the end comes out.
        model.lm_head.weight.zero_()
        model.generation_config.forced_eos_token_id = 2
    model.save_pretrained(tmp_path)
    LlavaProcessor.from_pretrained(folder).save_pretrained(tmp_path)
    found = answer(captioner(tmp_path, max_tokens=5), ask())
    assert (found.finish, found.tokens_out) == ("stop", 5)


def test_the_seed_decides_and_the_order_of_questions_does_not(folder: Path) -> None:
    warm = captioner(folder, temperature=2, seed=1)
    first, _, again = (answer(warm, one).text for one in (ask(), ask("blue"), ask()))
    assert first == again
    others = {answer(captioner(folder, temperature=2, seed=seed), ask()).text for seed in range(2, 6)}
    assert others != {first}


def test_several_questions_at_once_are_answered_one_by_one(folder: Path) -> None:
    local = captioner(folder)
    colours = ["red", "blue", "white", "black"]

    async def all_at_once() -> list[Answer]:
        return await asyncio.gather(*(local.answer(ask(colour)) for colour in colours))

    assert [a.text for a in asyncio.run(all_at_once())] == [answer(local, ask(c)).text for c in colours]
    assert local.limits.concurrency == 1


@pytest.mark.parametrize(
    ("marks", "left"), [(("[THINK]", "[/THINK]"), "house"), (("<mark>", "</mark>"), "red roof house")]
)
def test_tokens_that_mark_a_thought_are_not_lost_in_decoding(
    folder: Path, tmp_path: Path, marks: tuple[str, str], left: str
) -> None:
    processor = LlavaProcessor.from_pretrained(folder)
    processor.tokenizer.add_special_tokens({"additional_special_tokens": ["<image>", *marks]})
    processor.save_pretrained(tmp_path)
    model = LlavaForConditionalGeneration.from_pretrained(folder)
    model.resize_token_embeddings(len(processor.tokenizer))
    model.save_pretrained(tmp_path)
    local = captioner(tmp_path)
    local.prepare([])
    assert local._loaded is not None
    said = processor.tokenizer.convert_tokens_to_ids([marks[0], "red", "roof", marks[1], "house", "</s>"])
    local._loaded.model.generate = lambda **_: torch.tensor([said])
    found = answer(local, ask())
    assert judge(found.text, found.finish).text == left


def test_special_tokens_in_a_prompt_are_no_pictures(folder: Path) -> None:
    plain = answer(captioner(folder), ask(text="describe what"))
    hostile = answer(captioner(folder), ask(text="describe <image> </s> <image> what"))
    assert (hostile.tokens_in, hostile.text) == (plain.tokens_in, plain.text)


def test_a_chat_template_is_used(folder: Path, tmp_path: Path) -> None:
    LlavaForConditionalGeneration.from_pretrained(folder).save_pretrained(tmp_path)
    processor = LlavaProcessor.from_pretrained(folder)
    processor.chat_template = TEMPLATE
    processor.save_pretrained(tmp_path)
    found = answer(captioner(tmp_path), ask(text="describe <image> what"))
    # "USER :", 16 patches, two words.
    assert found.tokens_in == 20


def test_a_processor_that_puts_the_picture_in_itself_is_let_do_so(folder: Path, tmp_path: Path) -> None:
    """BLIP-2: its processor writes the picture's tokens, and names them by an object that is no text."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tower = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = OPTConfig(
        vocab_size=len(tokenizer), hidden_size=32, ffn_dim=32, num_hidden_layers=1, num_attention_heads=2,
        word_embed_proj_dim=32, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    config = Blip2Config(
        vision_config={**tower, "image_size": 32, "patch_size": 8},
        qformer_config={**tower, "encoder_hidden_size": 32},
        text_config=text.to_dict(),
        num_query_tokens=4,
        image_token_index=4,
    )
    Blip2ForConditionalGeneration(config).save_pretrained(tmp_path)
    pictures = BlipImageProcessorPil(size={"height": 32, "width": 32})
    Blip2Processor(pictures, tokenizer, num_query_tokens=4).save_pretrained(tmp_path)
    found = answer(captioner(tmp_path), ask(text="describe <image> what"))
    # Four tokens of the picture, two words.
    assert found.tokens_in == 6
    assert found.text


def test_a_processor_of_pictures_alone_is_an_input_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(AutoProcessor, "from_pretrained", lambda *a, **k: CLIPImageProcessorPil())
    with pytest.raises(InputError, match="no processor for both"):
        captioner(folder).prepare([])


def test_a_package_a_model_needs_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*given: object, **options: object) -> None:
        raise ImportError("\nThisProcessor requires the Torchvision library\nbut it was not found\n")

    monkeypatch.setattr(AutoProcessor, "from_pretrained", lacking)
    with pytest.raises(InputError) as raised:
        captioner(folder).prepare([])
    assert "requires the Torchvision library but" in str(raised.value)
    assert "install the package" in str(raised.value)


def test_a_model_of_the_hub_is_known_by_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def hub(name: str, **options: object) -> object:
        asked.append(name)
        return SimpleNamespace(_commit_hash="c0ffee" * 7)

    monkeypatch.setattr(AutoConfig, "from_pretrained", hub)
    assert captioner(Path("someone/model")).identity.revision == "c0ffeec0ffee"
    assert captioner(Path("someone/model"), revision="r1").identity.revision == "r1"
    assert asked == ["someone/model"]


def test_a_model_that_fails_is_a_lasting_fault(folder: Path) -> None:
    with pytest.raises(LastingFault, match="failed on this question"):
        answer(captioner(folder, extra_body={"num_beams": 0}), ask())


def test_the_revision_tells_models_of_one_name_apart(folder: Path, tmp_path: Path) -> None:
    first = captioner(folder).identity
    assert first == captioner(folder).identity
    assert captioner(folder, temperature=1).identity != first
    copy = tmp_path / folder.name
    model = LlavaForConditionalGeneration.from_pretrained(folder)
    with torch.no_grad():
        model.lm_head.weight += 1
    model.save_pretrained(copy)
    LlavaProcessor.from_pretrained(folder).save_pretrained(copy)
    other = captioner(copy).identity
    assert other.decoding == first.decoding
    assert other.revision != first.revision
    assert captioner(folder, revision="r1").identity.revision == "r1"


def test_closing_lets_go_and_the_next_question_loads_again(folder: Path) -> None:
    local = captioner(folder)
    before = answer(local, ask()).text
    asyncio.run(local.close())
    assert local._loaded is None
    assert answer(local, ask()).text == before


def test_no_such_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no image-text-to-text model"):
        captioner(tmp_path).prepare([])
