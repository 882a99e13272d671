"""Stretch any CLIP from 77 to 248 text positions and save a folder that plain transformers loads.

    python examples/stretch_clip.py openai/clip-vit-base-patch16 clip-248
    python examples/stretch_clip.py tiny clip-248

A hub name needs the network; a folder or 'tiny' does not.
"""

import sys

from urbanln import load_clip

if len(sys.argv) != 3:
    sys.exit(__doc__)
source, out = sys.argv[1:]
clip = load_clip(source, context=248)
clip.save(out)
print(f"{out}: {clip.context} positions, the first {clip.keep} as in {source}")
