"""Alignment tax: what was gained for what it cost, model by model: the Pareto front, as a section
of the report.

A line chart over two claims: cost to the right, gain upwards, the start model at the origin, a
diamond with its name and both intervals for every trained model, and a line through those that none
beats (`stats.pareto`).
"""

from __future__ import annotations

from alignwright.core.section import FindingTable, LineChart, Note, Point, Section, Series, Text
from alignwright.stats import pareto

HOW = (
    "Cost to the right, gain upwards, both against the start model (the ring); bars are 95% intervals; the line joins"
    " the models that none beats. Where intervals overlap, models are not told apart."
)


def section(table: FindingTable) -> Section | None:
    """The front; None where fewer than two trained models were measured on both claims."""
    claims = pareto.axes(table.findings)
    models = pareto.points(table.findings, *claims) if claims else []
    if claims is None or len(models) < 2:
        return None
    chart = LineChart(
        series=(
            Series(colour="start", line=tuple((p.tax, p.gain) for p in pareto.pareto_front(models))),
            Series(colour="start", points=(Point(words="before", x=0.0, y=0.0, shape="ring"),)),
            Series(colour="mid", points=tuple(_point(p, table) for p in models if p.name != table.stages[-1])),
            Series(colour="end", points=tuple(_point(p, table) for p in models if p.name == table.stages[-1])),
        )
    )
    words = f"Gain: {table.title(claims[0])}. Cost: {table.title(claims[1])}. {_knee(models, table)}"
    best = _best(models, pareto.margins(table.findings, claims[1]), table)
    blocks = (Text(text=f"{words} {best}"), chart, Note(text=HOW))
    return Section(name="trade", title="Gain against cost", blocks=blocks, media=("page", "card", "terminal"))


def _knee(models: list[pareto.ParetoPoint], table: FindingTable) -> str:
    knee = pareto.knee_point(models)
    return f"The front bends {table.inside(knee.name)} ({knee.name})." if knee else "The front has no knee."


def _best(models: list[pareto.ParetoPoint], margins: tuple[float, ...], table: FindingTable) -> str:
    """The best model within the margin that the cost was tested against; without one margin,
    that none can be named."""
    if len(margins) != 1:
        why = (
            f"was tested against several margins ({', '.join(f'{m:g}' for m in margins)})"
            if margins
            else "was not tested against a margin"
        )
        return f"The cost {why}, so no model is called the best below one."
    best = pareto.best_within(models, margins[0])
    if best is None:
        return f"No model is shown to gain at a cost shown to be below {margins[0]:g}."
    model = f"{table.inside(best.name)} ({best.name})"
    return f"The largest gain that is shown at a cost shown to be below {margins[0]:g} is {model}."


def _point(model: pareto.ParetoPoint, table: FindingTable) -> Point:
    gain = f"gain {model.gain:.3g} {_limits(model.gain_low, model.gain_high)}"
    cost = f"cost {model.tax:.3g} {_limits(model.tax_low, model.tax_high)}"
    return Point(
        words=f"{table.inside(model.name)} ({model.name}): {gain}, {cost}", name=model.name.removeprefix("train."),
        x=model.tax, x_low=model.tax_low, x_high=model.tax_high,
        y=model.gain, y_low=model.gain_low, y_high=model.gain_high, shape="diamond",
    )  # fmt: skip


def _limits(low: float | None, high: float | None) -> str:
    return "no interval" if low is None or high is None else f"[{low:.3g}, {high:.3g}]"
