"""Reports: what a load test has shown, as a page, as Markdown and as JSON.

Pages and pictures need the extra `load`; it is imported when a report is written, and `ensure_installed` asks for it before.
"""

from flashsale.verdict.report.extra import MissingExtraError, ensure_installed
from flashsale.verdict.report.files import write

__all__ = ["MissingExtraError", "ensure_installed", "write"]
