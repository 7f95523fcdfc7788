"""What do several seeds of one spec show together?

Each finding of all seeds becomes one: the mean over the seeds, with an interval that counts both the
items and the seeds (`stats.over_seeds`). The promises are answered by these as always, so a promise
is kept only where its whole pooled interval keeps it; what each seed by itself would have answered
stands beside it. A number that one seed lacks is none over all. The replies shown are the first
seed's.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from alignwright.core.claims import Claim
from alignwright.core.promises import PromiseReport, answer, parse
from alignwright.core.records import Finding
from alignwright.core.wording import minus, number
from alignwright.experiment.experiment import Experiment, model_stages, resolve_effort
from alignwright.job.ledger import write_text
from alignwright.measure.findings import holm_adjust
from alignwright.report import render
from alignwright.report.results import read
from alignwright.run.sections import sections_of
from alignwright.run.sweep.members import Members
from alignwright.run.sweep.tables import seeds_sections
from alignwright.stats.over_seeds import over_seeds

Key = tuple[str, str, str | None]
"""A finding's claim, stage, and what it is against."""


def conclude_seeds(experiment: Experiment, members: Members, folder: Path, *, whole: bool) -> None:
    """Findings over all seeds, verdicts from these, and the report of both, from the finished runs of a
    sweep. `whole`: whether they came to their end."""
    experiment = resolve_effort(experiment)
    runs = [folder.parent / member.folder for member in members.runs]
    names = [member.words for member in members.runs]
    cases = [read(run) for run in runs]
    first = cases[0]
    findings = pooled([case.findings for case in cases], names, first.claim_records)
    if whole:
        verdicts = tuple(answer(parse(text), findings, model_stages(experiment)) for text in experiment.promises)
    else:
        verdicts = first.verdicts  # each untested, as the runs were stopped before their end
    facts = {
        name: fact
        for name, fact in first.header.facts.items()
        if all(case.header.facts.get(name) == fact for case in cases)
    }
    facts |= {"spec": experiment.id, "seeds": ", ".join(name.removeprefix("seed ") for name in names)}
    header = first.header.model_copy(update={"facts": facts})
    for name in ("provenance.json", "constitution.md"):
        if (runs[0] / "spec" / name).is_file():
            shutil.copyfile(runs[0] / "spec" / name, folder / "spec" / name)
    write_text(folder / "findings.jsonl", "".join(f.model_dump_json() + "\n" for f in findings))
    report = PromiseReport(header=header, verdicts=verdicts, claims=first.claim_records)
    write_text(folder / "promises.json", report.model_dump_json(indent=1) + "\n")
    sections = [
        *seeds_sections(dict(zip(names, cases, strict=True)), verdicts, findings, runs),
        *sections_of(experiment, findings, header, ()),
    ]
    write_text(folder / "sections.jsonl", "".join(section.model_dump_json() + "\n" for section in sections))
    render(folder)


def pooled(findings: Sequence[Sequence[Finding]], names: Sequence[str], claims: Sequence[Claim]) -> list[Finding]:
    """The findings over all seeds, those of each given in order, with `names` for the seeds. Findings
    of no seed are left out; their order is that of the first seed that has them."""
    by_seed = [{_key(finding): finding for finding in of_seed} for of_seed in findings]
    keys = dict.fromkeys(key for of_seed in by_seed for key in of_seed)
    return holm_adjust([_pooled([of_seed.get(key) for of_seed in by_seed], names, claims) for key in keys])


def _key(finding: Finding) -> Key:
    return finding.claim, finding.stage, finding.against


def _pooled(of_seeds: Sequence[Finding | None], names: Sequence[str], claims: Sequence[Claim]) -> Finding:
    """One finding over the seeds. What it has of a single one (exhibits, method) is the first's."""
    there = [finding for finding in of_seeds if finding is not None]
    first = there[0]
    values = [finding.value for finding in there if finding.value is not None]
    note = "; ".join(_notes(of_seeds, names))
    shared = {
        "n": min(finding.n for finding in there),
        "unscored": max(finding.unscored for finding in there),
        "errors": max(finding.errors for finding in there),
        "coverage": min((f.coverage for f in there if f.coverage is not None), default=None),
        "detail": _detail(there, names),
        "note": note,
        "p_adjusted": None,
        "value": None,
        "low": None,
        "high": None,
        "p": None,
    }
    if len(values) < len(of_seeds):
        method = f"no number over seeds: {len(values)} of {len(of_seeds)} have one"
        return first.model_copy(update=shared | {"method": method})
    limits = [(f.low, f.high) for f in there if f.low is not None and f.high is not None]
    shared["value"] = sum(values) / len(values)
    if len(limits) < len(of_seeds):
        bare = next(f for f in there if f.low is None or f.high is None)
        return first.model_copy(update=shared | {"method": f"mean of {len(values)} seeds; {bare.method}"})
    pool = over_seeds(values, [low for low, _ in limits], [high for _, high in limits])
    low, high = _within(pool.low, pool.high, first, claims)
    spread = f"spread {_plain(pool.sd, first)}" if pool.sd else "the same in each"
    method = f"mean of {len(values)} seeds, t over items and seeds ({spread}); each seed: {first.method}"
    has_test = first.p is not None
    return first.model_copy(
        update=shared
        | {"value": pool.value, "low": low, "high": high, "p": pool.p if has_test else None, "method": method}
    )


def _within(low: float, high: float, finding: Finding, claims: Sequence[Claim]) -> tuple[float, float]:
    """The limits, no further than the claim can lie."""
    claim = next((claim for claim in claims if claim.covers(finding.claim)), None)
    if claim is None:
        return low, high
    least, most = claim.change_within if finding.against else claim.within
    return max(low, least), min(high, most)


def _notes(of_seeds: Sequence[Finding | None], names: Sequence[str]) -> Iterator[str]:
    """The value of each seed; what was refused, and in which."""
    values = [
        f"{name} {number(finding.value, finding.unit, change=finding.against is not None)}"
        if finding
        else f"{name} none"
        for name, finding in zip(names, of_seeds, strict=True)
    ]
    yield ", ".join(values)
    refused = [name for name, f in zip(names, of_seeds, strict=True) if f is not None and f.detail.get("refused")]
    if refused:
        yield f"refused in {', '.join(refused)}"
    if len({(finding.unscored, finding.errors) for finding in of_seeds if finding}) > 1:
        yield "unscored and failed items as in the seed with the most"


def _detail(there: Sequence[Finding], names: Sequence[str]) -> Mapping[str, object]:
    """What a program reads: what all seeds have alike, and what one of them was refused or left
    untested for."""
    for finding, name in zip(there, names, strict=False):
        if finding.detail.get("untested"):
            return {"untested": f"{name}: {finding.detail['untested']}"}
    refused = next((finding for finding in there if finding.detail.get("refused")), None)
    alike = {k: v for k, v in there[0].detail.items() if all(f.detail.get(k) == v for f in there)}
    return alike | ({k: v for k, v in refused.detail.items() if k in ("refused", "reason")} if refused else {})


def _plain(value: float, finding: Finding) -> str:
    return minus(f"{100 * value:.1f} points" if finding.unit == "share" else f"{value:.3g}")
