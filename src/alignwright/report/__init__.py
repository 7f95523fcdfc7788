"""What does a run come to, for a person to read?

Everything here is a pure function of a run's `findings.jsonl` and `promises.json`: the page, the model card, the terminal's summary.
"""

from __future__ import annotations

from pathlib import Path

from alignwright.report.case import Case, exit_code, read

__all__ = ["Case", "exit_code", "read", "render"]


def render(folder: Path) -> None:
    """Write `report.html` and `README.md` (the model card) beside the findings they are made of."""
    from alignwright.report import card, page

    case = read(folder)
    (folder / "report.html").write_text(page.html(case), encoding="utf-8")
    (folder / "README.md").write_text(card.card(case), encoding="utf-8")
