"""Parsers by name."""

from __future__ import annotations

from urbanln.base.errors import InputError, require
from urbanln.captions.parsing.spacy_parser import SpacyParser
from urbanln.captions.scene_graph import Parser


def load_parser(name: str, model: str = "") -> Parser:
    """A parser by name.

    Args:
        name: ``"spacy"`` (rules on a small tagger; the default everywhere) or ``"factual"`` (the T5 model
            that the published CAPTURE score uses, slower by far).
        model: Name or folder of its model; empty for its usual one.

    Raises:
        InputError: There is no such parser, or its model is not there.
        MissingExtraError: A package it needs is not installed.
    """
    if name == "spacy":
        return SpacyParser(model)
    if name == "factual":
        factual = require("urbanln.captions.networks.factual")
        parser: Parser = factual.FactualParser(model) if model else factual.FactualParser()
        return parser
    raise InputError("no such parser", value=name, remedy='choose "spacy" or "factual"')
