"""Of several captions of one picture, take the one that the others bear out most.

    python examples/vote_captions.py
    python examples/vote_captions.py candidates.parquet voted.parquet

Three lines do it in Python; the table that follows says how far each agrees with the others. With a table
(columns image_id, captioner, caption) the vote is held for each of its images, and the caption table written.
Needs the extras 'nlp' and 'train'.
"""

import sys

import pandas as pd

from urbanln.captions.consensus import vote
from urbanln.captions.voted import vote_table

if len(sys.argv) == 3:
    voted = vote_table(pd.read_parquet(sys.argv[1]))
    voted.to_parquet(sys.argv[2])
    print(f"{sys.argv[2]}: {voted['selected'].sum()} images, {len(voted)} candidates")
    sys.exit()
if len(sys.argv) != 1:
    sys.exit(__doc__)

captions = [
    "A dense residential area with tall apartment blocks. A wide road runs beside a small green park.",
    "Tall residential towers stand close together next to a wide avenue and a green park.",
    "An airport with two long runways. Several planes are parked beside the terminal.",
    "Apartment buildings line a broad road near a park with trees.",
]
result = vote(captions)
print(captions[result.index])

print("\nagreement  caption")
for index in result.order:
    print(f"{result.scores[index]:9.3f}  {captions[index]}")
