"""Tables of region vectors: ours, and which columns of anybody's; rows to regions; files for several cities."""
