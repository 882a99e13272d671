"""What the main parts cost and how far they go.

    python -m benchmarks all [--cut] [--help]
    python -m benchmarks NAME [--help]

NAME is one of: {names}.

Two ways, or two builds, take turns within one run, so that whatever else the machine does falls on both.
Where there is a GPU, ``step``, ``embed``, ``grad_cache`` and ``gpu`` use it; with ``CUDA_VISIBLE_DEVICES=``
before them they stay on the CPU.
"""

from __future__ import annotations

import sys
from importlib import import_module

NAMES = (
    "ratios", "commands", "step", "embed", "grad_cache", "restart", "growth", "gpu",
    "probe_speed", "probe_scale", "vote_speed", "parser_quality", "facts_and_wording", "grounding_auc",
    "captions_help", "captions_shared", "study_captions", "gather", "zonal", "similar", "text_search",
    "explore_page", "all",
)  # fmt: skip


def main() -> None:
    """Run the benchmark that is named."""
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        print((__doc__ or "").format(names=", ".join(NAMES[:-1])))
        raise SystemExit(0 if sys.argv[1:] in (["--help"], ["-h"]) else 2)
    import_module(f"benchmarks.{sys.argv[1]}").main(sys.argv[2:])


if __name__ == "__main__":
    main()
