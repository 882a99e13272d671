"""Scene graphs by the FACTUAL parser, the T5 that the published CAPTURE score reads captions with.

Prompt, decoding and linear form of the graphs follow the public repository zhuang-li/FactualSceneGraph; that
nothing of a long sentence is cut is ours. Loaded only by :func:`urbanln.captions.parsing.parse.load_parser`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, T5ForConditionalGeneration

from urbanln.base.errors import InputError
from urbanln.base.files import hash_bytes
from urbanln.base.sentences import split_sentences
from urbanln.captions.networks.pretrained import usual_device
from urbanln.captions.parsing.scene_words import NO_OBJECTS, NUMBERS, PLACES_WITHIN, singular
from urbanln.captions.parsing.spacy_parser import tidy
from urbanln.captions.scene_graph import SceneGraph

MODEL = "lizhuang144/flan-t5-base-VG-factual-sg"
PROMPT = "Generate Scene Graph: "
_BATCH = 32  # sentences
# Raised whenever a graph changes: parses that are kept are found by it.
_RULES = "47f1aee4"
_FACT = re.compile(r"\(([^()]*)\)")
# Marks of the variants of the model that tell verbs, passives and things of one name apart.
_MARKS = re.compile(r"\bp?v:|:\d+")
# Where a sentence is split that is too long, best first; the pieces keep the word.
_JOINTS = tuple(
    re.compile(joint)
    for joint in (
        r"(?<=;)\s+",
        r"(?<=,)\s+(?=(?:and|but|while|with|which|where|as|creating|indicating|including)\b)",
        r"\s+(?=(?:while|whereas|which|and|but)\s)",
        r"(?<=,)\s+",
    )
)


class FactualParser:
    """Parses sentence by sentence with beam search, and merges what sentences of a text say.

    Args:
        model: Hub name or folder of a T5 with its tokenizer.
        revision: Of the hub's model; empty for its newest.
        device: Where it runs; ``None``: an accelerator if there is one.
        beams: Of the search (authors: 5).
        max_input: Tokens of a sentence with the prompt (authors: 64). Longer sentences are split at
            semicolons, conjunctions and commas, and between words if nothing else helps; originally they are
            cut.
        max_output: Tokens of a linear graph (authors: 128).

    Attributes:
        split: Sentences that were too long so far and were split.
        hard_splits: Those among them that had to be split between any two words.

    Raises:
        InputError: The model cannot be loaded, or leaves no room beside the prompt.
    """

    def __init__(
        self,
        model: str | Path = MODEL,
        *,
        revision: str = "",
        device: str | None = None,
        beams: int = 5,
        max_input: int = 64,
        max_output: int = 128,
    ) -> None:
        self.beams, self.max_input, self.max_output = beams, max_input, max_output
        self.device = usual_device(device)
        self.split = self.hard_splits = 0
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(str(model), revision=revision or "main")
            network = T5ForConditionalGeneration.from_pretrained(str(model), revision=revision or "main")
        except (OSError, ValueError) as error:
            raise InputError(
                "the FACTUAL parser could not be loaded",
                value=str(model),
                where=str(error).splitlines()[0],
                remedy="give a folder with a T5 and its tokenizer, or a name where the hub can be reached",
            ) from error
        self._network: Any = network.to(self.device).eval()
        if self._length("") + 1 > max_input:
            raise InputError(
                "the prompt alone takes all tokens of the input",
                value=max_input,
                where="max_input",
                remedy="raise it",
            )

    @cached_property
    def version(self) -> str:
        """Changes with the model's weights and with how it is asked."""
        weights = b"".join(
            name.encode() + str(tuple(tensor.shape)).encode() + tensor.double().sum().cpu().numpy().tobytes()
            for name, tensor in sorted(self._network.state_dict().items())
        )
        asked = f"{self.beams}-{self.max_input}-{self.max_output}"
        return f"factual-{_RULES}-{hash_bytes(weights)[:12]}-{asked}"

    def parse(self, texts: Sequence[str]) -> list[SceneGraph]:
        """One graph per text, in order; a text without a word has an empty one."""
        pieces = [
            (number, piece)
            for number, text in enumerate(texts)
            for sentence in split_sentences(tidy(text))
            for piece in self.fit(sentence)
        ]
        # Alike in length, so that little is padded.
        pieces.sort(key=lambda entry: (len(entry[1]), entry[1], entry[0]))
        told: dict[int, list[str]] = defaultdict(list)
        for start in range(0, len(pieces), _BATCH):
            batch = pieces[start : start + _BATCH]
            for (number, _), linear in zip(batch, self._ask([piece for _, piece in batch]), strict=True):
                told[number].append(linear)
        return [read_linear_graph(told[number]) for number in range(len(texts))]

    def fit(self, sentence: str) -> list[str]:
        """A sentence in pieces that fit the model's input, all words kept; it counts what it had to split."""
        if self._length(sentence) <= self.max_input:
            return [sentence]
        self.split += 1
        pieces = [sentence]
        for joint in _JOINTS:
            pieces = [part for piece in pieces for part in self._pack(joint.split(piece))]
        if any(self._length(piece) > self.max_input for piece in pieces):
            self.hard_splits += 1
            pieces = [part for piece in pieces for part in self._pack(piece.split())]
        return pieces

    def _pack(self, parts: list[str]) -> Iterator[str]:
        """Parts put together again as far as they fit."""
        held = ""
        for part in filter(None, parts):
            joined = f"{held} {part}".strip()
            if held and self._length(joined) > self.max_input:
                yield held
                joined = part
            held = joined
        if held:
            yield held

    def _length(self, sentence: str) -> int:
        return len(self._tokenizer(PROMPT + sentence)["input_ids"])

    @torch.inference_mode()
    def _ask(self, sentences: list[str]) -> list[str]:
        inputs = self._tokenizer(
            [PROMPT + sentence for sentence in sentences],
            max_length=self.max_input,
            truncation=True,  # only a single word longer than the input is left to cut
            padding="longest",
            return_tensors="pt",
        )
        ids = self._network.generate(
            input_ids=inputs["input_ids"].to(self.device),
            attention_mask=inputs["attention_mask"].to(self.device),
            num_beams=self.beams,
            do_sample=False,
            early_stopping=self.beams > 1,
            max_length=self.max_output,
        )
        decoded: list[str] = self._tokenizer.batch_decode(ids, skip_special_tokens=True)
        return decoded


def read_linear_graph(linear: Iterable[str], *, hidden: Set[str] = NO_OBJECTS | PLACES_WITHIN) -> SceneGraph:
    """The graph of a text from the model's answers, ``( roof , is , red ) , ( house , have , roof )``.

    A fact that was cut off or has no three parts is left out, but for its first part where it stands alone.

    Args:
        linear: One answer per sentence.
        hidden: What is no object, with all that is said of it.
    """
    objects: set[str] = set()
    attributes: dict[str, set[str]] = defaultdict(set)
    relations: set[tuple[str, str, str]] = set()
    for answer in linear:
        for subject, relation, thing in _facts(answer):
            objects.add(subject)
            if relation == "is":
                if not thing.endswith(" of"):  # "group of" tells nothing of those in it, CAPTURE drops it too
                    attributes[subject].add(NUMBERS.get(thing, thing))
            elif relation:
                objects.add(singular_phrase(thing))
                relations.add((subject, relation, singular_phrase(thing)))
    shown = {name for name in objects if name not in hidden}
    return SceneGraph(
        objects=tuple(sorted(shown)),
        attributes={name: tuple(sorted(attributes[name])) for name in sorted(shown) if attributes[name]},
        relations=tuple(sorted(r for r in relations if r[0] in shown and r[2] in shown and r[0] != r[2])),
    )


def _facts(answer: str) -> Iterator[tuple[str, str, str]]:
    """Subject, relation and object of each whole fact; an object alone has neither of the others."""
    answer = _MARKS.sub("", answer.lower().replace(PROMPT.strip().lower(), ""))
    whole = _FACT.findall(answer) or [answer.strip(" ()").split(",")[0].strip(" ()")]
    for fact in whole:
        parts = [" ".join(part.split()) for part in fact.split(",")]
        if len(parts) == 3 and all(parts):
            yield singular_phrase(parts[0]), parts[1], parts[2]
        elif parts[0] and len(whole) == 1:
            yield singular_phrase(parts[0]), "", ""


def singular_phrase(phrase: str) -> str:
    """A phrase whose last word is put in the singular."""
    start, _, last = phrase.rpartition(" ")
    return f"{start} {singular(last)}".strip()
