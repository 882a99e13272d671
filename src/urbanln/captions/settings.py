"""Settings of captioning: who is asked and how hard, what is cleaned, refined and voted on.

They stand in a TOML file of their own or beside those of :mod:`urbanln.base.config`; a verb reads its own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from urbanln.base.bounds import MAX_SEED, MOST
from urbanln.captions.asking.ledger_place import check_url
from urbanln.captions.simulation.wording import WORDS_AT_MOST

Action = Literal["drop", "trim", "keep"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CaptionerSettings(_Section):
    """One captioner with a model behind it (``[captioners.NAME]``)."""

    kind: Literal["openai", "transformers"] = Field(
        "openai", description="a server, or a model on this machine"
    )
    model: str = Field(min_length=1, description="name the server knows it by, hub name or folder")
    revision: str = Field("", description="of the model; another revision is asked anew")
    base_url: str = Field("http://localhost:8000/v1", description="OpenAI-compatible server")
    key_env: str = Field(
        "",
        pattern=r"^(?:[A-Za-z_][A-Za-z0-9_]*)?$",
        description="environment variable that holds the key; never the key itself",
    )
    temperature: float = Field(0.2, ge=0, le=2, description="low: the same picture, nearly the same text")
    top_p: float = Field(1.0, gt=0, le=1, description="share of the likeliest words drawn from; 1: of all")
    seed: int = Field(
        0, ge=0, le=MAX_SEED, description="sent along; servers that honour it repeat themselves"
    )
    max_tokens: int = Field(
        400, ge=1, le=1_000_000, description="of a description or merged text; texts cut there are flagged"
    )
    max_tokens_local: int = Field(64, ge=1, le=1_000_000, description="of a part's description (CAPTURE 64)")
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens",
        description="what the server calls this limit; some hosted models take the longer name only",
    )
    max_edge: int = Field(
        768, ge=32, le=16_384, description="longer pictures are scaled down to this many pixels"
    )
    concurrency: int = Field(8, ge=1, le=1024, description="questions under way at once, per process")
    per_minute: float = Field(0.0, ge=0, le=1_000_000, description="questions begun per minute; 0: no limit")
    budget_usd: float | None = Field(
        None, ge=0, le=1e9, description="what all its answers in a ledger may cost"
    )
    usd_per_million_in: float = Field(0.0, ge=0, le=1e6, description="price of a million tokens read")
    usd_per_million_out: float = Field(0.0, ge=0, le=1e6, description="price of a million tokens written")
    retries: int = Field(5, ge=0, le=100, description="further tries after a fault that may pass")
    timeout_s: float = Field(
        120.0, gt=0, le=86_400, description="an unanswered question counts as failed after this"
    )
    tag_requests: bool = Field(
        False,
        description="send picture hash, stage and part as a header, to join a server's log with the ledger",
    )
    omit: tuple[Literal["temperature", "top_p", "seed"], ...] = Field(
        (), description="not sent: some hosted models refuse a request that has them"
    )
    extra_body: dict[str, Any] = Field(
        {}, description="further fields of the request, as the server wants them"
    )

    @field_validator("extra_body")
    @classmethod
    def _sendable(cls, body: dict[str, Any]) -> dict[str, Any]:
        try:
            json.dumps(body, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"JSON cannot say this ({error})") from error
        return body

    @model_validator(mode="after")
    def _agree(self) -> CaptionerSettings:
        if self.budget_usd is not None and not (self.usd_per_million_in or self.usd_per_million_out):
            raise ValueError("a budget is kept by prices: set usd_per_million_in and usd_per_million_out too")
        return self


class CleanSettings(_Section):
    """What is done about each fault before anything is scored; ``trim`` mends where it can, else drops."""

    refusal: Action = Field("drop", description='"I\'m sorry, but I cannot …"; trim takes the sentence out')
    cut_off: Action = Field(
        "trim", description="ended by its limit or mid-sentence; trim drops the half sentence"
    )
    repeated: Action = Field("trim", description="a sentence said again; trim keeps the first")
    boilerplate: Action = Field("keep", description="a sentence that many pictures share, by one captioner")
    place_names: Action = Field("trim", description="a leak across cities; trim writes 'this place' instead")
    too_long: Action = Field("trim", description="over the model's positions; trim keeps whole sentences")
    boilerplate_pictures: int = Field(
        10, ge=2, le=MOST, description="so many pictures with a sentence make it boilerplate"
    )
    places: tuple[str, ...] = Field((), description="further names to look for besides the city's own")


class RefineSettings(_Section):
    """Divide and conquer (UrbanLN; after DetailCaps): parts are described, checked and merged."""

    enabled: bool = Field(False, description="each picture costs a call per part and one or two more")
    segmenter: Literal["felzenszwalb", "sam"] = Field("felzenszwalb", description="sam needs weights")
    segmenter_model: str = Field("facebook/sam-vit-base", description="hub name or folder of SAM")
    selection: Literal["nms", "legacy"] = Field(
        "nms", description="of parts; legacy: clustering as published"
    )
    max_crops: int = Field(8, ge=1, le=1000, description="parts described per picture")
    grounder: Literal["none", "owlv2", "clip", "simulated"] = Field(
        "none",
        description="what checks phrases in the picture; simulated: knows the true scene of a synthetic one",
    )
    grounder_model: str = Field(
        "google/owlv2-large-patch14-ensemble", description="hub name or folder of the detector or the CLIP"
    )
    threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="phrases that score below are rejected; left out: the grounder's own (OWLv2 .01)",
    )
    dilation: float = Field(0.02, ge=0, le=0.5, description="each part grows by this share of the picture")
    min_side: int = Field(
        224, ge=1, le=16_384, description="smaller parts are enlarged; small ones make models invent"
    )

    @model_validator(mode="after")
    def _agree(self) -> RefineSettings:
        if self.grounder == "clip" and "owlv2" in self.grounder_model:
            raise ValueError(
                "with grounder = clip, grounder_model names the CLIP, for example a run's model folder"
            )
        return self


class VoteSettings(_Section):
    """Consensus by CAPTURE score."""

    enabled: bool = Field(True, description="off: all candidates stand with equal weights")
    mode: Literal["strict", "legacy"] = Field(
        "strict", description="legacy counts as the published code does"
    )
    parser: Literal["spacy", "factual"] = Field("spacy", description="factual: the T5 parser, needs weights")
    parser_model: str = Field("lizhuang144/flan-t5-base-VG-factual-sg", description="hub name or folder")
    vectors: str = Field("minilm", description="minilm, or hub name or folder of a sentence encoder")
    weights: Literal["winner", "soft"] = Field(
        "winner", description="soft: training draws by softmax of scores"
    )
    temperature: float = Field(0.05, gt=0, le=1000, description="of the softmax")
    processes: int = Field(0, ge=0, le=1024, description="that parse; 0: one per core but one")


class DescribeSettings(_Section):
    """What captioners are shown and told."""

    view: Literal["satellite", "street", "both"] = Field("both", description="which pictures are described")
    prompts: Path | None = Field(None, description="folder whose files replace the package's prompts")
    allow_remote: bool = Field(
        False,
        description="send pictures to servers beyond this machine and its network: they may show people",
    )


class KeepSettings(_Section):
    """Where answers are kept; it changes nothing of what is asked."""

    ledger: str = Field(
        "",
        description="postgresql://host/name, for clients on several hosts; empty: the city's own file",
    )

    @field_validator("ledger")
    @classmethod
    def _without_secret(cls, url: str) -> str:
        return check_url(url) if url else url


class SimulationSettings(_Section):
    """The simulated captioners and the simulated detector of a synthetic city: how many, and how wrong.

    How they err: :class:`urbanln.captions.simulation.simulated.SimulatedCaptioner`.
    """

    captioners: int = Field(
        0, ge=0, le=9, description="so many, alike but for their words; 0: the five from careful to careless"
    )
    omission: float = Field(
        0.15, ge=0, le=1, description="chance of alike captioners to overlook an object of middle size"
    )
    untrue: float = Field(
        0.0, ge=0, le=1, description="share of the objects a text tells of that are not in the picture"
    )
    shared: float = Field(
        0.0, ge=0, le=1, description="share of these and of what is overlooked that all err in alike"
    )
    words: int = Field(WORDS_AT_MOST, ge=40, le=400, description="the longest description, in words")
    details_at: int = Field(
        0, ge=0, le=20, description="first sentence on details, from 1; 0: after the layout of the whole"
    )
    detector_finds: float = Field(
        0.95, ge=0, le=1, description="sensitivity: chance that the detector finds what is there"
    )
    detector_rejects: float = Field(
        0.75, ge=0, le=1, description="specificity: chance that it does not find what is not there"
    )


class CaptionSettings(_Section):
    """Everything captions depend on besides pictures."""

    captions: KeepSettings = KeepSettings()
    describe: DescribeSettings = DescribeSettings()
    captioners: dict[str, CaptionerSettings] = {}
    clean: CleanSettings = CleanSettings()
    refine: RefineSettings = RefineSettings()
    vote: VoteSettings = VoteSettings()
    simulation: SimulationSettings = SimulationSettings()
