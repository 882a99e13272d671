"""The one judge of answers: what of a captioner's text is its answer, what a thought, a refusal or a fault.

Texts are kept as they came and judged whenever they are read, so that a rule made today holds for what was
answered last month.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from urbanln.captions.captioners.base import Answer, CaptionerFault, LastingFault, PassingFault
from urbanln.captions.captioners.markup import Unwrapped, unwrap
from urbanln.captions.cleaning.text_faults import REFUSED

Kind = Literal["text", "refusal", "thought", "fault"]
MOST_LETTERS = 20_000
"""Longer answers end here and count as cut: a model reads 248 tokens, some 1,200 letters."""

# Why texts end, by the names that the rest of the package knows; any other reason is a fault.
_ENDINGS: Mapping[str, str] = {
    word: ending
    for ending, words in {
        "": ("", "null", "none"),
        "stop": (
            "stop", "eos", "eos_token", "end_turn", "end_of_turn", "stop_sequence", "stop_token", "complete",
            "completed",
        ),
        "length": ("length", "max_tokens", "max_new_tokens", "max_output_tokens", "model_length"),
        "content_filter": ("content_filter", "safety", "recitation", "sensitive", "prohibited_content"),
        "refusal": ("refusal",),
    }.items()
    for word in words
}  # fmt: skip
# Texts that stand for none: programs write them where a value is missing.
_NOTHING = frozenset(("na", "n/a", "nan", "null", "none", "nil", "undefined", "<na>"))
_FIELDS = ("caption", "description", "answer", "text", "content", "response", "output", "summary", "final")
_THINKING = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
_STOPS = (".", "!", "?")
_AROUND = " \t\r\n.!\"'`*"
_OPENED = re.compile(r"\A\s*```[\w-]*[ \t]*\n")
_FENCED = re.compile(r"```json[ \t]*\n(.*?)```", re.DOTALL)
_JSON = re.compile(r"\A\s*(?:\{\s*\"|\{\s*\}|\[\s*[\"{\]])")
_LIMIT_REMEDY = "raise max_tokens, or turn thinking off (often extra_body, e.g. enable_thinking = false)"
_ABNORMAL_REMEDY = "run the same command again; if it stays so, the server's own log says more"
_PARSER_REMEDY = (
    "the server's reasoning parser took all of it for a thought: give it this model's parser, or turn "
    "thinking off; raise max_tokens where the limit is short"
)
_ASK_AGAIN = "run the same command again; it asks what has no answer yet"


class NothingSaid(PassingFault):
    """It was answered, and not one word of an answer is in it."""


@dataclass(frozen=True)
class Judgement:
    """What a captioner's text is.

    Attributes:
        kind: ``"text"`` may become a caption; a ``"refusal"`` is an answer, and none will come of asking
            again; a ``"thought"`` without an answer and a ``"fault"`` are none.
        text: The answer alone; bit for bit as it came where nothing stood around it.
        finish: ``"stop"``, ``"length"``, ``"content_filter"``, ``"refusal"``, or empty where it was not said.
        why: What is wrong, of a thought or fault.
        remedy: What may help.
        again: Whether the very same question may be answered if it is asked once more.
        ended: Whether it ended as answers do, by itself or at its limit.
    """

    kind: Kind
    text: str = ""
    finish: str = ""
    why: str = ""
    remedy: str | None = None
    again: bool = True
    ended: bool = True

    @property
    def answered(self) -> bool:
        """Whether this is an answer at all."""
        return self.kind in ("text", "refusal")


def judge(text: str, finish: str = "") -> Judgement:
    """Say what a captioner's text is.

    Args:
        text: As it came, thoughts and control tokens included.
        finish: Why it ended, in the server's own word.

    Example:
        >>> judge("<think>A ship?</think>A road.", "eos")
        Judgement(kind='text', text='A road.', finish='stop', why='', remedy=None, again=True, ended=True)
        >>> judge("A road", "network_error").why
        "the answer ended with 'network_error'"
    """
    ending = _ENDINGS.get(finish.strip().lower())
    if ending is None:
        why = f"the answer ended with '{finish}'"
        return Judgement("fault", why=why, remedy=_ABNORMAL_REMEDY, ended=False)
    found, said = _read(text)
    if ending in REFUSED:
        return Judgement("refusal", said or "", ending)
    if said is None and ending == "length":
        why = "its limit of tokens was spent before its JSON was whole"
        return Judgement("fault", why=why, remedy=_LIMIT_REMEDY, again=False)
    if said is None:
        return Judgement(
            "fault", why="the answer is JSON that holds no caption", remedy="ask for plain sentences"
        )
    if said.strip(_AROUND).lower() in _NOTHING:
        return Judgement("fault", why=f"the answer is empty: it says no more than '{said.strip()}'")
    if any(map(str.isalnum, said)):
        cut = len(said) > MOST_LETTERS
        return Judgement("text", said[:MOST_LETTERS], "length" if cut else ending)
    if ending == "length" or (found.open and not ending):
        spent = "on thoughts, and no answer came" if found.thought else "before the first word"
        why = f"its limit of tokens was spent {spent}"
        kind: Kind = "thought" if found.thought else "fault"
        return Judgement(kind, why=why, remedy=_LIMIT_REMEDY, again=False)
    if not found.thought:
        return Judgement("fault", why="the answer is empty")
    return Judgement("thought", why="it gave thoughts and no answer", remedy=_PARSER_REMEDY)


def require_answer(answer: Answer, where: str) -> Answer:
    """The same answer, untouched, when it is one.

    Args:
        answer: As a model gave it.
        where: Host or model, told with the fault.

    Raises:
        PassingFault: It is none, and another try may bring one; :class:`NothingSaid` where it ended well.
        LastingFault: It is none, and the same question would end alike.
    """
    found = judge(answer.text, answer.finish)
    if found.answered:
        return answer
    kind: type[CaptionerFault] = NothingSaid if found.ended else PassingFault
    fault = (kind if found.again else LastingFault)(found.why, where=where, remedy=found.remedy or _ASK_AGAIN)
    fault.cost_usd = answer.cost_usd
    raise fault


def read_message(message: Mapping[str, Any]) -> tuple[str, str]:
    """The text of a chat completion's message, its thoughts marked, and ``"refusal"`` where it is one.

    Args:
        message: ``content`` as text or a list of parts, ``refusal``, and thoughts in a field of their own
            (``reasoning_content``, ``reasoning``, ``thinking``), which count where no other word is said.

    Raises:
        TypeError: The content is neither text nor parts.
    """
    if isinstance(message.get("refusal"), str) and message["refusal"].strip():
        return message["refusal"], "refusal"
    content = message.get("content")
    refusals = [part["refusal"] for part in _parts(content) if isinstance(part.get("refusal"), str)]
    if any(refusals):
        return " ".join(refusals), "refusal"
    text = _content(content)
    if not text.strip():
        thoughts = (_content(message[name]) for name in _THINKING if message.get(name))
        text = next((f"<think>{thought}</think>" for thought in thoughts if thought.strip()), text)
    return text, ""


def _parts(content: object) -> list[Mapping[str, Any]]:
    found = content if isinstance(content, list) else [content]
    return [part for part in found if isinstance(part, Mapping)]


def _content(content: object) -> str:
    """Text of a message's content: as it stands, or its parts, a blank between sentences."""
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, Mapping):
        content = [content]
    if not isinstance(content, list):
        raise TypeError(type(content).__name__)
    text = ""
    for part in content:
        more = part if isinstance(part, str) else _part(part)
        text += " " + more if text[-1:] in _STOPS and more[:1].isalpha() else more
    return text


def _part(part: object) -> str:
    if not isinstance(part, Mapping):
        raise TypeError(type(part).__name__)
    kind = str(part.get("type", "text")).lower()
    thinking = next((word for word in ("reasoning", "thinking", "thought", "summary") if word in kind), None)
    if thinking is not None:
        said = next(
            (part[name] for name in ("thinking", "reasoning", "text", "summary") if part.get(name)), ""
        )
        return f"<think>{_content(said)}</think>"
    text = part.get("text") if "text" in kind else None
    if isinstance(text, Mapping):  # {"value": "…"}
        text = text.get("value")
    return text if isinstance(text, str) else ""


def _read(text: str) -> tuple[Unwrapped, str | None]:
    """A text without what stood around it, and the caption in that; None for JSON that holds none."""
    # JSON first as it came: a token inside one of its texts must not cut it in two.
    said = _from_json(text)
    found = unwrap(text if said is None or said is text else said)
    return found, found.text if said is not None and said is not text else _from_json(found.text)


def _from_json(text: str) -> str | None:
    """A text out of its fence and its JSON, itself where it has none; None for JSON that holds no caption."""
    opened, fenced = _OPENED.match(text), _FENCED.search(text)
    # The limit may have cut the fence's end.
    whole = text[opened.end() :].rstrip().removesuffix("```") if opened else "```"
    inner = whole.strip() if "```" not in whole else fenced[1].strip() if fenced else text
    if _JSON.match(inner) is None:
        return inner
    start = inner.lstrip()
    try:
        # Behind an object may stand a remark; '["A"] is written on it' is a sentence.
        value = json.JSONDecoder().raw_decode(start)[0] if start[0] == "{" else json.loads(start)
    except (ValueError, RecursionError):
        return None if start[0] == "{" or start[1:].lstrip()[:1] == "{" or "]" not in start else inner
    return _spoken(value)


def _spoken(value: Any) -> str | None:
    """The caption in a JSON value: a text, several texts, or the field that is called so."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        texts = [_spoken(part) for part in value]
        return None if None in texts else " ".join(text for text in texts if text)
    if not isinstance(value, dict):
        return None
    if re.search("think|thought|reason", str(value.get("type", ""))):
        return ""
    names = {str(name).strip().lower(): name for name in value}
    known = next((names[name] for name in _FIELDS if name in names), None)
    if known is not None:
        return None if isinstance(value[known], dict) else _spoken(value[known])
    alone = next(iter(value.values())) if len(value) == 1 and "error" not in names else None
    return alone if isinstance(alone, str) else None
