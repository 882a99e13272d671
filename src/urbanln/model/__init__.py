"""The network: a CLIP whose text positions are stretched, its teacher, its queue and its loss.

In: a CLIP's folder or hub name; uint8 pixels and texts. Out: vectors and a loss; plain Hugging Face
folders. Called by train and embed; knows no city and no table. Start with ``clip`` (what is loaded) or
``objective`` (the loss); ``source`` finds a model's files, ``families`` tells kinds of networks apart,
``formats`` brings others' models in and ours out.
"""
