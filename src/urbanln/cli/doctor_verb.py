"""The verb that looks at the installation."""

from __future__ import annotations

from urbanln.base.saying import answer


def doctor() -> None:
    """Say what is installed here, where it computes and keeps files, and what each verb still needs."""
    from urbanln.stages.doctor import examine

    answer(*examine())
