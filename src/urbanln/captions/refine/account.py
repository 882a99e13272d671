"""What refining a text found out, kept beside the ledger's texts so that it can be looked at later."""

from __future__ import annotations

from typing import Any

from urbanln.base.files import hash_bytes
from urbanln.captions.facts import Facts

KIND = "refine"
_MOST = 64


def keep_account(facts: Facts, picture: str, captioner: str, account: dict[str, Any]) -> None:
    """Keep the account of one refinement; one that says the same is kept already.

    Facts never change, so accounts of one picture and captioner are numbered: other settings, another
    account.

    Args:
        facts: Where it is kept.
        picture: SHA-256 of the picture.
        captioner: Name of the captioner.
        account: JSON values.
    """
    keys = _keys(picture, captioner)
    known = facts.get_facts(KIND, keys)
    for key in keys:
        if key not in known:
            facts.put_facts(KIND, {key: account})
            # Another process may have taken the number in between; then the next one is tried.
            known |= facts.get_facts(KIND, [key])
        if known[key] == account:
            return


def accounts_of(facts: Facts, picture: str, captioner: str) -> list[dict[str, Any]]:
    """All accounts of a picture and captioner, oldest first."""
    keys = _keys(picture, captioner)
    known = facts.get_facts(KIND, keys)
    return [known[key] for key in keys if key in known]


def _keys(picture: str, captioner: str) -> list[str]:
    of = hash_bytes(repr((picture, captioner)).encode())[:32]
    return [f"{of}:{number}" for number in range(_MOST)]
