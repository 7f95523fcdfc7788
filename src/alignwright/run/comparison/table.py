"""How is a comparison of two logs shown: a line a claim, then the items that became worse?"""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from alignwright.report.text import one_line, shortened
from alignwright.run.comparison.log_comparison import ClaimChange, LogComparison
from alignwright.stats.marks import direction

EXCERPT = 160
"""Characters of a prompt or reply in the terminal."""


def show(comparison: LogComparison, console: Console) -> None:
    """Print the comparison; text of logs is shown and never obeyed."""
    _line(console, f"A: {comparison.a}")
    _line(console, f"B: {comparison.b}")
    table = Table(box=None, pad_edge=False)
    for heading in ("claim", "A", "B", "B - A", "n", "worse", "better", "p adjusted", "", "margin"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "claim")  # a name in two halves is none
    for change in comparison.changes:
        if _unscored_part(change):
            continue
        table.add_row(*(_cell(text) for text in _cells(change)))
    console.print(table)
    for change in comparison.changes:
        if change.reason:
            _line(console, f"{change.answer}: {change.claim}: {change.reason}")
    for name in comparison.unanswered:
        _line(console, f"untested: {name}: it is in A alone, so whether B falls there is not known")
    whole = {change.claim for change in comparison.changes if not change.part}
    for change in comparison.changes:
        if change.claim.rpartition(".")[0] not in whole:  # the items of a part are among those of its claim
            _regressions(change, console)
    for side, names in (("A", comparison.only_in_a), ("B", comparison.only_in_b)):
        if names := [name for name in names if name not in comparison.unanswered]:
            _line(console, f"only in {side}: {', '.join(names)}")
    for note in (*comparison.notes, *_gaps(comparison)):
        _line(console, f"note: {note}")


def _cells(change: ClaimChange) -> tuple[str, ...]:
    if change.value is None:
        return (change.claim, "-", "-", "-", "0", "", "", "", "", change.answer or "")
    limits = "no interval" if change.low is None or change.high is None else f"{change.low:+.3f}, {change.high:+.3f}"
    way = direction(change)
    adjusted = "" if change.p_adjusted is None else f"{change.p_adjusted:.3f}"
    return (
        change.claim, f"{change.a:.3f}", f"{change.b:.3f}", f"{change.value:+.3f} [{limits}]", str(change.n),
        str(change.worse), str(change.improved), adjusted, "" if way == "unclear" else way, change.answer or "",
    )  # fmt: skip


def _regressions(change: ClaimChange, console: Console) -> None:
    if not change.regressions:
        return
    shown = len(change.regressions)
    first = f", the first {shown}" if shown < change.worse else ""
    _line(console, f"{change.claim}: {change.worse} item{'s are' if change.worse > 1 else ' is'} worse in B{first}:")
    table = Table(box=None, pad_edge=False)
    for heading in ("item", "A", "B", "prompt", "reply of A", "reply of B"):
        table.add_column(heading, overflow="fold")
    for item in change.regressions:
        texts = (shortened(text, EXCERPT) for text in (item.prompt, item.reply_a, item.reply_b))
        table.add_row(*(_cell(text) for text in (item.item, f"{item.value_a:g}", f"{item.value_b:g}", *texts)))
    console.print(table)


def _gaps(comparison: LogComparison) -> list[str]:
    """What was not paired, claim by claim."""
    gaps: list[str] = []
    if empty := [change.claim for change in comparison.changes if _unscored_part(change)]:
        gaps.append(f"no item is scored in both of {len(empty)} parts: {', '.join(empty)}")
    for change in comparison.changes:
        if _unscored_part(change):
            continue
        counts = ((change.unscored, "not scored in both"), (change.only_a, "in A alone"), (change.only_b, "in B alone"))
        words = [f"{count} {what}" for count, what in counts if count]
        if change.coverage is not None:
            words.append(f"its interval covers about {change.coverage:.1%} at such sizes (simulated)")
        if words:
            gaps.append(f"{change.claim}: {', '.join(words)}")
    return gaps


def _unscored_part(change: ClaimChange) -> bool:
    return change.part and change.value is None


def _cell(text: str) -> str:
    return escape(one_line(text))


def _line(console: Console, text: str) -> None:
    console.print(one_line(text), markup=False, highlight=False, soft_wrap=True)
