"""What do the points of a grid show together?

One table, and an answer to each promise: kept where every point keeps it, broken where every point
breaks it, else untested, with the points that keep it by name. No point is chosen: the best of several
on the same items looks better than it is, and `front` shows what each gains and costs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from alignwright.core.promises import Header, PromiseReport, Verdict
from alignwright.core.wording import answers_in_words
from alignwright.experiment.experiment import Experiment, resolve_effort
from alignwright.job.ledger import write_text
from alignwright.report import render
from alignwright.report.results import RunResults, read
from alignwright.run.sweep.members import Members
from alignwright.run.sweep.tables import grid_section


def conclude_grid(experiment: Experiment, members: Members, folder: Path, failures: Mapping[str, str]) -> None:
    """The table and the verdicts of a grid, from its finished points. `failures`: why a point has
    stopped, by its folder."""
    experiment = resolve_effort(experiment)
    there = [member.folder for member in members.runs if member.folder not in failures]
    cases = {name: read(folder.parent / name) for name in there}
    verdicts = tuple(
        _answer(promise, place, members, cases, bool(failures)) for place, promise in enumerate(experiment.promises)
    )
    header = _header(experiment, members, [case.header for case in cases.values()])
    claims = next((case.claim_records for case in cases.values()), ())
    report = PromiseReport(header=header, verdicts=verdicts, claims=claims)
    write_text(folder / "findings.jsonl", "")
    write_text(folder / "promises.json", report.model_dump_json(indent=1) + "\n")
    section = grid_section(members, cases, failures, experiment.promises)
    write_text(folder / "sections.jsonl", section.model_dump_json() + "\n")
    render(folder)


def _answer(promise: str, place: int, members: Members, cases: Mapping[str, RunResults], stopped: bool) -> Verdict:
    """The answer to one promise over all points."""
    answers: dict[str, Literal["kept", "broken", "untested"]] = {
        member.words: cases[member.folder].verdicts[place].answer for member in members.runs if member.folder in cases
    }
    given = list(answers.values())
    words = answers_in_words(given)
    if stopped or not given:
        return Verdict(
            promise=promise, answer="untested", reason=f"not every point came to its end; of the others: {words}"
        )
    if all(answer == given[0] for answer in given):
        return Verdict(promise=promise, answer=given[0], reason=f"{given[0]} at each of {len(given)} points")
    kept = [point for point, answer in answers.items() if answer == "kept"]
    reason = f"{words} of {len(given)} points" + (f"; kept at {'; '.join(kept)}" if kept else "")
    return Verdict(promise=promise, answer="untested", reason=reason)


def _header(experiment: Experiment, members: Members, headers: Sequence[Header]) -> Header:
    facts = {
        name: fact
        for name, fact in (headers[0].facts if headers else {}).items()
        if all(header.facts.get(name) == fact for header in headers)
    }
    facts |= {"spec": experiment.id, "points": str(len(members.runs))}
    return Header(
        name=experiment.name,
        model=experiment.model,
        seed=experiment.seed,
        effort=experiment.effort,
        facts=facts,
        stages=headers[0].stages if headers else (),
        titles=headers[0].titles if headers else {},
    )
