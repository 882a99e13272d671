"""A campaign against the command line that anybody can run: ``make attack``, ``python -m tests.attack``.

Every attack has a folder of its own with copies of what it needs, runs verbs in it, and is judged: no
traceback, no hang, nothing lost or changed that was not asked for, one clear error, nothing left behind.

``cage`` keeps every command inside its folder, ``forks`` runs it in a fork of a process that has imported
everything, ``judge`` says what was wrong, ``case`` is what an attack works with, ``world`` makes what is
attacked, and the modules ``part_*`` hold the attacks.
"""
