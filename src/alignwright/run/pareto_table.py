"""Which model, of one run or of several, gains the most for the least tax? The Pareto front, as
`alignwright front` prints it.

Gains and costs are changes from the start model, so models that began from different ones are not
told apart by them: they are refused. Of a grid each point has its models here. The best is named within
the margin that the runs' tax measures were given, all the same, or within one that is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from alignwright.core.records import Finding
from alignwright.run.compare import plain, read_findings, read_json_object
from alignwright.run.console import screen
from alignwright.run.sweep.members import points_in
from alignwright.stats.pareto import ParetoPoint, axes, best_within, knee_point, margins, pareto_front, points


def show(runs: Sequence[Path], gain: str | None, tax: str | None, margin: float | None) -> None:
    """Print the table, and what is said of it beneath, where it is not folded to the table's width."""
    pareto, wide = table(runs, gain, tax, margin), Console(width=1000)
    caption, pareto.caption = pareto.caption, None
    console = Console(width=max(screen().width, wide.measure(pareto).maximum))  # no number is cut: a window folds lines
    console.print(pareto)
    if caption:
        console.print(caption, style="dim italic")


def table(runs: Sequence[Path], gain: str | None, tax: str | None, margin: float | None) -> Table:
    """Every trained model with its gain and cost against its run's start model, and what marks
    it. ValueError where nothing can be compared."""
    names = {run: words or run.name for folder in runs for words, run in points_in(folder)}
    findings_by_run = {run: read_findings(run) for run in names}
    if len(findings_by_run) > 1:
        _one_start(list(findings_by_run))
    all_findings = [finding for findings in findings_by_run.values() for finding in findings]
    default = axes(all_findings)
    over = (gain or (default[0] if default else ""), tax or (default[1] if default else ""))
    rows = [
        point
        for run, findings in findings_by_run.items()
        for point in points(findings, *over, run=names[run] if len(names) > 1 else "")
    ]
    if not rows:
        claims = sorted({f.claim for f in all_findings if f.against == "baseline"})
        message = (
            f"no trained model has a change of both {over[0] or 'a gain'!r} and {over[1] or 'a tax'!r} against the"
            " start model"
        )
        raise ValueError(
            f"{message}; there are changes of {', '.join(claims) or 'nothing'}: name two of them with --gain and --tax"
        )
    within, why_not = (margin, "") if margin is not None else _common_margin(findings_by_run, over[1])
    return _render(rows, over, within, why_not)


def _one_start(runs: Sequence[Path]) -> None:
    """Raise ValueError where the runs began from different models: by their weights, or by name
    where a run did not note its weights."""
    starts = {run: _start(run) for run in runs}
    names, weights = ({of[i] for of in starts.values()} for i in (0, 1))
    if len(weights - {None}) > 1 or (None in weights and len(names) > 1):
        names_text = "; ".join(
            f"{run} from {name}" + (f" ({mine[:8]})" if mine else "") for run, (name, mine) in starts.items()
        )
        raise ValueError(
            f"the runs did not begin from one start model: {names_text}. Gains and costs are changes from it, so they"
            " cannot be put on one front; compare the runs of one start model at a time"
        )


def _start(run: Path) -> tuple[str, str | None]:
    """The start model's name, and the hash of its weights where the run noted it."""
    spec, facts = run / "spec" / "resolved.json", run / "spec" / "provenance.json"
    if not spec.exists():
        raise FileNotFoundError(
            f"{run} has no spec/resolved.json, so it cannot be told which model it began from; give whole run folders"
        )
    model = read_json_object(spec).get("model")
    weights = read_json_object(facts).get("weights") if facts.exists() else None
    if not isinstance(model, str) or not isinstance(weights, str | None):
        raise ValueError(
            f"{spec if not isinstance(model, str) else facts}: names no model that the run began from; run the same"
            " spec again"
        )
    return model, weights


def _common_margin(findings_by_run: Mapping[Path, Sequence[Finding]], tax: str) -> tuple[float | None, str]:
    """The one margin that every run which measured this tax states, or why there is none."""
    margins_by_run = {
        run: margins(findings, tax)
        for run, findings in findings_by_run.items()
        if any(f.claim == tax and f.against for f in findings)
    }
    silent = [run.name for run, of in margins_by_run.items() if not of]
    if silent:
        return (
            None,
            (
                f"no model is called the best: {', '.join(silent)} did not test {tax} against a margin; give one with"
                " --margin"
            ),
        )
    if len(set(margins_by_run.values())) > 1 or any(len(of) > 1 for of in margins_by_run.values()):
        differing = ", ".join(f"{run.name} {' and '.join(f'{m:g}' for m in of)}" for run, of in margins_by_run.items())
        return None, f"no model is called the best: the margins of {tax} differ ({differing}); give one with --margin"
    return next(iter(margins_by_run.values()))[0], ""


def _render(rows: Sequence[ParetoPoint], over: tuple[str, str], within: float | None, why_not: str) -> Table:
    output = Table(box=None, pad_edge=False)
    for heading in ("model", f"gain: {over[0]}", f"cost: {over[1]}", ""):
        output.add_column(plain(heading), no_wrap=True)
    best = None if within is None else best_within(rows, within)
    on, knee = {p.name for p in pareto_front(rows)}, knee_point(rows)
    for point in sorted(rows, key=lambda p: p.tax):
        labels = (
            ["front"] * (point.name in on)
            + ["knee"] * (point == knee)
            + ([f"best below {within:g}"] if point == best else [])
        )
        output.add_row(*map(plain, (point.name, *_cells(point), ", ".join(labels))))
    if best is None:
        output.caption = plain(why_not or f"no model is shown to gain at a cost shown to be below {within:g}")
    return output


def _cells(point: ParetoPoint) -> tuple[str, str]:
    return _cell(point.gain, point.gain_low, point.gain_high), _cell(point.tax, point.tax_low, point.tax_high)


def _cell(value: float, low: float | None, high: float | None) -> str:
    return f"{value:+.3f} " + ("[no interval]" if low is None or high is None else f"[{low:+.3f}, {high:+.3f}]")
