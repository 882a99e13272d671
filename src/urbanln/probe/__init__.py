"""Prediction: what vectors tell of labels, beside the floors they have to beat.

In: tables of vectors and labels by region, and where regions lie. Out: held-out predictions, scores with
intervals, verdicts in sentences; the audit of labels. Called by the stages ``probe`` and ``audit``, by
studies and reports. Start with ``score``: one table against one label. Around it, in the order of a probe:
``audit``; ``tables``, ``labels``, ``twins``; ``splits``, ``units``, ``leakage``; ``heads``, ``ridge``,
``network``, ``floors``, ``gp``; ``held_out``, ``cells``; ``metrics``, ``measured``; ``run``, ``verdict``,
``table``, ``written``; ``transfer``; ``saved``. Classes and shares: ``kinds``, ``part_labels``, ``simplex``;
``logistic``, ``part_floors``; ``part_metrics``, ``joint_region``, ``part_scores``.
"""
