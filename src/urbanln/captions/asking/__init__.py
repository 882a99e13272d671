"""Putting questions to captioners: what is asked, how fast, at what cost, and what was answered.

In: pictures, captioners, prompts. Out: answers in the ledger, each asked once, also over kills and
processes. Called by ``captions.run``. Start with ``queues`` (a picture's way), ``desk`` (pace, retries,
waits that a server asks for, budget) or ``ledger`` (what is kept).
"""
