"""What would all runs of a spec cost that asks for several? A stage that they share counts once."""

from __future__ import annotations

from dataclasses import replace

from alignwright.run.align import Request, estimate
from alignwright.run.estimate import RunEstimate
from alignwright.run.sweep.align import folder_of, single_runs


def estimate_all(request: Request, *, probed: bool = False) -> RunEstimate:
    """What every run would do and cost, without doing it, as one estimate; `probed`: the machine's
    rates are measured first, which loads the model."""
    runs = list(single_runs(request))
    if len(runs) == 1:
        return estimate(runs[0][1], probed=probed)
    known: set[tuple[str, str]] = set()
    estimates: list[RunEstimate] = []
    for words, run in runs:
        estimated = estimate(run, probed=probed and not estimates, known=known)
        lines = tuple(replace(line, label=f"{words}: {line.label}") for line in estimated.lines)
        estimates.append(replace(estimated, lines=lines))
    money = [each.money for each in estimates if each.money is not None]
    note = f"{len(runs)} runs; stages that they share count once; what is done already is not listed"
    return replace(
        estimates[0],
        folder=folder_of(request),
        lines=tuple(line for each in estimates for line in each.lines),
        memory_gb=max(each.memory_gb for each in estimates),
        notes=(note, *dict.fromkeys(note for each in estimates for note in each.notes)),
        measured=all(each.measured for each in estimates),
        tokenized=all(each.tokenized for each in estimates),
        runs=len(runs),
        money=sum(money) if money else None,
    )
