"""Divide and conquer for one picture: describe its parts, check what was said, merge, check again.

After DetailCaps (CAPTURE's authors) and UrbanLN: the same captioner describes the parts and merges. Phrases
that a grounder does not find in the picture are not cut out of the text, which would break its sentences: the
captioner is told not to mention them, and what it writes is checked again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from threading import Lock
from typing import Any

from urbanln.base.files import hash_bytes
from urbanln.base.sentences import normalise, split_sentences
from urbanln.captions.asking.prompts import Prompts
from urbanln.captions.captioners.answers import NothingSaid
from urbanln.captions.captioners.base import Answer, Ask, Box, Captioner, LastingFault, Picture, Prompt, Stage
from urbanln.captions.cleaning.text_faults import describes
from urbanln.captions.facts import Facts
from urbanln.captions.parsing.parse import Parsing
from urbanln.captions.refine.grounding import Grounder, NoGrounder, Scored, ground_phrases
from urbanln.captions.refine.mentions import denies, mentions, phrases_of, without_longer
from urbanln.captions.refine.parts import Part, Segmenter, find_parts, parts_version
from urbanln.captions.scene_graph import Parser, SceneGraph
from urbanln.captions.settings import RefineSettings
from urbanln.captions.table import tidy_text

Asking = Callable[[Ask], Awaitable[Answer | None]]
LONGEST_DESCRIPTION, LONGEST_NOTE, MOST_REJECTED = 4000, 300, 40
_ACCOUNTS, _MOST_ACCOUNTS = "refine", 64


@dataclass(frozen=True)
class Tools:
    """What refining needs besides the captioner; one for all pictures of a run.

    Attributes:
        settings: Of refinement.
        prompts: Of the run.
        parser: Finds the phrases of a text.
        grounder: Looks for them in the picture.
        segmenter: Finds parts: felzenszwalb's or SAM's.
        facts: Keeps parts, scores and the account of each picture; the city's ledger.
    """

    settings: RefineSettings
    prompts: Prompts
    parser: Parser
    grounder: Grounder
    segmenter: Segmenter
    facts: Facts
    # Parsers need not bear being used by several threads at once.
    parsing: Lock = field(default_factory=Lock, repr=False, compare=False)

    @property
    def threshold(self) -> float:
        """Phrases that score below it are rejected: the setting, else the grounder's own."""
        return self.grounder.threshold if self.settings.threshold is None else self.settings.threshold


@dataclass(frozen=True)
class Refined:
    """A refined text and how it came about.

    Attributes:
        text: To go on with; untidied, as the captioner gave it.
        finish: Of the answer it is: as in :class:`~urbanln.captions.captioners.base.Answer`.
        stage: Whose answer it is: ``"merge"``, ``"repair"``, or ``"describe"`` where there was nothing to
            merge or the captioner did not merge.
        parts: Salient parts of the picture.
        notes: What the captioner said of each part; empty for a part that was dropped.
        phrases: Everything that was looked for, with its score; nothing without a grounder.
        rejected: Phrases that were told not to be mentioned.
        remaining: Rejected phrases that are in ``text`` nevertheless.
    """

    text: str
    finish: str
    stage: Stage
    parts: tuple[Part, ...] = ()
    notes: tuple[str, ...] = ()
    phrases: tuple[Scored, ...] = ()
    rejected: tuple[str, ...] = ()
    remaining: tuple[str, ...] = ()


async def refine_picture(
    picture: Picture, description: Answer, *, captioner: str, ask: Asking, tools: Tools
) -> Refined:
    """Refine one captioner's description of one picture.

    Parts are described whatever the description says, so their texts are shared by every run. Without notes
    on parts and with nothing rejected there is nothing to merge, and the description stands.

    Args:
        picture: The picture.
        description: What the captioner said of the whole; worth refining, that is no refusal.
        captioner: Its name, for the account (see :func:`keep_account`).
        ask: Asks the captioner: the ledger's desk.
        tools: See :class:`Tools`.

    Raises:
        CaptionerFault: The captioner gave no answer; what it did answer is in the ledger.
        InputError, OSError: The picture cannot be read.
    """
    if not picture.sha256:
        picture = replace(picture, sha256=hash_bytes(await asyncio.to_thread(picture.read)))
    parts = await asyncio.to_thread(parts_of, picture, tools)
    notes = await _describe(parts, picture, ask, tools)
    check = _Check(picture, [part.box for part in parts], tools)
    await asyncio.to_thread(check.look_for, "describe", [description.text])
    await asyncio.to_thread(check.look_for, "local", [note for note in notes if note])
    found = await _merge(picture, description, [note for note in notes if note], check, ask, tools)
    found = replace(found, parts=tuple(parts), notes=tuple(notes), phrases=tuple(check.scored.values()))
    account = _account(found, description, tools)
    await asyncio.to_thread(keep_account, tools.facts, picture.sha256, captioner, account)
    return found


def parts_of(picture: Picture, tools: Tools) -> list[Part]:
    """The salient parts of a picture, found once and then kept as facts.

    Args:
        picture: Its ``sha256`` must be known.
        tools: Segmenter, settings and facts.

    Raises:
        InputError, OSError: The picture cannot be read.
    """
    parts = known_parts(picture, tools.settings, tools.segmenter, tools.facts)
    if parts is None:
        parts = find_parts(picture.load(), tools.settings, tools.segmenter)
        kept = {picture.sha256: [[*part.box, part.score] for part in parts]}
        tools.facts.put_facts(_parts_kind(tools.settings, tools.segmenter), kept)
    return parts


def known_parts(
    picture: Picture, settings: RefineSettings, segmenter: Segmenter, facts: Facts
) -> list[Part] | None:
    """The salient parts of a picture by its hash, or None while nobody has looked for them."""
    known = facts.get_facts(_parts_kind(settings, segmenter), [picture.sha256])
    return [Part(tuple(box), score) for *box, score in known[picture.sha256]] if known else None


def _parts_kind(settings: RefineSettings, segmenter: Segmenter) -> str:
    return f"parts:{parts_version(settings, segmenter)}"


def describe_ask(picture: Picture, captioner: Captioner, prompts: Prompts) -> Ask:
    """The question about the whole picture."""
    return Ask(picture, prompt=prompts.render("describe", picture.view) if captioner.prompted else Prompt())


def local_ask(picture: Picture, box: Box, settings: RefineSettings, prompts: Prompts) -> Ask:
    """The question about one part."""
    prompt = prompts.render("local", picture.view)
    return Ask(picture, "local", prompt, box=box, min_side=settings.min_side)


async def _describe(parts: Sequence[Part], picture: Picture, ask: Asking, tools: Tools) -> list[str]:
    """One note per part; empty where the captioner could make nothing out, or could not be asked."""
    asks = [local_ask(picture, part.box, tools.settings, tools.prompts) for part in parts]
    # All are waited for before a fault is raised: an answer under way shall reach the ledger.
    answers = await asyncio.gather(*(_answer(one, ask) for one in asks), return_exceptions=True)
    notes = []
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
        said = answer is not None and _says_something(answer)
        notes.append(_cut(tidy_text(answer.text), LONGEST_NOTE) if answer is not None and said else "")
    return notes


async def _answer(question: Ask, ask: Asking) -> Answer | None:
    """The answer; None where nothing was said or this question alone was refused: the next run asks again."""
    try:
        return await ask(question)
    except (NothingSaid, LastingFault) as fault:
        if isinstance(fault, LastingFault) and fault.whole:
            raise
        return None


async def _merge(
    picture: Picture, description: Answer, notes: list[str], check: _Check, ask: Asking, tools: Tools
) -> Refined:
    rejected = without_longer(check.rejected())[:MOST_REJECTED]
    text = _bounded(description.text)
    answer = None
    if notes or rejected:
        lines = "\n".join(f"- {note}" for note in notes) or "none"
        names = ", ".join(rejected) or "nothing"
        prompt = tools.prompts.render("merge", picture.view, description=text, notes=lines, rejected=names)
        answer = await _answer(Ask(picture, "merge", prompt), ask)
    if answer is None or not _says_something(answer):
        remaining = tuple(phrase for phrase in rejected if mentions(text, phrase))
        return Refined(
            description.text, description.finish, "describe", rejected=tuple(rejected), remaining=remaining
        )
    failing = await asyncio.to_thread(check.failing, "merge", answer.text)
    merged = Refined(answer.text, answer.finish, "merge", rejected=tuple(rejected), remaining=tuple(failing))
    return await _repair(picture, merged, check, ask, tools) if failing else merged


async def _repair(picture: Picture, merged: Refined, check: _Check, ask: Asking, tools: Tools) -> Refined:
    """The merged text once more without what is still wrong in it; it stands where that does not work out."""
    text = _bounded(merged.text)
    named = ", ".join(merged.remaining)
    prompt = tools.prompts.render("repair", picture.view, description=text, rejected=named)
    answer = await _answer(Ask(picture, "repair", prompt), ask)
    told = tuple(dict.fromkeys((*merged.rejected, *merged.remaining)))
    # Half of the words gone is no repair but another answer, such as "Done."
    if answer is None or not _says_something(answer) or 2 * len(answer.text.split()) < len(text.split()):
        return replace(merged, rejected=told)
    remaining = await asyncio.to_thread(check.failing, "repair", answer.text)
    return replace(
        merged,
        text=answer.text,
        finish=answer.finish,
        stage="repair",
        rejected=told,
        remaining=tuple(remaining),
    )


class _Check:
    """What has been looked for in one picture so far."""

    def __init__(self, picture: Picture, boxes: list[Box], tools: Tools) -> None:
        self.scored: dict[str, Scored] = {}
        self._picture, self._boxes, self._tools = picture, boxes, tools

    def look_for(self, stage: Stage, texts: Sequence[str]) -> list[str]:
        """Look for the phrases of texts that have not been looked for yet; all phrases of them."""
        tools, texts = self._tools, [_bounded(text) for text in texts]
        if tools.grounder.version == NoGrounder.version or not texts:
            return []
        graphs = _graphs(texts, tools)
        found: dict[str, None] = {}
        for text, graph in zip(texts, graphs, strict=True):
            found |= dict.fromkeys(phrases_of(text, graph, part=stage == "local"))
        fresh = [phrase for phrase in found if phrase not in self.scored]
        scores = ground_phrases(self._picture, self._boxes, fresh, tools.grounder, tools.facts)
        for phrase, score in zip(fresh, scores, strict=True):
            self.scored[phrase] = Scored(phrase, stage, score, score >= tools.threshold)
        return list(found)

    def rejected(self) -> list[str]:
        """Phrases that were not found, in the order they were looked for."""
        return [phrase for phrase, scored in self.scored.items() if not scored.kept]

    def failing(self, stage: Stage, text: str) -> list[str]:
        """Phrases a text names although they are not in the picture."""
        text = _bounded(text)
        named = set(self.look_for(stage, [text]))
        graph = _graphs([text], self._tools)[0] if self.rejected() else SceneGraph()
        still = [
            phrase
            for phrase in self.rejected()
            if phrase in named or (mentions(text, phrase) and not denies(graph, phrase))
        ]
        return without_longer(still)[:MOST_REJECTED]


def _graphs(texts: Sequence[str], tools: Tools) -> list[SceneGraph]:
    """What texts say, each parsed once and kept where the vote looks for it."""
    with tools.parsing, Parsing(tools.parser, facts=tools.facts, processes=1) as parsing:
        return parsing.graphs(texts)


def _account(found: Refined, description: Answer, tools: Tools) -> dict[str, Any]:
    """As it is kept: the texts themselves are in the ledger, so their hashes will do."""
    return {
        "description": hash_bytes(description.text.encode("utf-8", "surrogatepass")),
        "text": hash_bytes(found.text.encode("utf-8", "surrogatepass")),
        "stage": found.stage,
        "parts": parts_version(tools.settings, tools.segmenter),
        "boxes": [list(part.box) for part in found.parts],
        "dropped": [number for number, note in enumerate(found.notes) if not note],
        "parser": tools.parser.version,
        "grounder": tools.grounder.version,
        "threshold": tools.threshold,
        "phrases": [asdict(phrase) for phrase in found.phrases],
        "rejected": list(found.rejected),
        "remaining": list(found.remaining),
    }


def keep_account(facts: Facts, picture: str, captioner: str, account: dict[str, Any]) -> None:
    """Keep what refining a text found out, to be looked at later; one that says the same is kept already.

    Facts never change, so accounts of one picture and captioner are numbered: other settings, another
    account.

    Args:
        facts: Where it is kept.
        picture: SHA-256 of the picture.
        captioner: Name of the captioner.
        account: JSON values.
    """
    keys = _account_keys(picture, captioner)
    known = facts.get_facts(_ACCOUNTS, keys)
    for key in keys:
        if key not in known:
            facts.put_facts(_ACCOUNTS, {key: account})
            # Another process may have taken the number in between; then the next one is tried.
            known |= facts.get_facts(_ACCOUNTS, [key])
        if known[key] == account:
            return


def accounts_of(facts: Facts, picture: str, captioner: str) -> list[dict[str, Any]]:
    """All accounts of a picture and captioner, oldest first."""
    keys = _account_keys(picture, captioner)
    known = facts.get_facts(_ACCOUNTS, keys)
    return [known[key] for key in keys if key in known]


def _account_keys(picture: str, captioner: str) -> list[str]:
    of = hash_bytes(repr((picture, captioner)).encode())[:32]
    return [f"{of}:{number}" for number in range(_MOST_ACCOUNTS)]


def _says_something(answer: Answer) -> bool:
    # A refusal stands at the beginning: a megabyte need not be looked through.
    text = _bounded(answer.text)
    return describes(text, answer.finish) and not normalise(text[:20]).startswith("unclear")


def _bounded(text: str) -> str:
    return _cut(tidy_text(text), LONGEST_DESCRIPTION)


def _cut(text: str, limit: int) -> str:
    """The leading sentences that fit in ``limit`` characters; of one that is longer, its beginning."""
    if len(text) <= limit:
        return text
    sentences = split_sentences(text[: limit + 1])[:-1]
    return " ".join(sentences) or text[:limit]
