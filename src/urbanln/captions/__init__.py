"""What words: captioners and the caption table."""
