"""Captioners: servers, models, tables of recorded texts, and what pixels tell.

In: a question about a picture (``base.Ask``). Out: a text with its cost (``base.Answer``). Called by
``captions.asking`` through the desk. Start with ``base``: whoever has its one method is a captioner;
``named`` makes them of words on the command line, ``sending`` says what of a picture goes out, ``answers``
judges what comes back (``markup`` takes thoughts and control tokens out of it).
"""
