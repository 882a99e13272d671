"""What words: captioners are asked, texts refined and cleaned, and the one that others bear out is chosen.

In: a city's pictures, or a table of candidate texts. Out: the ledger (``captions.sqlite``) and
``captions.parquet``. Called by the stages ``caption`` and ``audit``, by studies and the demo; token counts
and a CLIP grounder are handed in. Start with ``run``, which goes through the folders in order:
``captioners`` (who answers), ``asking`` (ledger, limits), ``refine``, ``cleaning``, ``parsing``; then
``capture`` (the score, of ``elements``, their ``matching`` and what is ``opposed``) and ``consensus`` (the
vote, which chooses, some pictures at a time: ``voted``).
"""
