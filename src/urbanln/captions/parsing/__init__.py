"""How scene graphs are read off sentences: words, trees, patterns, processes.

In: texts. Out: :class:`~urbanln.captions.scene_graph.SceneGraph`. Called by the score, the vote and the
grounding of phrases. Start with ``parse`` (many texts, several processes, a ``worker``
each); ``spacy_words`` has the words of sentences, ``scene_rules`` reads them.
"""
