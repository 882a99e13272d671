"""What chat models write around their answer: thoughts, channels, turns and control tokens of any family.

Only what no writer of captions would write is taken for markup: "a sign <stop>" and "[a fence]" are words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# A thought: open or close. Names of tags first, then tokens of single families (Kimi, Magistral, Cohere,
# Sky-T1, Apertus, MedGemma, Gemma).
_THOUGHT = (
    r"(?:[\w-]{1,20}:)?(?:think|thinking|thoughts?|reason|reasoning|reflection|scratchpad|analysis|rationale"
    r"|\w{1,20}_think)"
)
_OPENS = (
    rf"<{_THOUGHT}\s*>|\[THINK\]|\[REASONING\]|◁think▷|<details\s+type=\"reasoning\"[^>]*>"
    r"|<\|(?:begin_of_thought|start_thinking|inner_prefix|think)\|>|<unused94>(?:thought)?|<\|channel>(?:thought)?"
    r"|\A\s*Here(?:'s| is) my thought process:"
)
_CLOSES = (
    rf"</{_THOUGHT}\s*>|\[/THINK\]|\[/REASONING\]|◁/think▷"
    r"|<\|(?:end_of_thought|end_thinking|inner_suffix|/think)\|>|<unused95>|<channel\|>"
)
_SHUTS = r"</details>"  # a thought, if one is open: it has other uses
# From here on it is the answer, whatever stood before; and where it ends.
_TAGGED = r"(?:final|(?:\w{1,20}_)?(?:answer|response|output|result|conclusion|caption|description))"
_ANSWERS = (
    rf"<{_TAGGED}\s*>|<\|(?:begin_of_solution|start_response)\|>|\[/INST\]"
    r"|^Here(?:'s| is) my response:"
)
_ANSWERED = rf"</{_TAGGED}\s*>|<\|(?:end_of_solution|end_response)\|>"
_CHANNEL = r"<\|channel\|>\s*(?P<channel>\w+)(?:(?:[^<\n]|<\|constrain\|>)*<\|message\|>)?"
# What follows an end of text, or another turn, is no part of the answer: the model talks on with itself.
_ENDS = (
    r"<\|(?:endoftext|im_end|eot_id|eom_id|end_of_text|end_of_turn|end|return|eos|end_of_turn_token)\|>"
    r"|</s>|<end_of_turn>|<end_of_utterance>|<turn\|>|<eos>|<eot>|<eod>|<eop>|<[|｜]end▁of▁sentence[|｜]>"
)
_ROLE = r"(?:user|human|system|developer|tool|observation|assistant|model|bot|gpt)"
_TURNS = (
    rf"(?:<\|(?:im_start|start_header_id|start)\|>|<start_of_turn>|<\|turn>)\s*(?P<role>{_ROLE}\b)?"
    r"(?:\s*<\|(?:end_header_id|im_sep|message)\|>|[ \t]*\n)?"
    rf"|<[|｜](?P<speaker>{_ROLE})[|｜]>|(?-i:(?P<inst>\[INST\]))"
    r"|(?P<line>(?:^[ \t]{0,8}|#{2,3} ?)(?-i:Human|User|Assistant)|(?:^|(?<=[\s.!?#]))(?-i:USER|ASSISTANT)):"
)
# Of grounding models: a box with its numbers says where, not what.
_BOXES = (
    r"<box>[\s\d.,()\[\]]*</box>|<quad>[\s\d.,()\[\]]*</quad>|<\|box_start\|>[\s\d.,()\[\]]*<\|box_end\|>"
    r"|<loc_?\d{1,4}>|<seg_?\d{1,4}>|<patch_index_\d{1,4}>|</?points?(?:\s[^<>]{0,400})?>"
)
_CONTROLS = (
    r"<[|｜][^<>|｜\s]{1,40}[|｜]>|<(?:start|end)_of_\w{1,20}>|</?(?:bos|pad|unk|s|sop|sep|cls|mask|ref|img|image)>"
    r"|<(?:unused|extra_id_|reserved_|reserved_special_token_)\d{1,5}>|<0x[0-9A-Fa-f]{2}>|<<SYS>>|<</SYS>>"
    r"|<(?:image_soft_token|IMG_CONTEXT|fake_token_around_image|global-img|row_\d+_col_\d+)>"
    r"|(?-i:\[(?:IMG|IMG_BREAK|IMG_END|CLS|SEP|PAD|UNK|MASK|gMASK|TOOL_CALLS)\])"
    # A token that the limit of the answer cut in two.
    r"|<[|｜]\w{0,30}[|｜]?\Z"
)
_MARK = re.compile(
    rf"(?P<struck><s>[^<>\n]{{1,200}}</s>)|(?P<open>{_OPENS})|(?P<close>{_CLOSES})|(?P<shut>{_SHUTS})|(?P<answer>{_ANSWERS})"
    rf"|(?P<answered>{_ANSWERED})|(?P<chan>{_CHANNEL})|(?P<end>{_ENDS})|(?P<turn>{_TURNS})|(?P<control>{_BOXES}|{_CONTROLS})",
    re.IGNORECASE | re.MULTILINE,
)
# What is left of gpt-oss's channels where a server took their tokens out.
_BARE_CHANNELS = re.compile(r"\A\s*analysis(?=[A-Z\"'(]).*?(?:assistant\s*final(?=\S)|\Z)", re.DOTALL)
_QUOTES = tuple("\"'“”‘’«»„`「」")
_SENTENCE_ENDS = tuple(".!?#。！？\"'”’)")
_ASIDE = re.compile(r"[ \t]+(?=[.,;:!?])|(?<=[ \t])[ \t]+")


@dataclass(frozen=True)
class Unwrapped:
    """A text without what stood around it.

    Attributes:
        text: The answer alone; bit for bit as it came where nothing stood around it.
        thought: Whether the model thought aloud.
        open: Whether it was still thinking when its text ended.
    """

    text: str
    thought: bool = False
    open: bool = False


def unwrap(text: str) -> Unwrapped:
    """Take thoughts, foreign turns and control tokens out of a text.

    - A thought goes from its opening to its closing mark; without a closing one it goes to the end, and
      without an opening one it began with the text. Marks of all families close one another.
    - Of channels the one called "final" is the answer, of tagged answers the last.
    - The first end of text after a word ends the answer, as does another speaker's turn.
    - Other control tokens are taken out where they stand.

    Args:
        text: As a model gave it.

    Example:
        >>> unwrap("<think>A ship?</think> A road.<|im_end|>").text
        'A road.'
        >>> unwrap("A sign <stop> and [a fence].").text
        'A sign <stop> and [a fence].'
    """
    bare = _BARE_CHANNELS.match(text)
    rest = text[bare.end() :] if bare else text
    reading, at = _Reading(thought=bare is not None), 0
    for mark in _MARK.finditer(rest):
        reading.words(rest[at : mark.start()])
        at = mark.end()
        if reading.over(mark):
            at = len(rest)
            break
    reading.words(rest[at:])
    if at == 0 and bare is None:
        return Unwrapped(text)
    said = _ASIDE.sub("", "".join(reading.kept)).strip()
    return Unwrapped(said, reading.thought, reading.hidden == "thought")


def is_thought_mark(token: str) -> bool:
    """Whether a token opens or closes a thought, or names a channel: a decoder must not drop it."""
    found = _MARK.fullmatch(token)
    return token in ("<|channel|>", "<|message|>") or (
        found is not None and found.lastgroup in ("open", "close")
    )


@dataclass
class _Reading:
    """How far a text has been read: what was kept, and whether what comes now is the answer."""

    kept: list[str] = field(default_factory=list)
    hidden: str = ""  # "" while the answer is read, else what hides it: "thought", "turn", "after"
    thought: bool = False
    spoken: bool = False  # a word was kept

    def words(self, text: str) -> None:
        if not self.hidden:
            self.kept.append(text)
            self.spoken = self.spoken or any(map(str.isalnum, text))

    def over(self, mark: re.Match[str]) -> bool:
        """Read one mark; whether the answer ends at it."""
        kind = next(name for name in _KINDS if mark[name] is not None)
        if not self.hidden and self._is_said(mark, kind):
            self.words(mark[0])
        elif kind == "struck":  # the whole answer between its tokens, and what the model says to itself
            self.words(mark[0][3:-4])
            return self.spoken
        elif kind == "control":
            self.words(" ")
        elif kind == "answered":
            self.hidden = "after"
        elif kind == "open":
            self.thought, self.hidden = True, "thought"
        elif kind == "shut":
            self.hidden = "" if self.hidden == "thought" else self.hidden
        elif kind in ("close", "answer"):
            self.thought = self.thought or kind == "close"
            # Closed without having been opened: all before it was the thought.
            if not self.hidden or kind == "answer":
                self._drop()
            self.hidden = ""
        elif kind == "chan":
            final = mark["channel"].lower() in ("final", "response")
            self.thought = self.thought or not final
            self._drop()
            self.hidden = "" if final else "thought"
        elif self.spoken:
            return True
        elif kind == "turn":
            role = (mark["role"] or mark["speaker"] or mark["line"] or "assistant").strip(" \t#").lower()
            mine = mark["inst"] is None and role in ("assistant", "model", "bot", "gpt")
            self.hidden = "" if mine else "turn"
        return False

    def _is_said(self, mark: re.Match[str], kind: str) -> bool:
        """Whether a mark stands in a sentence as one of its words: in quotes, or "a shop named USER: …"."""
        before = mark.string[max(mark.start() - 3, 0) : mark.start()]
        if kind == "struck":
            return self.spoken or before[-1:] in _QUOTES
        if kind in ("answer", "answered"):
            return before[-1:] in _QUOTES and mark.string[mark.end() : mark.end() + 1] in _QUOTES
        within = kind == "turn" and mark["line"] is not None and self.spoken and "\n" not in before
        return within and "#" not in mark[0] and before.rstrip()[-1:] not in _SENTENCE_ENDS

    def _drop(self) -> None:
        self.kept.clear()
        self.spoken = False


_KINDS = ("struck", "open", "close", "shut", "answer", "answered", "chan", "end", "turn", "control")
