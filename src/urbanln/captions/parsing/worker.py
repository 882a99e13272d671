"""A process that parses batches of pieces of text until there are no more.

    python -m urbanln.captions.parsing.worker MODEL < batches > graphs

Batches and their graphs are a JSON line each. It imports nothing but what it parses with: there is one of it
for each core.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from urbanln.base.errors import UrbanLNError
from urbanln.captions.parsing.spacy_parser import SpacyParser
from urbanln.captions.scene_graph import graph_to_json


def main() -> None:
    """Answer batches until there are no more."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # whatever a library prints must not get between the answers
    # spaCy imports torch wherever it is installed, for nothing here: half the memory and time to start.
    sys.modules["torch"] = None  # type: ignore[assignment]
    parser = None
    for line in sys.stdin:
        answer: dict[str, Any]
        try:
            parser = parser or SpacyParser(sys.argv[1])
            answer = {"graphs": list(map(graph_to_json, parser.parse_pieces(json.loads(line))))}
        except UrbanLNError as error:
            answer = {"fault": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
