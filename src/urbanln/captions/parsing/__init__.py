"""How scene graphs are read off sentences: words, trees, patterns, processes."""
