"""The judge: text, refusal, thought or fault, by what came and why it ended."""

from __future__ import annotations

from typing import Any

import pytest

from urbanln.captions.captioners.answers import MOST_LETTERS, NothingSaid, judge, read_message, require_answer
from urbanln.captions.captioners.base import Answer, LastingFault, PassingFault

G = "A road with trees."


@pytest.mark.parametrize(
    ("finish", "kind", "known"),
    [
        *(
            (word, "text", "stop")
            for word in (
                "stop",
                "STOP",
                "eos",
                "eos_token",
                "end_turn",
                "stop_sequence",
                "complete",
                "COMPLETE",
                "completed",
            )
        ),
        *((word, "text", "length") for word in ("length", "max_tokens", "MAX_TOKENS", "max_new_tokens")),
        *((word, "text", "") for word in ("", "null", "None")),
        ("content_filter", "refusal", "content_filter"),
        ("SAFETY", "refusal", "content_filter"),
        ("refusal", "refusal", "refusal"),
        *((word, "fault", "") for word in ("error", "network_error", "tool_calls", "abort", "cancelled")),
    ],
)
def test_reasons_to_end_are_an_allow_list(finish: str, kind: str, known: str) -> None:
    found = judge(G, finish)
    assert (found.kind, found.finish) == (kind, known)
    assert found.answered == (kind != "fault")
    if kind == "fault":
        assert finish in found.why


@pytest.mark.parametrize(
    "text", ["", "  \n", "…", "---", "<|im_end|>", "<unused32>" * 9, "[]", '{"caption": ""}']
)
def test_nothing_said_is_a_fault_however_it_ended(text: str) -> None:
    assert {judge(text, finish).kind for finish in ("stop", "length", "", "error")} == {"fault"}


@pytest.mark.parametrize(
    "text",
    ["null", "None", "None.", "N/A", " n/a\n", "nan", "NA", "**None**", '{"caption": "N/A"}', '["null"]',
     "<think>Hm.</think>None", '"null"', "<NA>", "undefined"],
)  # fmt: skip
def test_a_word_for_nothing_is_a_fault_and_is_asked_again(text: str) -> None:
    found = judge(text, "stop")
    assert (found.kind, found.text, found.again) == ("fault", "", True)
    assert "empty" in found.why


@pytest.mark.parametrize(
    "text", ["None of the roofs is red.", "A lane, no cars.", "Nan Lian Garden.", "Null"]
)
def test_a_sentence_with_such_a_word_is_text(text: str) -> None:
    assert judge(text, "stop").kind == ("fault" if text == "Null" else "text")


@pytest.mark.parametrize("text", ['{"caption": "A wide', '```json\n{"caption": "A wide', '[{"text": "A'])
def test_json_cut_by_the_limit_names_the_limit(text: str) -> None:
    found = judge(text, "length")
    assert (found.kind, found.again) == ("fault", False)
    assert "raise max_tokens" in str(found.remedy)


@pytest.mark.parametrize(
    ("text", "finish", "again", "remedy"),
    [
        ("<think>Let me look.", "length", False, "raise max_tokens"),
        ("<think>Let me look.", "", False, "raise max_tokens"),
        ("<think>Let me look.</think>", "stop", True, "reasoning parser"),
        ("Let me look.</think>\n", "stop", True, "reasoning parser"),
        ("<|channel|>analysis<|message|>Let me look.", "stop", True, "reasoning parser"),
    ],
)
def test_a_thought_alone_is_no_answer_and_says_what_may_help(
    text: str, finish: str, again: bool, remedy: str
) -> None:
    found = judge(text, finish)
    assert (found.kind, found.again) == ("thought", again)
    assert "thought" in found.why
    assert remedy in str(found.remedy)


@pytest.mark.parametrize(
    "text",
    [
        '{"caption": "A road with trees."}',
        '{"Description": "A road with trees.", "objects": ["road"]}',
        '```json\n{"caption": "A road with trees."}\n```',
        'Here it is:\n```json\n{"caption": "A road with trees."}\n```\nAnything else?',
        '{"caption": "A road with trees."}\nI hope this helps.',
        '["A road with trees."]',
        '["A road", "with trees."]',
        '[{"type": "text", "text": "A road with trees."}]',
        '[{"type": "thinking", "thinking": "A ship?"}, {"type": "text", "text": "A road with trees."}]',
        '{"role": "assistant", "content": [{"type": "text", "text": "A road with trees."}]}',
        '{"caption": "<think>A ship?</think>A road with trees.<|im_end|>"}',
        '<think>A ship?</think>{"caption": "A road with trees."}<|im_end|>',
        '{"satellite picture": "A road with trees."}',
        "```\nA road with trees.\n```",
    ],
)
def test_a_caption_in_json_or_a_fence_is_taken_out(text: str) -> None:
    assert judge(text, "stop").text == G


@pytest.mark.parametrize(
    "text",
    [
        '{"caption": "A ro',
        '["A road", "wi',
        '[{"text":',
        '{"error": "no image"}',
        '{"objects": ["road"]}',
        "{}",
        '{"caption": {"en": "A road."}}',
    ],
)
def test_json_without_a_caption_is_a_fault(text: str) -> None:
    found = judge(text, "stop")
    assert (found.kind, found.text) == ("fault", "")
    assert "JSON" in found.why


@pytest.mark.parametrize(
    "text", ['["STOP"] is painted on the road.', "{a} road", "[a] road", '"A road."', "[1] A road"]
)
def test_brackets_of_ordinary_text_are_no_json(text: str) -> None:
    assert judge(text, "stop").text == text


def test_a_text_without_an_end_counts_as_cut() -> None:
    found = judge("word " * MOST_LETTERS, "stop")
    assert (len(found.text), found.finish) == (MOST_LETTERS, "length")


@pytest.mark.parametrize(
    ("message", "text", "finish"),
    [
        ({"content": G}, G, ""),
        ({"content": G, "reasoning_content": "A ship?"}, G, ""),
        ({"content": [{"type": "text", "text": "A road "}, {"type": "text", "text": "with trees."}]}, G, ""),
        ({"content": [{"type": "output_text", "text": G}]}, G, ""),
        ({"content": ["A road ", "with trees."]}, G, ""),
        ({"content": ["A road.", "A roof."]}, "A road. A roof.", ""),
        (
            {"content": [{"text": "Roads!"}, {"text": " A roof, 3."}, {"text": "5 m"}]},
            "Roads! A roof, 3.5 m",
            "",
        ),
        ({"content": {"type": "text", "text": G}}, G, ""),
        ({"content": [{"type": "text", "text": {"value": G}}]}, G, ""),
        ({"content": [{"type": "image_url", "image_url": {"url": "x"}}, {"type": "text", "text": G}]}, G, ""),
        ({"content": [{"type": "reasoning", "text": "A ship?"}, {"type": "text", "text": G}]}, G, ""),
        (
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"text": G}]},
            G,
            "",
        ),
        ({"content": None, "refusal": "I will not."}, "I will not.", "refusal"),
        ({"content": [{"type": "refusal", "refusal": "I will not."}]}, "I will not.", "refusal"),
        ({"content": "", "refusal": None}, "", ""),
        ({}, "", ""),
    ],
)
def test_content_comes_as_text_or_in_parts(message: dict[str, Any], text: str, finish: str) -> None:
    raw, ended = read_message(message)
    assert ended == finish
    assert judge(raw, ended).text == text


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
@pytest.mark.parametrize("content", [None, "", "\n\n"])
def test_thoughts_in_a_field_of_their_own_are_no_answer(name: str, content: str | None) -> None:
    raw, ended = read_message({"content": content, name: G})
    assert judge(raw, "stop").kind == "thought"
    assert judge(raw, "length").remedy is not None
    assert ended == ""


@pytest.mark.parametrize("content", [5, [5], True])
def test_content_of_another_kind_is_refused(content: object) -> None:
    with pytest.raises(TypeError):
        read_message({"content": content})


@pytest.mark.parametrize(
    ("text", "finish", "kind"),
    [("", "stop", NothingSaid), (G, "error", PassingFault), ("<think>x", "length", LastingFault)],
)
def test_what_is_no_answer_is_raised_with_its_price(text: str, finish: str, kind: type) -> None:
    with pytest.raises(kind) as caught:
        require_answer(Answer(text, finish, cost_usd=0.25), "host:1")
    assert type(caught.value) is kind
    assert (caught.value.where, caught.value.cost_usd) == ("host:1", 0.25)
    kept = Answer("<think>A ship?</think>" + G, "eos")
    assert require_answer(kept, "host:1") is kept
