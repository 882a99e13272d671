"""Kinds of networks that can be a base, a file each: how they read pictures and texts, and where what lies.

In: a network of transformers, and the ids or pixels it reads. Out: vectors, and places in it. Called by
``model.clip``, ``model.checkpoint`` and ``model.formats``. Start with ``family`` (what is asked of a kind);
``known`` lists them.
"""
