"""Telling: one self-contained HTML page."""

from __future__ import annotations

from urbanln.report.page import Example, write_report

__all__ = ["Example", "write_report"]
