"""The command line: each verb parses its options, calls one function and prints what it returns.

In: words. Out: exit codes: 0 done, 1 failed, 2 wrong usage or bad input, 130 and 143 stopped. Errors on
stderr, data on stdout. Start with ``app``, the entrance, and ``program``; the verbs are in ``city_verbs``,
``vector_verbs``, ``retrieve_verb``, ``model_verbs`` and ``doctor_verb``, printed tables in ``scores``.
"""

from urbanln.cli.app import main

__all__ = ["main"]
