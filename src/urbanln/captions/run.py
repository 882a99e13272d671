"""Caption a whole city: ask, refine, clean, vote, and write the caption table."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pandas as pd

from urbanln.base.errors import InputError, MissingExtraError, UrbanLNError, require
from urbanln.base.files import scratch_folder
from urbanln.base.locks import alone
from urbanln.base.spool import spooled
from urbanln.captions.asking.ledger import Ledger
from urbanln.captions.asking.ledger_place import LEDGER_NAME, has_ledger, ledger_place
from urbanln.captions.asking.plan import Plan, make_plan
from urbanln.captions.asking.prompts import Prompts
from urbanln.captions.asking.queues import Asked, ask_all
from urbanln.captions.captioners.answers import judge
from urbanln.captions.captioners.base import Box, Captioner, Picture, pictures_of
from urbanln.captions.capture import PhraseVectors, load_vectors
from urbanln.captions.cleaning.clean import Cleaned, clean_captions
from urbanln.captions.facts import Facts
from urbanln.captions.parsing.parse import load_parser
from urbanln.captions.refine.flow import Tools, known_parts
from urbanln.captions.refine.grounding import Grounder, NoGrounder
from urbanln.captions.refine.parts import FelzenszwalbSegmenter, Segmenter
from urbanln.captions.report import CaptionReport
from urbanln.captions.scene_graph import Parser
from urbanln.captions.settings import CaptionSettings, RefineSettings
from urbanln.captions.simulation.scene_captioner import SimulatedGrounder
from urbanln.captions.table import (
    FILLERS,
    TokenCounter,
    candidates_table,
    fill_gaps,
    merge_candidates,
    on_disk,
)
from urbanln.captions.voted import vote_blocks
from urbanln.city.checks import empty_captions
from urbanln.city.store import CAPTIONS_FILE

if TYPE_CHECKING:
    from urbanln.city.store import City


def caption_city(
    city: City,
    captioners: Sequence[Captioner],
    *,
    settings: CaptionSettings | None = None,
    count_tokens: TokenCounter | None = None,
    max_tokens: int = 248,
    grounder: Grounder | None = None,
    limit: int | None = None,
    budget_usd: float | None = None,
    replace: bool = False,
) -> CaptionReport:
    """Caption the pictures of a city and write ``captions.parquet``.

    Every answer goes into the ledger (``captions.sqlite``, or where ``captions.ledger`` says) as it comes:
    run again, the call asks only what is not known. Captions in the table are kept as candidates, but for
    those of the same captioners on the same pictures.

    Args:
        city: An open city.
        captioners: In order of preference, which counts where no vote decides; their names differ.
        settings: What is shown, refined, cleaned and voted on; default: :class:`CaptionSettings`.
        count_tokens: Gives the number of tokens of each text, untruncated; without it tokens stay unknown.
        max_tokens: Text positions of the model that will read the captions (248 after stretching).
        grounder: Checks phrases in place of the one ``settings`` name; CLIP is only had this way.
        limit: Only the first so many pictures, for a try.
        budget_usd: What all answers in the ledger may cost.
        replace: Leave out the captions that are in the table.

    Raises:
        InputError: No captioner, two of one name, one that can say nothing about this city, or one on a
            server beyond this network without ``settings.describe.allow_remote``.
        MissingExtraError: Refinement or the vote needs a package that is not installed.
        StorageError, ArtefactError: The ledger or the table cannot be used.
    """
    settings = settings or CaptionSettings()
    pictures = check_captioners(city, captioners, settings, budget_usd)
    _check_allowed(captioners, settings)
    remarks = [remark for captioner in captioners for remark in captioner.prepare(pictures)]
    voters = sum(captioner.identity.name not in FILLERS for captioner in captioners)
    language = load_language(settings, several=voters > 1 or not (replace or city.captions.empty))
    pictures = pictures[:limit]
    with Ledger(ledger_place(city, settings.captions.ledger)) as ledger:
        prompts = Prompts(settings.describe.prompts)
        tools = make_tools(settings, ledger, prompts, language, grounder) if settings.refine.enabled else None
        asked = ask_all(pictures, captioners, ledger, prompts, tools=tools, budget_usd=budget_usd)
        _check_any(asked, pictures, city)
        sources = {f"captions from {n}": digest for c in captioners for n, digest in c.sources.items()}
        # From reading the table to writing it, so that captioners that run at once all find their way in.
        with alone(city.folder / CAPTIONS_FILE, "writes the captions of this city", wait=True):
            candidates, said = (asked.texts, []) if replace else _with_earlier(asked.texts, city)
            cleaned = _clean(candidates, city, settings, count_tokens, max_tokens)
            language = _still_enough(language, cleaned, settings)
            table = choose(cleaned.frame, settings, language, count_tokens, max_tokens, ledger)
            city.save_captions(table, made_from=sources)
    names = [one.identity.name for one in captioners]
    return CaptionReport(
        len(pictures), names, asked, cleaned, table, [*remarks, *said, *_stood_back(cleaned)], max_tokens
    )


@dataclass(frozen=True)
class Language:
    """What texts are read with; None where it is not needed."""

    parser: Parser | None = None
    vectors: PhraseVectors | None = None


def load_language(settings: CaptionSettings, *, several: bool) -> Language:
    """Load the parser and the sentence vectors that a run will need: before its first question.

    Args:
        settings: Of refinement and the vote.
        several: Whether there will be pictures with more than one candidate.

    Raises:
        MissingExtraError: A package they need is not installed.
        InputError: No such model.
    """
    vote = settings.vote
    voting = vote.enabled and several
    if not voting and not settings.refine.enabled:
        return Language()
    try:
        require("spacy")
        parser = load_parser(vote.parser, vote.parser_model if vote.parser == "factual" else "")
        return Language(parser, load_vectors(vote.vectors) if voting else None)
    except MissingExtraError as error:
        raise MissingExtraError(
            "refinement and the vote between captioners need a package that is not installed",
            value=error.what,
            remedy=f"{error.remedy}; or do without: --set vote.enabled=false --set refine.enabled=false",
            where="vote, refine",
        ) from error


def _still_enough(language: Language, cleaned: Cleaned, settings: CaptionSettings) -> Language:
    """What the vote needs: others' captions may have come in while these were asked for."""
    several = bool(fill_gaps(cleaned.frame)["image_id"].duplicated().any())
    return load_language(settings, several=True) if several and language.vectors is None else language


def choose(
    candidates: pd.DataFrame,
    settings: CaptionSettings,
    language: Language,
    count_tokens: TokenCounter | None,
    max_tokens: int = 248,
    facts: Facts | None = None,
) -> pd.DataFrame:
    """The caption table of some candidates: chosen by vote, its texts on disk, or all with equal weights.

    What is measured fills gaps: it is no candidate for a picture that somebody has described.

    Args:
        candidates: Columns ``image_id``, ``captioner``, ``caption``, clean.
        settings: Its ``vote`` section is used.
        language: Without sentence vectors there is no vote.
        count_tokens: Gives the number of tokens of each text, untruncated.
        max_tokens: Text positions of the model.
        facts: Keeps parses.
    """
    vote, candidates = settings.vote, fill_gaps(candidates)
    if language.vectors is None or not candidates["image_id"].duplicated().any():
        return candidates_table(candidates, count_tokens)
    blocks = vote_blocks(
        candidates, mode=vote.mode, parser=language.parser, vectors=language.vectors,
        count_tokens=count_tokens, max_tokens=max_tokens, weights=vote.weights, temperature=vote.temperature,
        facts=facts, processes=vote.processes,
    )  # fmt: skip
    return spooled(blocks, empty_captions())


def plan_city(
    city: City,
    captioners: Sequence[Captioner],
    settings: CaptionSettings | None = None,
    *,
    limit: int | None = None,
    budget_usd: float | None = None,
) -> Plan:
    """What captioning a city would take; nothing is sent and nothing is written.

    Args:
        city: An open city.
        captioners: As for :func:`caption_city`.
        settings: As for :func:`caption_city`.
        limit: Only the first so many pictures.
        budget_usd: What all answers in the ledger may cost: the plan says whether it will do.

    Raises:
        InputError: As of :func:`caption_city`, but for servers beyond this network: the plan says so.
    """
    settings = settings or CaptionSettings()
    pictures = check_captioners(city, captioners, settings, budget_usd)[:limit]
    prompts, refine = Prompts(settings.describe.prompts), settings.refine
    segmenter = make_segmenter(refine) if refine.enabled else None
    with ExitStack() as stack:
        url = settings.captions.ledger
        place = ledger_place(city, url)
        there = bool(url) or has_ledger(city)
        if not there:  # a plan leaves no trace
            place = stack.enter_context(scratch_folder()) / LEDGER_NAME
        ledger = stack.enter_context(Ledger(place, read_only=there))

        def boxes_of(picture: Picture) -> list[Box] | None:
            parts = known_parts(picture, refine, segmenter, ledger) if segmenter is not None else None
            return None if parts is None else [part.box for part in parts]

        return make_plan(
            captioners,
            pictures,
            ledger,
            prompts=prompts,
            refine=refine,
            boxes_of=boxes_of,
            budget_usd=budget_usd,
        )


def make_segmenter(settings: RefineSettings) -> Segmenter:
    """What finds the salient parts of pictures."""
    if settings.segmenter == "sam":
        return require("urbanln.captions.networks.sam").SamSegmenter(settings.segmenter_model)
    require("skimage")
    return FelzenszwalbSegmenter()


def make_tools(
    settings: CaptionSettings,
    ledger: Ledger,
    prompts: Prompts,
    language: Language,
    grounder: Grounder | None = None,
) -> Tools:
    """What refinement needs besides captioners.

    Raises:
        InputError: The settings name CLIP as grounder, and none was handed in.
        MissingExtraError: A package it needs is not installed.
    """
    refine = settings.refine
    if grounder is None and refine.grounder == "clip":
        raise InputError(
            "the CLIP grounder is made by urbanln.stages.bridges.clip_grounder and handed in",
            where="refine.grounder",
            remedy="hand it in as grounder, or choose owlv2 or none",
        )
    if grounder is None and refine.grounder == "owlv2":
        grounder = require("urbanln.captions.networks.owlv2").Owlv2Grounder(refine.grounder_model)
    if grounder is None and refine.grounder == "simulated":
        quality = settings.simulation
        grounder = SimulatedGrounder(quality.detector_finds, quality.detector_rejects)
    parser = language.parser or load_parser("spacy")
    return Tools(refine, prompts, parser, grounder or NoGrounder(), make_segmenter(refine), facts=ledger)


def check_captioners(
    city: City,
    captioners: Sequence[Captioner],
    settings: CaptionSettings,
    budget_usd: float | None = None,
) -> list[Picture]:
    """The pictures to be described, after a look at who is to describe them.

    Raises:
        InputError: No captioner, two of one name, a far server whose prices a budget would need, or no
            picture of the view.
    """
    names = [captioner.identity.name for captioner in captioners]
    if not names:
        raise InputError(
            "no captioner was given", remedy="for example --captioner measured", where="--captioner"
        )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(
            "two captioners have the same name",
            value=twice,
            remedy="give each one once, or name them in the settings: [captioners.NAME]",
            where="--captioner",
        )
    free = next((one for one in captioners if one.remote and not one.limits.priced), None)
    if free is not None and budget_usd is not None:
        raise InputError(
            "a budget is kept by prices, and this captioner has none: it would never be spent",
            value=free.identity.name,
            remedy="set usd_per_million_in and usd_per_million_out of [captioners.NAME]",
            where="--budget",
        )
    pictures = pictures_of(city, settings.describe.view)
    if not pictures:
        raise InputError(
            "there is no picture of this view to describe",
            value=settings.describe.view,
            where=city.folder,
            remedy="--set describe.view=both, or ingest pictures of this view",
        )
    return pictures


def _check_allowed(captioners: Sequence[Captioner], settings: CaptionSettings) -> None:
    """Pictures leave this network only when that was said."""
    far = next((captioner.remote for captioner in captioners if captioner.remote), None)
    if far is not None and not settings.describe.allow_remote:
        raise InputError(
            "this server is not on this machine or its network, and pictures may show people and plates",
            value=far,
            remedy="if you may send them there: --allow-remote (or describe.allow_remote = true)",
            where="describe.allow_remote",
        )


class NotDescribed(UrbanLNError):
    """Pictures have no captions, told in one line with its reason, place and remedy.

    A log's last line tells all of it then.
    """

    def __str__(self) -> str:
        """What happened, alone: the rest is in it."""
        return self.what


class NothingDescribed(NotDescribed, InputError):
    """Nobody who was asked has anything to say of a single picture of a city."""


def _check_any(asked: Asked, pictures: Sequence[Picture], city: City) -> None:
    if not asked.texts.empty:
        return
    reasons = [asked.stop_line(name) for name in asked.stopped]
    reasons += [f"{name}: {asked.fault_line(name)}" for name in asked.faults if name not in asked.stopped]
    fault = NotDescribed if reasons else NothingDescribed  # a server that is down is no wrong usage
    reasons += asked.skipped.values()
    # In one line, so that a log's last one tells all of it.
    reason = reasons[-1] if reasons else f"nobody has anything for its {len(pictures)} pictures"
    what = f"not one picture of {city.name} could be described: {reason}"
    raise fault(what, where=city.folder, remedy="put that right, and run the same command again")


def _clean(
    candidates: pd.DataFrame,
    city: City,
    settings: CaptionSettings,
    count_tokens: TokenCounter | None,
    max_tokens: int,
) -> Cleaned:
    """The candidates in the order of the pictures, clean; an error where none is left."""
    cleaned = clean_captions(
        _in_order(candidates, city), settings.clean, places=(city.name,), count_tokens=count_tokens,
        max_tokens=max_tokens,
    )  # fmt: skip
    if cleaned.frame.empty:
        raise InputError(
            "no caption is left after cleaning",
            value=", ".join(f"{flag}: {n}" for flag, n in cleaned.counts().items() if n),
            where=city.folder,
            remedy="look at them: urbanln audit; keep more: --set clean.FLAG=keep",
        )
    return replace(cleaned, frame=on_disk(cleaned.frame))


def _stood_back(cleaned: Cleaned) -> list[str]:
    """A remark on what fillers said of pictures that others describe."""
    back = len(cleaned.frame) - len(fill_gaps(cleaned.frame))
    return [f"measured: {back} captions stand back behind what others say"] if back else []


def _with_earlier(candidates: pd.DataFrame, city: City) -> tuple[pd.DataFrame, list[str]]:
    """The candidates together with those in the city's table, and remarks on what became of these."""
    table = city.captions.sort_values("rank", kind="stable")
    # What was taken for a caption before there was a rule against it is none now.
    earlier = table.assign(caption=[judge(text).text for text in table["caption"]])
    earlier = earlier[earlier["caption"] != ""]
    if earlier.empty:
        return candidates, []
    merged = merge_candidates(earlier, candidates)
    # Why a new text ended; of the earlier ones, which are clean, the table does not know it.
    ended = candidates[["image_id", "captioner", "finish"]]
    merged = merged.merge(ended, on=["image_id", "captioner"], how="left", validate="1:1")
    kept, replaced = len(merged) - len(candidates), len(earlier) + len(candidates) - len(merged)
    return merged, [f"captions that were there: {kept} kept, {replaced} replaced"]


def _in_order(candidates: pd.DataFrame, city: City) -> pd.DataFrame:
    place = pd.Series(range(len(city.images)), index=city.images["image_id"])
    return candidates.iloc[place.loc[candidates["image_id"]].to_numpy().argsort(kind="stable")]
