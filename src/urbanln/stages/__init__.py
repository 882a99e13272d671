"""The joins: what a verb does with several rooms, a module per verb, and the bridges between rooms.

In: cities, paths and settings. Out: files and results. Called by the command line, the demo and studies.
Rooms do not import their neighbours; what one needs of another is handed over here, as a table or a
function. Start with the module of the verb; ``pretrain``, ``ingest`` and ``synthetic`` need one room each
and have none here.
"""
