"""What captioners said of a city's pictures, one text per picture and captioner.

The caption table keeps equal texts of a picture once, under the first captioner's name; whoever asks for a
captioner's texts, or counts how many said the same, needs them all. The ledger has them.
"""

from __future__ import annotations

import pandas as pd

from urbanln.captions.asking.ledger import Ledger
from urbanln.captions.asking.ledger_place import has_ledger, ledger_place
from urbanln.captions.captioners.answers import judge
from urbanln.captions.table import COLUMNS, tidy_candidate
from urbanln.city.store import City


def last_words(city: City, url: str = "") -> pd.DataFrame:
    """The last word of each captioner on each picture, uncleaned, out of the ledger.

    Args:
        city: An open city.
        url: Of its ledger (``captions.ledger``); empty: the file in its folder.

    Returns:
        ``picture`` (its hash), ``image_id``, ``captioner``, ``caption``, ``finish``, and ``by_content``:
        whether the answer is that of all pictures of this content, under the id of the one that came first.
        Empty without a ledger.
    """
    columns = ["picture", *COLUMNS, "finish", "by_content"]
    if not has_ledger(city, url):
        return pd.DataFrame(columns=columns, dtype="str")
    with Ledger(ledger_place(city, url), read_only=True) as ledger:
        rows = ledger.texts()
    # Who takes no prompt goes by the picture's id, as a table of recorded captions does.
    rows["by_content"] = rows["prompt_text"].fillna("") != ""
    rows["whose"] = rows["picture"].where(rows["by_content"], rows["image_id"])
    rows = rows[rows["stage"] != "local"].drop_duplicates(["whose", "by_content", "captioner"], keep="last")
    said = [judge(*row) for row in zip(rows["text"], rows["finish"], strict=True)]
    rows = rows.assign(caption=[one.text for one in said], finish=[one.finish for one in said])
    return rows[columns]


def spoken(city: City) -> pd.DataFrame:
    """All captions of the table, with the equal ones that are one there.

    Who said of a picture, to the letter, what another one did stands in the ledger alone: that row comes back
    with the text that stands in the table, up to the number of candidates that the table counted.

    Returns:
        ``image_id``, ``captioner``, ``caption``, in the order of the table, what came back behind.
    """
    captions = city.captions.sort_values(["image_id", "rank"], kind="stable")
    table = captions[COLUMNS].reset_index(drop=True)
    said = last_words(city)
    if said.empty or table.empty:
        return table
    shared = said["by_content"].to_numpy(dtype=bool)
    pictures = city.images[["image_id", "sha256"]].rename(columns={"sha256": "picture"}).dropna()
    said = pd.concat([said[~shared], said[shared].drop(columns="image_id").merge(pictures, on="picture")])
    said["raw"] = said["caption"].map(tidy_candidate)
    known = said.merge(table.rename(columns={"caption": "kept"}), on=["image_id", "captioner"], how="left")
    there = known[known["kept"].notna()].drop_duplicates(["image_id", "raw"])
    gone = known[known["kept"].isna() & (known["raw"] != "")].drop(columns="kept")
    back = gone.merge(there[["image_id", "raw", "kept"]], on=["image_id", "raw"])
    counted = captions.groupby("image_id")["n_candidates"].agg(["first", "size"])
    gone_from = back["image_id"].map(counted["first"] - counted["size"]).astype("int64")  # of no row: text
    back = back[back.groupby("image_id").cumcount() < gone_from]
    return pd.concat([table, back.assign(caption=back["kept"])[COLUMNS]], ignore_index=True)
