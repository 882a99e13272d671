"""Tables of region vectors: ours, anybody's with their columns, rows matched to regions, files of cities."""
