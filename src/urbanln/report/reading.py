"""What the sections ask of ``scores.json``: its rows, and which of them speak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from urbanln.pages.text import clean, finite
from urbanln.probe.kinds import kind_of, main_score, score_words
from urbanln.probe.names import MAP, NEAREST, OLDER, joint_name

# From the hardest to the one that flatters.
SPLITS = {
    "city": "City split",
    "district": "District split",
    "block": "Block split",
    "random": "Random split",
}
FLOOR_LABELS = {
    "mean": "mean",
    NEAREST: "coordinates, neighbours",
    OLDER: "coordinates, neighbours",
    "coordinates-boosting": "coordinates, boosting",
    "coordinates-gp": "coordinates, Gaussian process",
}
Row = Mapping[str, Any]


def rows_of(scores: Mapping[str, Any], **wanted: object) -> list[Row]:
    """The score rows whose fields equal ``wanted``."""
    rows = scores.get("rows") or []
    return [row for row in rows if all(row.get(key) == value for key, value in wanted.items())]


def unique(values: Sequence[Any]) -> list[Any]:
    """The values in order of first appearance."""
    return list(dict.fromkeys(values))


def indicators(scores: Mapping[str, Any]) -> list[str]:
    """The indicators scored, in order."""
    return unique([str(row["indicator"]) for row in scores.get("rows") or []])


def splits_of(scores: Mapping[str, Any]) -> dict[str, str]:
    """Name and title of every split that was scored, from the hardest to the one that flatters."""
    names = unique([str(row.get("split")) for row in scores.get("rows") or []])
    order = sorted(names, key=lambda name: list(SPLITS).index(name) if name in SPLITS else len(SPLITS))
    return {name: SPLITS.get(name, f"{name.capitalize()} split") for name in order}


def split_title(name: str) -> str:
    """The heading of a split, whether it was scored or not."""
    return clean(SPLITS.get(name, f"{name.capitalize()} split"), 80)


def shown_split(scores: Mapping[str, Any]) -> str | None:
    """The split that verdicts, maps and errors are of: ``"block"`` where there is one, else the hardest."""
    names = list(splits_of(scores))
    return "block" if "block" in names else (names[0] if names else None)


def subject(scores: Mapping[str, Any]) -> str:
    """Whose predictions the page draws: the main vectors, or where none are the first floor of the map."""
    floors = [name for name in floors_of(scores) if name in FLOOR_LABELS and name != "mean"]
    return str(scores.get("main") or (floors or [NEAREST])[0])


def main_head(scores: Mapping[str, Any]) -> str | None:
    """The head of maps and verdicts."""
    return head_of(scores, subject(scores))


def head_of(scores: Mapping[str, Any], features: str) -> str | None:
    """The head that speaks for a table: the first of the settings, chosen before any score was seen."""
    found = [row.get("head") for row in rows_of(scores, features=features)]
    chosen = [head for head in (scores.get("settings") or {}).get("heads") or [] if head in found]
    return (chosen or found or [None])[0]


def main_row(scores: Mapping[str, Any], indicator: str) -> Row:
    """The row that speaks for an indicator; empty when it was not scored."""
    found = rows_of(
        scores,
        indicator=indicator,
        features=subject(scores),
        split=shown_split(scores),
        head=main_head(scores),
    )
    return found[0] if found else {}


def scale_of(scores: Mapping[str, Any], indicator: str) -> str:
    """The scale that the heads were fitted on, and the main score is of, as text."""
    rows = rows_of(scores, indicator=indicator)
    kind = kind_of(rows[0]) if rows else "number"
    if kind != "number":
        return f"the {kind}"
    transform = str(rows[0].get("transform") or "") if rows else ""
    return {"log1p": "ln(1 + label)", "log": "ln(label)"}.get(transform, "the label as it is")


def measure_of(scores: Mapping[str, Any], indicator: str) -> str:
    """What the main score of an indicator is called: ``R²``, ``macro F1``, ``KL skill``."""
    rows = rows_of(scores, indicator=indicator)
    return score_words(rows[0]) if rows else "R²"


def is_log(scores: Mapping[str, Any], indicator: str) -> bool:
    """Whether the heads were fitted on a logarithm of the label."""
    return scale_of(scores, indicator).startswith("ln")


def floors_of(scores: Mapping[str, Any], indicator: str | None = None) -> list[str]:
    """Names of the floors that were scored: what has no head, the mean first."""
    wanted = {} if indicator is None else {"indicator": indicator}
    names = unique(
        [str(row["features"]) for row in rows_of(scores, **wanted) if row.get("head") in (None, "", "none")]
    )
    return sorted(names, key=lambda name: list(FLOOR_LABELS).index(name) if name in FLOOR_LABELS else 99)


def strongest_floor(scores: Mapping[str, Any], indicator: str, split: str | None) -> str | None:
    """The floor with the highest main score under a split; ``None`` where none was scored."""
    found = {
        name: finite(main_score(row).value)
        for name in floors_of(scores, indicator)
        for row in rows_of(scores, indicator=indicator, split=split, features=name)[:1]
    }
    known = {name: value for name, value in found.items() if value is not None}
    return max(known, key=lambda name: known[name]) if known else None


def floor_label(features: str | None) -> str:
    """A floor as a reader would call it."""
    return clean(FLOOR_LABELS.get(features or "", features), 120)


def is_joint(features: str) -> bool:
    """Whether a row is of the comparison with the map: the map alone, or with vectors."""
    return features == MAP or features.startswith(joint_name(""))


def role(scores: Mapping[str, Any], features: str) -> str:
    """``"floor"``, ``"joint"``, ``"main"``, ``"baseline"`` or ``"other"``."""
    if features in floors_of(scores):
        return "floor"
    if is_joint(features):
        return "joint"
    if features == scores.get("main"):
        return "main"
    return "baseline" if features == scores.get("baseline") else "other"


def ordered(scores: Mapping[str, Any], indicator: str) -> list[tuple[str, str]]:
    """(features, head) pairs of an indicator but the joint ones: floors, others, baseline, main vectors."""
    rows = rows_of(scores, indicator=indicator)
    pairs = unique([(str(row["features"]), str(row.get("head") or "")) for row in rows])
    floors = floors_of(scores, indicator)
    rank = {"floor": 1, "other": 2, "baseline": 3, "main": 4}
    kept = [pair for pair in pairs if role(scores, pair[0]) != "joint"]
    return sorted(
        kept,
        key=lambda pair: (
            rank[role(scores, pair[0])],
            floors.index(pair[0]) if pair[0] in floors else 0,
        ),
    )


def length(km: object, rounded: bool = False) -> str | None:
    """A distance as ``1.2 km`` or ``500 m``; ``None`` when it is missing."""
    value = finite(km)
    if value is None:
        return None
    value = float(f"{value:.2g}") if rounded else value
    return f"{value:g} km" if value >= 1 else f"{value * 1000:g} m"
