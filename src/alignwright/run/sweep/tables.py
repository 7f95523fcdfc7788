"""What does the report of a sweep show beside its findings: each seed's answers and numbers, or each
point of a grid?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from alignwright.core import wording
from alignwright.core.promises import Verdict
from alignwright.core.records import Finding
from alignwright.core.section import OF_THE_MODEL, Cell, Items, Note, Section, Table, Text, number
from alignwright.report.results import RunResults
from alignwright.run.sweep.members import Members
from alignwright.stats.pareto import axes

SEEDS = (
    "Each seed is a run of its own. A number over all is the mean of the seeds; its interval counts which items were"
    " asked and what training made of a seed. A promise is answered by that interval, and not by counting seeds."
)
GRID = (
    "Each row is a run of its own, or one over several seeds. A promise is kept here where every point keeps it, and"
    " broken where every point breaks it. The best of several points looks better than it is: try the one you choose"
    " on other items, or with another seed, before you rely on it."
)


def seeds_sections(
    cases: Mapping[str, RunResults], verdicts: Sequence[Verdict], findings: Sequence[Finding], runs: Sequence[Path]
) -> list[Section]:
    """Promises by seed, then the numbers of the last model by seed, and where the runs are."""
    promises = Table(
        columns=("promise", *cases, "over all"),
        rows=tuple(
            (
                Cell(text=verdict.promise),
                *(Cell(text=case.verdicts[place].answer) for case in cases.values()),
                Cell(text=verdict.answer),
            )
            for place, verdict in enumerate(verdicts)
        ),
    )
    where = Items(
        items=tuple(
            Cell(text=f"{name}: {run.name}, {wording.answers_in_words([v.answer for v in case.verdicts])}")
            for (name, case), run in zip(cases.items(), runs, strict=True)
        )
    )
    blocks = (promises, where) if verdicts else (where,)
    numbers = Table(columns=("claim", *cases, "over all"), rows=tuple(_rows(cases, findings)))
    return [
        Section(name="seeds", title="Seed by seed", intro=SEEDS, blocks=blocks, media=("page", "card", "terminal")),
        Section(name="seed_numbers", title="Numbers by seed, of the last model", blocks=(numbers,)),
    ]


def _rows(cases: Mapping[str, RunResults], findings: Sequence[Finding]) -> list[tuple[Cell, ...]]:
    """The level and the change of each claim at the last model."""
    of_model = [finding for finding in findings if finding.axis in OF_THE_MODEL]
    last = of_model[-1].stage if of_model else ""
    rows: list[tuple[Cell, ...]] = []
    for finding in of_model:
        if finding.stage == last:
            same = [
                next(
                    (
                        f
                        for f in case.findings
                        if (f.claim, f.stage, f.against) == (finding.claim, last, finding.against)
                    ),
                    None,
                )
                for case in cases.values()
            ]
            cells = [Cell(text=_value(other)) for other in same]
            rows.append((Cell(claim=finding.claim, text=_value(None)), *cells, Cell(number=number(finding))))
    return rows


def _value(finding: Finding | None) -> str:
    if finding is None:
        return wording.ABSENT
    return wording.number(finding.value, finding.unit, change=finding.against is not None)


def grid_section(
    members: Members, cases: Mapping[str, RunResults], failures: Mapping[str, str], promises: Sequence[str]
) -> Section:
    """A row a point: its knobs, what became of the promises, what it gained and what it cost. `cases`
    and `failures` are by folder."""
    knobs = tuple(dict.fromkeys(path for member in members.runs for path in member.knobs))
    over = axes([finding for case in cases.values() for finding in case.findings])
    rows: list[tuple[Cell, ...]] = []
    for member in members.runs:
        own = [Cell(text=_written(member.knobs.get(path))) for path in knobs]
        case = cases.get(member.folder)
        if case is None:
            why = failures.get(member.folder, "not done")
            rows.append((*own, Cell(text=f"stopped: {why}"), *(Cell() for _ in over or ()), Cell(text=member.folder)))
            continue
        answers = wording.answers_in_words([verdict.answer for verdict in case.verdicts])
        changes = [Cell(number=change and number(change)) for change in (_change(case, claim) for claim in over or ())]
        rows.append((*own, Cell(text=answers), *changes, Cell(text=member.folder)))
    table = Table(columns=(*knobs, "promises", *(f"{claim} change" for claim in over or ()), "run"), rows=tuple(rows))
    by_promise = Table(
        columns=("promise", *(member.words for member in members.runs)),
        rows=tuple(
            (
                Cell(text=promise),
                *(
                    Cell(text=cases[member.folder].verdicts[place].answer if member.folder in cases else "stopped")
                    for member in members.runs
                ),
            )
            for place, promise in enumerate(promises)
        ),
    )
    more = (Text(heading="Promise by promise", text=""), by_promise) if promises else ()
    blocks = (table, Note(text="Changes are of each point's last model against the start model."), *more)
    return Section(name="grid", title="Point by point", intro=GRID, blocks=blocks, media=("page", "card", "terminal"))


def _change(case: RunResults, claim: str) -> Finding | None:
    """What the last model gained or lost."""
    last = case.stages[-1] if case.stages else ""
    return next(
        (f for f in reversed(case.findings) if (f.claim, f.stage, f.against) == (claim, last, "baseline")), None
    )


def _written(value: object) -> str:
    return value if isinstance(value, str) else f"{value}"
