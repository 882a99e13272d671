"""Telling: one self-contained HTML page."""

from __future__ import annotations

from urbanln.report.details import Example
from urbanln.report.page import write_audit_page, write_report

__all__ = ["Example", "write_audit_page", "write_report"]
