"""Telling: one self-contained HTML page about a probe and the run behind it, or about an audit.

In: ``scores.json``, predictions, regions, metrics, examples. Out: an HTML file, the same bytes for the same
input. Called by the stage ``report`` and by ``urbanln audit --page``. Start with ``page``; the sections
stand in ``tables`` (verdicts, scores, intervals), ``leakage``, ``drawn`` (maps, forests, scatters),
``few_labels`` (efficiency, transfer), ``audit`` and ``details`` (pictures, the run, its curves); ``answer``
is the first screen, ``plots`` draws. ``audit_page`` is the audit alone, with its ``histograms``.
"""

from __future__ import annotations

from urbanln.report.audit_page import Seen, Suspect, write_audit_page
from urbanln.report.details import Example
from urbanln.report.page import write_report

__all__ = ["Example", "Seen", "Suspect", "write_audit_page", "write_report"]
