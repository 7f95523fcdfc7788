"""What must somebody know who is handed the model and nothing else?

A model card (`README.md`) with the front matter that the Hugging Face Hub reads, and a body made
from findings: what was promised and what became of it, every claim before and after with its
interval, how it was trained, and what was not tested. Whatever others wrote (names, principles,
facts) is escaped, so that it stays text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import yaml

from alignwright.core import wording
from alignwright.core.records import Finding
from alignwright.core.section import OF_THE_MODEL
from alignwright.report import blocks, names
from alignwright.report.licences import HUB_LICENCES
from alignwright.report.results import ClaimFindings, RunResults
from alignwright.report.text import markdown
from alignwright.stats.marks import direction

_BUNDLED = {"smollm2-135m-instruct": ("HuggingFaceTB/SmolLM2-135M-Instruct", "apache-2.0")}
_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_SIGNS = {"broken": "✕ broken", "untested": "? untested", "kept": "✓ kept"}


def card(case: RunResults, *, front: Mapping[str, object] | None = None, lead: str = "") -> str:
    """The model card of a run. `front`: its metadata, where it is not the run's own; `lead`: what
    stands before its findings."""
    parts = [_front(front or front_matter(case)), _opening(case), lead, body(case)]
    return "\n\n".join(part for part in parts if part)


def body(case: RunResults) -> str:
    """The card without its front matter and heading."""
    parts = [
        _promises(case),
        _table(case),
        *blocks.card(case),
        _refused(case),
        _making(case),
        _terms(case),
        _limits(case),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def front_matter(case: RunResults) -> dict[str, object]:
    """The metadata of the card. A base model is named only when it is known to be on the Hub; so
    is its licence."""
    facts, model = case.header.facts, case.header.model
    base, licence = _BUNDLED.get(model, (model if _HUB.fullmatch(model) else None, "other"))
    licence = facts.get("license", licence)
    known = licence if licence in HUB_LICENCES else licence.lower() if licence.lower() in HUB_LICENCES else "other"
    front: dict[str, object] = {
        "license": known,
        "library_name": facts.get("library_name", "transformers"),
        "pipeline_tag": "text-generation",
        "tags": list(dict.fromkeys(["alignwright", "alignment", *case.header.methods])),
    }
    if base := facts.get("base_model", base):
        front["base_model"] = base
        if relation := facts.get("base_model_relation", "finetune" if case.header.methods else ""):
            front["base_model_relation"] = relation
    if front["license"] == "other":
        own_name = "see-base-model" if licence == "other" else _slug(licence)
        front["license_name"] = facts.get("license_name", own_name)
    if link := facts.get("license_link"):
        front["license_link"] = link
    return front


def _slug(words: str) -> str:
    """A licence's name in the form that the Hub takes."""
    return re.sub(r"[^a-z0-9.]+", "-", words.lower()).strip("-")[:96] or "see-base-model"


def _front(front: Mapping[str, object]) -> str:
    return f"---\n{yaml.safe_dump(dict(front), sort_keys=False, allow_unicode=False)}---"


def _opening(case: RunResults) -> str:
    head = case.header
    stages = [case.header.titles.get(stage, stage) for stage in case.stages[1:]]
    how = f", aligned by {markdown(', then '.join(stages))}" if stages else ""
    return (
        f"# {markdown(head.name)}\n\n{markdown(names.base(head.model))}{how} (effort {markdown(head.effort)}, seed"
        f" {head.seed})."
    )


def _promises(case: RunResults) -> str:
    if not case.verdicts:
        return "No promise was made before the run, so none was tested."
    ranked = sorted(case.verdicts, key=lambda verdict: list(_SIGNS).index(verdict.answer))
    rows = [f"| {_SIGNS[v.answer]} | {markdown(v.promise)} | {markdown(v.reason)} |" for v in ranked]
    intro = "Written before the run; kept or broken only when the whole 95% interval says so, otherwise untested."
    return "\n".join(["## Promises", "", intro, "", "| | Promise | Reason |", "|---|---|---|", *rows])


def _table(case: RunResults) -> str:
    claims = case.of(*OF_THE_MODEL)
    if not claims:
        return f"## Results\n\n{case.nothing}"
    first, last = case.stages[0], case.stages[-1]
    if first == last:
        return _measured_once(case, claims)
    rows = [_row(claim, case.title(claim.name), first, last) for claim in claims]
    intro = (
        f"The change is paired, item by item. {names.RULE} Now: {markdown(case.inside(last))}. Methods: see"
        " report.html."
    )
    heads = ["| Claim | Better | Before | Now | Change | Scored |", "|---|---|---|---|---|---|"]
    return "\n".join(["## Results", "", intro, "", *heads, *rows])


def _measured_once(case: RunResults, claims: Sequence[ClaimFindings]) -> str:
    """One model, as it is: there is no before and no change."""
    rows = [
        f"| {_name(claim, case.title(claim.name))} | {claim.better or 'neither'} | {_cell(now)} |"
        f" {wording.scored(now) if now else wording.ABSENT} |"
        for claim in claims
        for now in [claim.levels.get(case.stages[0])]
    ]
    intro = "Brackets are each number's own 95% interval; promises are answered by these. Methods: see report.html."
    heads = ["| Claim | Better | Measured | Scored |", "|---|---|---|---|"]
    return "\n".join(["## Results", "", intro, "", *heads, *rows])


def _refused(case: RunResults) -> str:
    """The judges that were found to know nothing; that one was followed all the same stands in
    its note."""
    refusals = [finding for finding in case.findings if finding.axis == "feedback" and finding.detail.get("refused")]
    lines = [
        f"- {markdown(finding.claim.removesuffix('.accuracy'))} ({markdown(finding.stage)}): {markdown(finding.note)}"
        for finding in refusals
    ]
    return "\n".join(["## Refused judges", "", *lines]) if lines else ""


def _row(claim: ClaimFindings, title: str, first: str, last: str) -> str:
    now = claim.levels.get(last)
    numbers = [_cell(claim.levels.get(first)), _cell(now), _cell(claim.change(last))]
    cells = [_name(claim, title), claim.better or "neither", *numbers, wording.scored(now) if now else wording.ABSENT]
    return f"| {' | '.join(cells)} |"


def _name(claim: ClaimFindings, title: str) -> str:
    return f"{markdown(title)} ({markdown(claim.name)})" if title != claim.name else markdown(title)


def _cell(finding: Finding | None) -> str:
    if finding is None:
        return wording.ABSENT
    words = (
        f"{wording.number(finding.value, finding.unit, change=finding.against is not None)} {wording.interval(finding)}"
    )
    return markdown(f"{names.SIGNS[direction(finding)]} {words}" if finding.against is not None else words)


def _making(case: RunResults) -> str:
    head = case.header
    lines = ["## How it was made", "", f"- stages: {markdown(', '.join(head.stages)) or 'none'}"]
    lines += [f"- {markdown(name)}: {markdown(fact)}" for name, fact in head.facts.items()]
    if head.principles:
        lines += [
            "",
            "### Principles",
            "",
            *(f"- {markdown(title)} ({markdown(slug)})" for slug, title in head.principles),
        ]
    return "\n".join(lines)


def _terms(case: RunResults) -> str:
    """Under which terms the base model came, as far as its own files say."""
    facts = case.header.facts
    said = [facts[name] for name in ("license", "license_name", "license_link") if facts.get(name)]
    if not said and "terms" not in facts:
        return ""
    texts = f" Its text lies beside the model: {markdown(facts['licence text'])}." if "licence text" in facts else ""
    words = (
        f"The model that this one was made from comes under {markdown(', '.join(said))}, as its own files say; what it"
        " asks of those who use, change or pass on that model holds for this one."
        if said
        else f"Not known: {markdown(facts['terms'])}."
    )
    return f"## Terms\n\n{words}{texts}"


def _limits(case: RunResults) -> str:
    untested = [verdict.promise for verdict in case.verdicts if verdict.answer == "untested"]
    open_ends = f" Left open: {'; '.join(map(markdown, untested))}." if untested else ""
    return (
        "## Limits\n\nThe numbers hold for the prompts that were measured and the judges that were used, at this"
        f" effort; a kept promise is evidence, not a guarantee.{open_ends} Read the replies behind each number in"
        " the run's report.html."
    )
