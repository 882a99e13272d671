"""Ledgers that say what no ledger of ours says."""

from __future__ import annotations

import sqlite3
from pathlib import Path

LEDGERS: dict[str, tuple[str, ...]] = {
    "newer": ("PRAGMA user_version = 99",),
    "foreign": ("PRAGMA application_id = 1",),
    "no-texts": ("DROP TABLE texts",),
    "no-prompts": ("DROP TABLE prompts",),
    "no-claims": ("DROP TABLE claims", "DROP TABLE spent"),
    "no-facts": ("DROP TABLE facts",),
    "other-columns": ("DROP TABLE errors", "CREATE TABLE errors (x)"),
    "bytes": ("UPDATE texts SET text = x'ff00fe'",),
    "no-utf-8": ("UPDATE texts SET text = CAST(x'ff80' AS TEXT)",),
    "lone": ("UPDATE texts SET text = CAST(x'eda080' AS TEXT)",),
    "nul": ("UPDATE texts SET text = 'a' || char(0) || char(27) || '[2J b'",),
    "empty-text": ("UPDATE texts SET text = ''",),
    "bad-json": ("UPDATE texts SET decoding = '{', box = '['",),
    "deep-json": ("UPDATE texts SET decoding = replace(hex(zeroblob(60000)), '00', '[')",),
    "numbers": ("UPDATE texts SET tokens_in = 'many', cost_usd = 'much', seconds = 9e999",),
    "bad-facts": ("UPDATE facts SET value = '{\"a\":'",),
    "other-facts": ("UPDATE facts SET value = '[1, {\"a\": null}]'",),
    "odd-names": ("UPDATE texts SET captioner = 'x' || char(27) || '[2J'",),
    "claims": (
        "INSERT OR REPLACE INTO claims SELECT key, 'nobody', captioner, 0 FROM texts",
        "DELETE FROM texts",
    ),
    "odd-claims": (
        "INSERT OR REPLACE INTO claims SELECT key, '', captioner, 'x' FROM texts",
        "DELETE FROM texts",
    ),
    "view": ("DROP INDEX texts_of_picture", "ALTER TABLE texts RENAME TO others",
             "CREATE VIEW texts AS SELECT * FROM others"),
    "trigger": ("CREATE TRIGGER t BEFORE INSERT ON texts BEGIN SELECT RAISE(ABORT, 'no'); END",),
}  # fmt: skip


def spoil_ledger(path: Path, name: str) -> None:
    """Do to a ledger what stands under this name."""
    with sqlite3.connect(path) as database:
        for statement in LEDGERS[name]:
            database.execute(statement)
    database.close()
