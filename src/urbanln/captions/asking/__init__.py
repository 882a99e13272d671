"""Putting questions to captioners: the ledger, limits and retries, the plan, the prompts."""
