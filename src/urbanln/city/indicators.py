"""Labels from a table: read, parsed as numbers, averaged per region; what is missing stays missing."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from urbanln.base.columns import need_columns, number_column
from urbanln.base.errors import InputError


def parse_labels(frame: pd.DataFrame, labels: Sequence[str], *, table: str) -> pd.DataFrame:
    """The label columns of a table as float64; empty cells become NaN.

    Args:
        frame: The table.
        labels: Columns to take, each once.
        table: Name of the table, for errors.

    Raises:
        InputError: A column is missing (the nearest name is given) or named twice, or a value is no number.
    """
    if len(set(labels)) < len(labels):
        twice = next(name for name in labels if list(labels).count(name) > 1)
        raise InputError("a label is named twice", value=twice, where=table)
    if "region_id" in labels:
        raise InputError("a label cannot be called region_id", value="region_id", where=table)
    need_columns(frame.columns, labels, table)
    parsed = {name: number_column(frame, name, table, text_numbers=True) for name in labels}
    return pd.DataFrame(parsed, index=frame.index)


def mean_per_region(
    labels: pd.DataFrame, region_ids: pd.Series, regions: pd.Series
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Average label rows per region, missing values left out of the mean.

    Args:
        labels: (rows, labels) floats.
        region_ids: (rows,) region of each row.
        regions: (N,) ids of all regions, the order of the result.

    Returns:
        Indicators (``region_id`` and one column per label; NaN where a region has no value at all), and
        the number of regions without a value per label.
    """
    means = labels.groupby(region_ids.to_numpy()).mean().reindex(regions.to_numpy())
    missing = {str(name): int(count) for name, count in means.isna().sum().items()}
    means.insert(0, "region_id", regions.to_numpy())
    return means.reset_index(drop=True), missing
