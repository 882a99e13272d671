"""Divide and conquer: parts of a picture are described, checked and merged into its description."""
