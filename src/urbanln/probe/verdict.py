"""Plain sentences computed from the scores: what beats what, and what weakens the answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from urbanln.base.kinds import RARE, Kind, few
from urbanln.probe.kinds import kind_of, main_score, score_words
from urbanln.probe.labels import NO_LOGARITHM
from urbanln.probe.names import MAP, NEAREST, NO_HEAD, joint_name

FEW_BLOCKS, FEW_REGIONS = 10, 100
HARDEST_FIRST = ("block", "city", "district", "random")
_HOLDING: dict[Kind, tuple[tuple[str, str], ...]] = {
    "number": (("", "intervals"),),
    "classes": (("", "sets"),),
    "shares": (("", "intervals of each part"), ("joint_", "intervals of all parts at once")),
}
FLOOR_NAMES = {
    "mean": "the mean floor",
    NEAREST: "the coordinates floor by neighbours",
    "coordinates-boosting": "the coordinates floor by boosting",
    "coordinates-gp": "the coordinates floor by Gaussian process",
    MAP: "the same head on the map alone",
}


def floor_words(name: str, kind: Kind = "number") -> str:
    """What a sentence calls a floor; any other table keeps its name."""
    if name == "mean" and kind != "number":
        return "the floor of the most frequent class" if kind == "classes" else "the mean share"
    return FLOOR_NAMES.get(name, name)


def short(value: float | None, digits: int = 2, sign: bool = False) -> str:
    """A score as the literature prints it: ``.62``, ``−.03``, ``1.20``; a dash where there is none."""
    if value is None:
        return "–"
    text = f"{abs(value):.{digits}f}".removeprefix("0")
    zero = float(f"{value:.{digits}f}") == 0
    return ("−" if value < 0 and not zero else "+" if sign and not zero else "") + text


def with_interval(value: float | None, low: float | None, high: float | None) -> str:
    """``.12 [.05, .19]``; without brackets where there is no interval."""
    if value is None or low is None or high is None:
        return short(value)
    return f"{short(value)} [{short(low)}, {short(high)}]"


def find_row(scores: Mapping[str, Any], **wanted: str | None) -> dict[str, Any] | None:
    """The first row of ``scores["rows"]`` with these values (``indicator``, ``split``, …), or None."""
    return next((row for row in scores["rows"] if wanted.items() <= row.items()), None)


def hardest_split(names: Iterable[str]) -> str:
    """The split a verdict speaks of: blocks where they were scored, else the hardest of the others."""
    return min(names, key=HARDEST_FIRST.index)


def judged_split(scores: Mapping[str, Any], indicator: str | None = None) -> str:
    """The split that the verdict of an indicator speaks of; of all indicators together without one."""
    rows = scores["rows"]
    return hardest_split({row["split"] for row in rows if indicator in (None, row["indicator"])})


def strongest_floor(scores: Mapping[str, Any], indicator: str, split: str) -> str:
    """The floor with the highest main score there, which is the one to beat.

    With few neighbours left by the buffer, coordinates can do worse than the mean, and beating them would
    say nothing.
    """
    level = {
        row["features"]: main_score(row).value
        for row in scores["rows"]
        if (row["indicator"], row["split"], row["head"]) == (indicator, split, NO_HEAD)
    }
    known = {name: value for name, value in level.items() if value is not None}
    return max(known, key=lambda name: (known[name], name != "mean"), default="mean")


def split_words(scores: Mapping[str, Any], split: str) -> str:
    """How a sentence names a split: ``under 5 km blocks``, ``with whole cities held out``."""
    edge = f"{scores['settings']['block_km']:g} km"
    return {
        "block": f"under {edge} blocks",
        "h3": f"under H3 blocks of about {edge}",
        "random": "under the random split",
        "district": "with whole districts held out",
        "city": "with whole cities held out",
    }["h3" if split == "block" and scores["settings"].get("blocks") == "h3" else split]


def make_verdicts(scores: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Verdicts of each indicator, from the block split (else the hardest) and the first head of the settings.

    The head is fixed before any score is seen, so that the better of two is not picked on the test rows.
    The first rival is the strongest floor, which is picked on them, in the floor's favour. The second
    verdict holds the map and the vectors together against the best that the map gives alone: the strongest
    floor, or the same head on the map's columns where that scores higher. A third holds the vectors against
    the baseline table. Without vectors, the first coordinates floor itself is held against the mean.

    Returns:
        ``indicator``, ``split``, ``features``, ``head``, ``against``, ``diff``, ``low``, ``high``,
        ``beats`` (``"yes"``: the interval lies above 0; ``"no"``: below; ``"undecided"``: it holds 0, or
        there is none, or of classes the score itself may be that of guessing by frequency) and ``sentence``.
    """
    main, baseline = scores["main"], scores["baseline"]
    verdicts = []
    for indicator in dict.fromkeys(row["indicator"] for row in scores["rows"]):
        split = judged_split(scores, indicator)
        floor = strongest_floor(scores, indicator, split)
        if main is None:
            wanted = [(name, NO_HEAD, "mean") for name in _map_floors(scores)[:1]]
        else:
            head = scores["settings"]["heads"][0]
            wanted = [
                (main, head, floor),
                (joint_name(main), head, _best_map(scores, indicator, split, floor)),
            ]
            wanted += [(main, head, baseline)] if baseline not in (None, main) else []
        for features, head, against in wanted:
            row = find_row(scores, indicator=indicator, split=split, features=features, head=head)
            if row is not None:
                verdicts.append(_verdict(row, against, floor, scores))
    return verdicts


def _map_floors(scores: Mapping[str, Any]) -> list[str]:
    """What was scored of that which the map alone gives, the neighbours first."""
    scored = {row["features"] for row in scores["rows"] if row["head"] == NO_HEAD}
    return [name for name in FLOOR_NAMES if name in scored and name != "mean"]


def make_notes(scores: Mapping[str, Any]) -> list[str]:
    """Sentences that hold for all verdicts: what was seen before, and what makes the numbers weak."""
    judged, regions = scores["splits"][judged_split(scores)], scores["regions"]
    notes = []
    if scores["main"] is not None and scores["transductive"] is None:
        notes.append("It is not known whether what made these vectors saw the test regions in training.")
    elif scores["main"] is not None and scores["transductive"]:
        notes.append(
            "Pre-training saw the pictures of the test regions, as in the literature; no label was seen."
        )
    if judged["n_blocks"] < 2:
        notes.append("Only one block: there are no intervals.")
    elif judged["n_blocks"] < FEW_BLOCKS:
        notes.append(f"Only {judged['n_blocks']} blocks: the intervals are a rough guide.")
    if judged["n"] < FEW_REGIONS:
        notes.append(f"Only {judged['n']} regions: the scores themselves are a rough guide.")
    if regions["common"] < regions["total"]:
        notes.append(
            f"Scored on {regions['common']:,} of {regions['total']:,} regions: "
            "those with a vector in every table."
        )
    notes += _label_notes(scores)
    notes += _coverage_notes(scores)
    notes += _leak_notes(scores)
    notes += scores["floors_notes"].values()
    notes += [f"Not scored: {entry['indicator']} ({entry['reason']})." for entry in scores["skipped"]]
    missing: dict[tuple[str, str], list[str]] = {}
    for entry in scores["skipped_splits"]:
        missing.setdefault((entry["split"], entry["reason"]), []).append(entry["indicator"])
    notes += [f"No {split} split: {', '.join(of)} ({reason})." for (split, reason), of in missing.items()]
    return notes


def _label_notes(scores: Mapping[str, Any]) -> list[str]:
    notes = []
    numbers = [row for row in scores["rows"] if kind_of(row) == "number"]
    raw = dict.fromkeys(row["indicator"] for row in numbers if row["transform"] == "none")
    if raw:
        auto = scores["settings"]["transform"] == "auto"
        why = f"since {NO_LOGARITHM}" if auto else "as asked"
        notes.append(f"Scored without a logarithm, {why}: {', '.join(raw)}.")
    zeros = {row["indicator"]: row["dropped_zeros"] for row in numbers if row["dropped_zeros"]}
    notes += [
        f"{name}: {count:,} regions with the label 0 were dropped, since 0 has no logarithm."
        for name, count in zeros.items()
    ]
    return notes


def _coverage_notes(scores: Mapping[str, Any]) -> list[str]:
    """Where the intervals of the main vectors hold fewer truths than they promise."""
    level, head = scores["settings"]["level"], scores["settings"]["heads"][0]
    notes = []
    for indicator in dict.fromkeys(row["indicator"] for row in scores["rows"]):
        split = judged_split(scores, indicator)
        row = find_row(scores, indicator=indicator, split=split, features=scores["main"], head=head)
        if row is None:
            continue
        for key, what in _HOLDING[kind_of(row)]:
            reached = row.get(f"{key}coverage_high")
            if reached is not None and reached < level:
                notes.append(
                    f"{indicator}: the {level:.0%} {what} of {scores['main']} ({head}) hold only "
                    f"{row[f'{key}coverage']:.0%} of the truths {split_words(scores, split)}."
                )
        if kind_of(row) == "classes":
            notes += _class_notes(row, level)
    return notes


def _class_notes(row: Mapping[str, Any], level: float) -> list[str]:
    """Classes too rare to be judged, and those whose truths the sets of the main vectors hold too seldom."""
    rare = [part["name"] for part in row["by_part"] if part["n"] < RARE]
    short_of = [
        f"{part['name']} {part['coverage']:.0%}"
        for part in row["by_part"]
        if part["coverage_high"] is not None and part["coverage_high"] < level
    ]
    notes = []
    if rare:
        notes.append(
            f"{row['indicator']}: classes of fewer than {RARE} regions, whose F1 is chance: {few(rare)}."
        )
    if short_of:
        notes.append(
            f"{row['indicator']}: the {level:.0%} sets of {row['features']} ({row['head']}) hold that share "
            f"over all regions, not of each class: {few(short_of)}."
        )
    return notes


def _leak_notes(scores: Mapping[str, Any]) -> list[str]:
    """What the leakage reports found: all of it where the verdict speaks, else what labels do not tell."""
    notes = []
    for split, report in scores["splits"].items():
        found = [f"{split.capitalize()} split: {sentence}" for sentence in report["found"]]
        if split == judged_split(scores):
            found += [
                f"{split.capitalize()} split, {indicator}: {sentence}"
                for indicator, of_labels in report["by_indicator"].items()
                for sentence in of_labels["found"]
            ]
        notes += found
    return notes


def _verdict(row: Mapping[str, Any], against: str, floor: str, scores: Mapping[str, Any]) -> dict[str, Any]:
    gap = row["vs"][against]
    low, high = gap["low"], gap["high"]
    beats = "undecided" if None in (low, high) or low <= 0 <= high else "yes" if low > 0 else "no"
    if beats == "yes" and _no_better_than_chance(row):
        beats = "undecided"
    sentence = _sentence(row, against, beats, scores)
    main = scores["main"]
    if main is not None and against == "mean" and row["features"] != joint_name(main):
        # Not where there was no such floor: what was not scored may lie anywhere.
        asked = any(name in FLOOR_NAMES and name != "mean" for name in row["vs"])
        mean = "the mean" if kind_of(row) == "number" else "it"
        floors = f"lies above {mean} here" if asked else "was scored"
        sentence += f" No coordinates floor {floors}."
    where = {key: row[key] for key in ("indicator", "split", "features", "head")}
    return {**where, "against": against, **gap, "beats": beats, "sentence": f"{row['indicator']}: {sentence}"}


def _no_better_than_chance(row: Mapping[str, Any]) -> bool:
    """Whether a macro F1 may be that of guessing: what knows nothing can have more than a floor does."""
    low = main_score(row).low
    return kind_of(row) == "classes" and (low is None or low <= row["chance"])


def _sentence(row: Mapping[str, Any], against: str, beats: str, scores: Mapping[str, Any]) -> str:
    joint = row["features"] == joint_name(str(scores["main"]))
    who = f"the map and {scores['main']} together" if joint else row["features"]
    who += "" if row["head"] == NO_HEAD else f" ({row['head']})"
    rival, under = floor_words(against, kind_of(row)), split_words(scores, row["split"])
    gap = row["vs"][against]
    size = f"{with_interval(gap['diff'], gap['low'], gap['high'])} {score_words(row)}"
    if beats == "yes":
        beat, adds = ("beat", ": the vectors add to the map") if joint else ("beats", "")
        return f"{who} {beat} {rival} {under} by {size}{adds}."
    if beats == "no":
        return f"{who} {'do' if joint else 'does'} not beat {rival} {under}: {size}."
    doubt = "there is no interval" if None in (gap["low"], gap["high"]) else "the interval holds 0"
    if doubt == "the interval holds 0" and gap["low"] > 0:
        doubt = f"guessing by frequency alone reaches {short(row['chance'])}"
    return f"{who} against {rival} {under} is undecided: {size} ({doubt})."


def _best_map(scores: Mapping[str, Any], indicator: str, split: str, floor: str) -> str:
    """What the map gives best by itself: the strongest floor, or a head on the map's columns."""
    head = scores["settings"]["heads"][0]
    alone = find_row(scores, indicator=indicator, split=split, features=MAP, head=head)
    strongest = find_row(scores, indicator=indicator, split=split, features=floor, head=NO_HEAD)
    own, best = (main_score(row or {}).value for row in (alone, strongest))
    if own is None:
        return floor
    return MAP if best is None or own > best else floor
