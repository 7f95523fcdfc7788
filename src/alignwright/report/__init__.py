"""What does a run come to, for a person to read?

Everything here is a pure function of a run's `findings.jsonl`, `promises.json` and `sections.jsonl`:
the page, the model card, the terminal's summary.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alignwright.report.results import RunResults, exit_code, read

if TYPE_CHECKING:
    from alignwright.report.terminal import Summary

__all__ = ["RunResults", "exit_code", "read", "render", "summary"]


def render(folder: Path) -> None:
    """Write `README.md` (the model card) and `report.html` beside the findings they are made of;
    neither waits for the other.

    The card lies in `model/` too, which is what gets passed on. Where the run left a reward model,
    its own card lies beside its weights; and begins the run's where nothing else was trained.
    """
    from alignwright.report import card, page, reward_card

    case = read(folder)
    stage = reward_card.reward_stage(case)
    exported = next((folder / name for name in ("reward", "model") if (folder / name / "verdict.json").is_file()), None)
    try:
        whole = reward_card.reward_card(case, stage) if stage and exported else ""
        if exported and whole:
            (exported / "README.md").write_text(whole, encoding="utf-8")
        alone = exported is not None and exported.name == "model" and whole
        whole_run = f"{whole}\n{card.body(case)}" if alone else card.card(case)
        (folder / "README.md").write_text(whole_run, encoding="utf-8")
        if not alone and (folder / "model" / "config.json").is_file():
            (folder / "model" / "README.md").write_text(whole_run, encoding="utf-8")
    finally:
        (folder / "report.html").write_text(page.html(case), encoding="utf-8")


def summary(case: RunResults, folder: Path | None = None) -> Summary:
    """The last screen of a run, for a rich console to print."""
    from alignwright.report.terminal import Summary as Screen

    return Screen(case, folder)
