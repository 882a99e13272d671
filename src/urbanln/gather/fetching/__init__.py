"""Asking servers for things, for all sources alike: politely, within bounds, and only once.

In: requests. Out: answers, kept on disk. Start with ``rounds``, which asks for all sources side by side;
``client`` makes one request, with its retries and redirects; ``host`` keeps a host's pace; ``guard`` says
which addresses may be asked; ``cache`` keeps the answers.
"""
