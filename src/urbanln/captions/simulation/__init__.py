"""Captioners of known quality for synthetic cities, and a real server they answer behind.

In: true scenes and stated error rates. Out: texts with known errors, over HTTP and with faults where
wanted. Called by the demo, the tests and the benchmarks. Start with ``simulated``; ``server`` is what they
answer behind.
"""
