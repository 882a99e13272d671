"""What a run leaves: ``cityrep.json``, ``cityrep.parquet``, ``cityrep.md`` and the page ``cityrep.html``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd

from urbanln.base.files import atomic_path, plain, write_json, write_table, write_text
from urbanln.base.version import __version__
from urbanln.cityrep.compared import above_the_map, means, ranks
from urbanln.cityrep.payloads import NOTES
from urbanln.cityrep.tables import markdown

KIND = "cityrep"
_COLUMNS = (
    "task", "city", "label", "kind", "features", "head", "split", "theirs", "n", "metric", "score",
    "score_sd", "score_seeds", "low", "high", "missing", "cpu_s",
)  # fmt: skip


def collect(
    rows: Sequence[Mapping[str, Any]], theirs: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything that is written, from rows of ours and of CityRep's.

    Args:
        rows: Ours.
        theirs: CityRep's, of the same tasks and of others.
        facts: What the results are of.
    """
    here = {row["task"] for row in rows}
    both = [*rows, *(row for row in theirs if row["task"] in here and row["split"] in facts["splits"])]
    left_out = sorted({row["task"] for row in both if f"{row['city']}.{row['label']}" in NOTES})
    plain_rows = [{key: value for key, value in row.items() if key != "samples"} for row in both]
    found = {
        "kind": KIND, "version": __version__, **facts, "left_out_of_means": left_out,
        "means": means(both, left_out), "ranks": ranks(both, left_out),
        "above_the_map": above_the_map(both), "rows": plain_rows,
    }  # fmt: skip
    result: dict[str, Any] = plain(found)
    return result


def write_results(folder: Path, result: Mapping[str, Any]) -> Path:
    """Write all forms of a result, each whole or not at all, ``cityrep.json`` last.

    Returns:
        The page.

    Raises:
        StorageError: The folder cannot be written.
    """
    from urbanln.cityrep.page import cityrep_page

    frame = pd.DataFrame(result["rows"]).reindex(columns=_COLUMNS)
    page = folder / "cityrep.html"
    with ExitStack() as stack:
        write_json(stack.enter_context(atomic_path(folder / "cityrep.json")), result)
        write_text(stack.enter_context(atomic_path(folder / "cityrep.md")), markdown(result))
        write_text(stack.enter_context(atomic_path(page)), cityrep_page(result))
        write_table(stack.enter_context(atomic_path(folder / "cityrep.parquet")), frame, kind=KIND)
    return page
