"""What would you want to see first, and how do you get from a number to the replies behind it?

One self-contained page: verdicts, levels, tables, then the replies themselves, worst first. No
JavaScript, nothing fetched: the content security policy allows only this page's own style sheet, by
its hash. Every string passes `text.visible` and then the escaping of the template engine, so
nothing that a model wrote can act. The page is kept under a megabyte: by showing less of long
replies and fewer of them, then by showing fewer claims (those that were promised about first) and
fewer promises (the kept ones go first). It says what it left out, and there is always a page.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import cache, partial
from importlib import resources
from itertools import accumulate
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from alignwright.core import wording
from alignwright.core.promises import Promise, Verdict, parse
from alignwright.core.records import Axis, Finding
from alignwright.core.section import OF_THE_MODEL, Cell, Section
from alignwright.report import charts, figures, names, text
from alignwright.report.blocks import shown_in
from alignwright.report.results import AXES, CHANGES, ClaimFindings, ItemHistory, RunResults
from alignwright.stats import marks

LIMIT = 950_000  # bytes
LONGEST, LONGEST_NAME = 2_000, 200
"""Characters of any text on the page (a title, a note, a promise; replies have a limit of their
own), and of a name that is an anchor."""
FEW = 12  # claims; where so few do not fit, there are too many promises
SIZES = (
    (16, 1600),
    (12, 800),
    (8, 400),
    (4, 240),
    (2, 120),
    (1, 80),
    (0, 80),
)  # exhibits per claim, characters per reply


def html(case: RunResults) -> str:
    """The whole report as one HTML page."""
    bare = _render(case, *SIZES[-1])
    for examples, characters in SIZES if _bytes(bare) <= LIMIT else ():
        page = _render(case, examples, characters)
        if _bytes(page) <= LIMIT:
            return page
    page, claims, verdicts = bare, len(case.claims), len(case.verdicts)
    while _bytes(page) > LIMIT and (claims or verdicts):
        share = 0.95 * LIMIT / _bytes(page)
        claims, verdicts = int(claims * share), verdicts if claims > FEW else int(verdicts * share)
        less = _part(case, claims, verdicts)
        page = _render(less, *SIZES[-1], _left_out(case, less))
    return page


def _bytes(page: str) -> int:
    return len(page.encode())


def _part(case: RunResults, claims: int, verdicts: int) -> RunResults:
    """So many claims, those promised about first, broad ones before their parts; and so many
    promises, the kept ones last."""
    claims_of_promises = {promise.claim for promise in filter(None, map(_parse, case.verdicts))}
    ranked = sorted(case.claims, key=lambda claim: (claim.name not in claims_of_promises, claim.name.count(".")))
    kept_claims = {claim.name for claim in ranked[:claims]}
    order = ("broken", "untested", "kept")
    places = sorted(range(len(case.verdicts)), key=lambda place: (order.index(case.verdicts[place].answer), place))[
        :verdicts
    ]
    return RunResults(
        case.header,
        tuple(case.verdicts[place] for place in sorted(places)),
        tuple(f for f in case.findings if f.claim in kept_claims),
        _that_fit(case.sections),
        case.claim_records,
    )


def _that_fit(sections: Sequence[Section]) -> tuple[Section, ...]:
    """The first sections that take an eighth of the page together, without their replies."""
    sizes = list(
        accumulate(len(section.model_dump_json(exclude={"blocks": {"__all__": {"examples"}}})) for section in sections)
    )
    return tuple(section for section, size in zip(sections, sizes, strict=True) if size < LIMIT / 8)


def _left_out(case: RunResults, less: RunResults) -> str:
    counts = [
        (len(case.claims) - len(less.claims), "claims", "findings.jsonl"),
        (len(case.verdicts) - len(less.verdicts), "promises", "promises.json"),
        (len(case.sections) - len(less.sections), "sections", "sections.jsonl"),
    ]
    return "; ".join(f"{count} more {what} are in {file}" for count, what, file in counts if count)


def anchor(kind: str, name: str) -> str:
    """An id that any name can be turned into, and that only this name gives."""
    safe = re.sub(r"[^A-Za-z0-9.-]", lambda sign: f"_{ord(sign[0]):x}_", name)
    return (
        f"{kind}-{safe}"
        if len(safe) <= LONGEST_NAME
        else f"{kind}-{safe[:LONGEST_NAME]}_{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    )


def overview(case: RunResults, axis: Axis) -> tuple[list[ClaimFindings], int]:
    """The claims of an axis that are seen at a glance, and how many more stand in the tables
    alone: those that a section tells of, where nothing was promised about them."""
    claims_of_promises = {promise.claim for promise in filter(None, map(_parse, case.verdicts))}
    broad = [claim for claim in case.broad(axis) if claim.levels]
    starts = tuple(start for section in case.sections for start in section.tells)
    glance = [claim for claim in broad if claim.name in claims_of_promises or not claim.name.startswith(starts)]
    return (glance, len(broad) - len(glance)) if glance else (broad, 0)


def _render(case: RunResults, examples: int, characters: int, left_out: str = "") -> str:
    sheet = resources.files("alignwright.report").joinpath("templates/page.css").read_text(encoding="utf-8")
    style = Markup(sheet)  # noqa: S704 - our own file, which must reach the page as it is hashed
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    view: dict[str, Any] = {
        "case": case,
        "header": case.header,
        "style": style,
        "policy": f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'",
        "title": case.title,
        "label": case.label,
        "clip": partial(text.clip, limit=characters),
        "promises": [_promise(case, verdict) for verdict in case.verdicts],
        "marks": _marks(case),
        "sections": shown_in(case.sections, "page"),
        "axes": [axis for axis in AXES if axis in OF_THE_MODEL and case.of(axis)],
        "voters": _voters(case.of("feedback")),
        "per_claim": examples,
        "left_out": left_out,
        "first": _first(case) if examples else None,
    }
    return _environment().get_template("page.html.j2").render(view)


@cache
def _environment() -> Environment:
    env = Environment(
        loader=PackageLoader("alignwright.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals.update(names=names, wording=wording, figures=figures, charts=charts, anchor=anchor, overview=overview)
    env.globals.update(turn_of=marks.direction, RULE=names.RULE, AXES=AXES, CHANGES=CHANGES, EMPTY=Cell())
    return env


def _finalize(value: object) -> object:
    """Whatever a template puts on the page has its hidden characters written out first, and is
    no longer than it may be; markup made here is left alone."""
    return (
        text.visible(text.shortened(value, LONGEST))
        if isinstance(value, str) and not isinstance(value, Markup)
        else value
    )


def _parse(verdict: Verdict) -> Promise | None:
    try:
        return parse(verdict.promise)
    except ValueError:
        return None  # a stored promise in a grammar of another version is still shown, by its text alone


def _promise(case: RunResults, verdict: Verdict) -> dict[str, Any]:
    promise = _parse(verdict)
    claim = case.find(promise.claim) if promise else None
    words = (
        names.describe_promise(promise, claim.axis, claim.unit, case.title(claim.name))
        if promise and claim
        else verdict.promise
    )
    finding = next((f for f in claim.findings if f.id == verdict.finding), None) if claim else None
    return {
        "verdict": verdict,
        "words": words,
        "claim": claim,
        "measured": "" if _is_said(finding, verdict.reason) else _measured(case, promise, claim, finding),
        "finding": finding,
    }


def _is_said(finding: Finding | None, reason: str) -> bool:
    """Whether the reason of a verdict says already why there is no number."""
    why = finding.detail.get("untested") if finding and finding.value is None else None
    return bool(why) and str(why) in reason


def _measured(case: RunResults, promise: Promise | None, claim: ClaimFindings | None, finding: Finding | None) -> str:
    if promise is None or claim is None or finding is None:
        return ""
    value = (
        f"{wording.number(finding.value, finding.unit, change=finding.against is not None)} {wording.interval(finding)}"
    )
    where = f" {case.where(finding)}" if len(case.stages) > 1 else ""
    return f"{value}{where}; {wording.scored(finding)}"


def _marks(case: RunResults) -> dict[str, Promise]:
    """The promises about a level, to be drawn on the scale of their claim."""
    marks: dict[str, Promise] = {}
    for promise in filter(None, map(_parse, case.verdicts)):
        claim = case.find(promise.claim)
        if claim and claim.axis != "tax" and not promise.gain:
            marks.setdefault(claim.name, promise)
    return marks


def _voters(claims: Iterable[ClaimFindings]) -> dict[str, dict[str, ClaimFindings]]:
    """feedback.<voter>.<what> as voter -> what -> claim; feedback.kappa.<one>.<two>, which is of
    two voters, under a heading of its own."""
    voters: dict[str, dict[str, ClaimFindings]] = {}
    for claim in claims:
        voter, _, what = claim.name.removeprefix("feedback.").rpartition(".")
        if voter.startswith("kappa."):
            voter, what = "between voters", f"kappa of {voter.removeprefix('kappa.')} and {what}"
        voters.setdefault(voter or what, {})[what] = claim
    return voters


def _first(case: RunResults) -> tuple[ClaimFindings, ItemHistory] | None:
    """The one example to look at first: the worst, and among those the shortest, of the claims
    that carry a promise not kept, or of all."""
    open_claims = {p.claim for v in case.verdicts if v.answer != "kept" and (p := _parse(v))}
    axes: tuple[Axis, ...] = OF_THE_MODEL
    histories = [
        (claim, history)
        for claim in case.of(*axes)
        for history in claim.histories
        if history.change in ("worse", "failing") and history.prompt
    ]
    return min(
        histories,
        key=lambda pair: (pair[0].name not in open_claims, CHANGES.index(pair[1].change), _length(pair[1])),
        default=None,
    )


def _length(history: ItemHistory) -> int:
    return sum(len(step.reply) for step in history.steps) + sum(
        len(m.content) for m in (history.prompt.messages if history.prompt else ())
    )
