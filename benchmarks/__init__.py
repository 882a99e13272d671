"""What the main parts cost: ``python -m benchmarks``."""
