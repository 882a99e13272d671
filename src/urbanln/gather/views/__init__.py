"""Street views of one's own: a table that says where each was taken, and the folder they lie in.

In: regions. Out: n views per region, spread over its streets, beside pictures of other sources. Start with
``api``.
"""
