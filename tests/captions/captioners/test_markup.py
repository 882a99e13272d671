"""What models write around an answer is taken out, and ordinary text is not touched."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urbanln.captions.captioners.markup import is_thought_mark, unwrap

G = "A wide road runs past brick houses. Green trees line both sides."
T = "The user wants a caption. There may be a ship [here], I am not sure."

WRAPPED = [
    # Thoughts: whole, only closed, nested, twice, of every family.
    f"<think>\n{T}\n</think>\n\n{G}",
    f"{T}\n</think>\n\n{G}",
    f"<think></think>\n\n{G}",
    f"<THINK>{T}</THINK>{G}",
    f"<think>a <think> b </think> c </think> {G}",
    f"<think>I should close it with </think> later. </think>{G}",
    f"<think>{T}</think>{G}<think>{T}",
    f"<think>{T}</think>{G}<think>{T}</think>",
    f"<thinking>{T}</thinking>\n{G}",
    f"<thought>{T}</thought>{G}",
    f"<reasoning>\n{T}\n</reasoning>\n{G}",
    f"<seed:think>{T}</seed:think>{G}",
    f"[THINK]{T}[/THINK]{G}</s>",
    f"{T}[/THINK]{G}",
    f"◁think▷{T}◁/think▷{G}",
    f"{T}◁/think▷{G}",
    f"<|begin_of_thought|>{T}<|end_of_thought|><|begin_of_solution|>{G}<|end_of_solution|>",
    f"<|START_THINKING|>{T}<|END_THINKING|><|START_RESPONSE|>{G}<|END_RESPONSE|>",
    f"<unused94>thought\n{T}<unused95>{G}",
    f"<|channel>thought\n{T}<channel|>{G}<turn|>",
    f'<details type="reasoning" done="true"><summary>Thought</summary>{T}</details>\n{G}',
    f"Here is my thought process: {T}\nHere is my response: {G}",
    # Channels of gpt-oss, with and without their tokens.
    f"<|channel|>analysis<|message|>{T}<|end|><|start|>assistant<|channel|>final<|message|>{G}<|return|>",
    f"<|channel|>analysis<|message|>{T}<|channel|>commentary<|message|>Well.<|channel|>final<|message|>{G}",
    f"<|channel|>final<|message|>{G}",
    f"analysis{T}assistantfinal{G}",
    # Answers with tags of their own.
    f"<think>{T}</think><answer>{G}</answer>",
    f"<answer>{G}",
    f"{T}<answer>\n{G}\n</answer>\nI hope this helps.",
    f"<think>{T}<answer>{G}</answer>",
    f"<think>{T}</think><|begin_of_box|>{G}<|end_of_box|>",
    f"<SUMMARY>{T}</SUMMARY><REASONING>{T}</REASONING><CONCLUSION>{G}</CONCLUSION>",
    *(
        text
        for tag in ("response", "output", "result", "final", "final_answer", "description", "image_caption")
        for text in (
            f"<{tag}>{G}</{tag}>",
            f"<{tag}>\n{G}\n",
            f"<analysis>{T}</analysis>\n<{tag}>{G}</{tag}> Bye.",
        )
    ),
    f"<analysis>{T}</analysis>{G}",
    f"{T}</analysis>{G}",
    f"<s>{G}</s>Human: And?",
    # The end of the text, and what a model says to itself behind it.
    *(
        f"{G}{end}"
        for end in ("<|im_end|>", "<|eot_id|>", "</s>", "<end_of_turn>", "<eos>", "<|end_of_text|>")
    ),
    f"{G}<|endoftext|>Human: what is two plus two? Assistant: four.",
    f"{G}</s>[INST] And now? [/INST] A ship.",
    f"{G}<｜end▁of▁sentence｜>A ship.",
    f"{G}\nHuman: what else?\nAssistant: a ship.",
    f"{G}<|user|>\nAnd?<|assistant|>\nA ship.",
    f"<|endoftext|>{G}",
    f"{G}<|im_",
    # Turns, with the question before the answer.
    f"<|im_start|>assistant\n{G}<|im_end|>",
    f"<|im_start|>user\nDescribe it.<|im_end|>\n<|im_start|>assistant\n{G}<|im_end|>",
    f"<|start_header_id|>assistant<|end_header_id|>\n\n{G}<|eot_id|>",
    f"<start_of_turn>model\n{G}<end_of_turn>\n<start_of_turn>user\nMore!",
    f"<s>[INST] <image>\nDescribe it. [/INST] {G}</s>",
    f"ASSISTANT: {G}",
    f"USER: \nDescribe it. ASSISTANT: {G}",
    f"{G} USER: And? ASSISTANT: A ship.",
    f"{G}###Human: And?###Assistant: A ship.",
    f"<|channel|>final <|constrain|>json<|message|>{G}<|return|>",
    G.replace("wide road", '<point x="12.5" y="3" alt="road">wide road</point>'),
    # Tokens that hold a place or tell where something is.
    "<unused32>" + G + "<unused32>" * 12,
    f"<bos>{G}<eos><pad><pad>",
    f"<image>\n{G}",
    f"<|vision_start|><|image_pad|><|vision_end|>{G}",
    G.replace("wide road", "<ref>wide road</ref><box>[[1, 2, 30, 40]]</box>"),
    G.replace("houses", "<|object_ref_start|>houses<|object_ref_end|><|box_start|>(1,2),(3,4)<|box_end|>"),
]


@pytest.mark.parametrize("text", WRAPPED)
def test_the_answer_alone_is_left(text: str) -> None:
    assert unwrap(text).text == G


@pytest.mark.parametrize(
    ("text", "is_open"),
    [
        (f"<think>\n{T}", True),
        (f"<think>{T}</think>", False),
        (f"{T}</think>\n", False),
        (f"<thinking>{T} <|im_end|>", True),
        (f"[THINK]{T}", True),
        (f"<|channel|>analysis<|message|>{T}", True),
        (f"analysis{T}", False),
        (f"<|channel>thought\n{T}", True),
        (f"<think>{T}<|endoftext|>Human: more?", True),
    ],
)
def test_a_thought_alone_leaves_nothing(text: str, is_open: bool) -> None:
    found = unwrap(text)
    assert (found.text, found.thought, found.open) == ("", True, is_open)


@pytest.mark.parametrize("text", ["<unused32>" * 12, "<|im_end|>", "</s></s>", "<pad>" * 40])
def test_tokens_alone_leave_nothing_and_are_no_thought(text: str) -> None:
    found = unwrap(text)
    assert (found.text, found.thought) == ("", False)


@pytest.mark.parametrize(
    "text",
    [
        G,
        "A sign <stop> and [a fence].",
        "A shop named USER: next door, a hall.",
        "A banner <s>Sale</s> hangs over the door.",
        "The sign '<s>Sale</s>' hangs there.",
        'The sign reads "<caption>" here.',
        "The sign reads “</answer>” here.",
        "A width < 5 m and > 2 m.",
        "[Photo] A road <b>beside</b> a park.",
        "I think the road is wide; a thought: it ends here.",
        "Shops [INSTANT NOODLES] line it.",
        "User manuals lie on the table.\nHumans walk by.",
        "analysis of a road",
        "A board |a|b| and a mark <|>.",
        " two  blanks and a tab\t stay ",
        "A map (see [IMG_2]) and a [mask].",
        "一条宽阔的马路<两旁有树>。",
        "Der Platz [Marktplatz] ist <sehr> groß.",
    ],
)
def test_ordinary_text_stays_bit_for_bit(text: str) -> None:
    assert unwrap(text).text == text


_PIECES = (
    "<think>", "</think>", "[THINK]", "<answer>", "</answer>", "<|im_end|>", "</s>", "<|channel|>final",
    "<|im_start|>user\n", "[/INST]", "<unused1>", "A road. ", "\nHuman:", " ", "trees",
)  # fmt: skip


@given(st.lists(st.sampled_from(_PIECES), max_size=8).map("".join))
def test_what_was_unwrapped_holds_no_mark_of_a_thought_or_an_end(text: str) -> None:
    said = unwrap(text).text
    assert not any(
        mark in said for mark in ("<think>", "</think>", "[THINK]", "<|im_end|>", "</s>", "<unused1>")
    )


@pytest.mark.parametrize(
    "text",
    [
        "\n",
        "<think>",
        "<box>",
        "<",
        "[INST]",
        "Human:\n",
        "a:",
        "</s>",
        " <s>",
        "<|channel|>",
        "<|channel|>a ",
        "<a_",
    ],
)
def test_reading_takes_time_in_proportion(text: str) -> None:
    began = time.process_time()
    unwrap(text * 100_000)
    assert time.process_time() - began < 5


def test_a_decoder_keeps_what_marks_thoughts() -> None:
    assert all(
        map(is_thought_mark, ("<think>", "</think>", "[THINK]", "[/THINK]", "<|channel|>", "<|message|>"))
    )
    assert not any(map(is_thought_mark, ("</s>", "<|im_end|>", "<pad>", "<image>", "road")))
