"""What was steps, about which claim, at which stage, and what do the replies behind it look like?

Reads the files a report is made of and groups the findings by axis and claim. Replies to one
item are joined over the stages into one `ItemHistory`, so that the same prompt can be read before and
after, worst first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from alignwright.core import promises, wording
from alignwright.core.claims import CORRECTED, Claim, claim_named, claim_title
from alignwright.core.promises import Header, PromiseReport, Verdict
from alignwright.core.records import Axis, Conversation, Finding, Status
from alignwright.core.section import Section, Table, Transcript, measured_stages

T = TypeVar("T", bound=BaseModel)
Change = Literal["worse", "failing", "unclear", "better", "held"]
CHANGES: tuple[Change, ...] = get_args(Change)  # worst first
AXES: tuple[Axis, ...] = get_args(Axis)


@dataclass(frozen=True)
class Step:
    """What was replied at one stage; `status` is None when it is not known."""

    stage: str
    reply: str
    status: Status | None
    reason: str = ""


@dataclass(frozen=True)
class ItemHistory:
    """One item through the stages."""

    item: str
    prompt: Conversation | None
    steps: tuple[Step, ...]

    @property
    def change(self) -> Change:
        first, last = self.steps[0].status, self.steps[-1].status
        if last == "fail":
            return "worse" if first == "pass" and len(self.steps) > 1 else "failing"
        if last != "pass":
            return "unclear"
        return "better" if first == "fail" else "held"


@dataclass
class ClaimFindings:
    """Every finding about one claim: a level per stage, and the paired differences."""

    name: str
    axis: Axis
    transcribed: str = ""
    """The section that shows its replies, where one does."""
    levels: dict[str, Finding] = field(default_factory=dict[str, Finding])
    changes: list[Finding] = field(default_factory=list[Finding])

    @property
    def findings(self) -> list[Finding]:
        return [*self.levels.values(), *self.changes]

    @property
    def unit(self) -> str:
        return self.findings[0].unit

    @property
    def better(self) -> str | None:
        return self.findings[0].better

    @property
    def methods(self) -> list[str]:
        return list(dict.fromkeys(f"{'difference' if f.against else 'level'}: {f.method}" for f in self.findings))

    @property
    def notes(self) -> list[str]:
        """What was noted of the levels; a note of a difference stays with it."""
        return list(dict.fromkeys(f.note for f in self.levels.values() if f.note))

    @property
    def refused(self) -> bool:
        """Whether a check steps that this judge knows nothing."""
        return any(f.detail.get("refused") for f in self.levels.values())

    def change(self, stage: str, against: str = "baseline") -> Finding | None:
        return next((f for f in reversed(self.changes) if f.stage == stage and f.against == against), None)

    @cached_property
    def histories(self) -> list[ItemHistory]:
        """The items shown last for this claim, worst first, each with its replies at every stage
        where one is known."""
        if self.transcribed:
            return []
        last = next((f for f in reversed([*self.levels.values(), *self.changes]) if f.exhibits), None)
        steps: dict[str, dict[str, Step]] = {exhibit.item: {} for exhibit in (last.exhibits if last else ())}
        prompts: dict[str, Conversation] = {}
        for finding, exhibit in ((f, e) for f in self.findings for e in f.exhibits if e.item in steps):
            steps[exhibit.item].setdefault(
                finding.stage, Step(finding.stage, exhibit.reply, exhibit.status, exhibit.reason)
            )
            if exhibit.before is not None and (earlier := finding.against):
                steps[exhibit.item].setdefault(earlier, Step(earlier, exhibit.before, exhibit.before_status))
            if exhibit.prompt is not None:
                prompts.setdefault(exhibit.item, exhibit.prompt)
        order = ["baseline", *self.levels, *(f.stage for f in self.changes)]
        histories = [
            ItemHistory(i, prompts.get(i), tuple(sorted(s.values(), key=lambda step: _place(order, step.stage))))
            for i, s in steps.items()
        ]
        return sorted(histories, key=lambda history: CHANGES.index(history.change))

    @property
    def tally(self) -> dict[Change, int]:
        """How many of the items shown changed in which way, worst first; ways of none are
        left out."""
        return dict(Counter(history.change for history in self.histories))


@dataclass(frozen=True)
class RunResults:
    header: Header
    verdicts: tuple[Verdict, ...]
    findings: tuple[Finding, ...]
    sections: tuple[Section, ...] = ()
    claim_records: tuple[Claim, ...] = ()
    """What the run's stages say of their claims; a run of a version that stored none shows code names."""

    @cached_property
    def claims(self) -> list[ClaimFindings]:
        """All claims, in the order in which they were first steps."""
        claims: dict[str, ClaimFindings] = {}
        blocks = [(section.name, block) for section in self.sections for block in section.blocks]
        transcribed = {block.claim: name for name, block in blocks if isinstance(block, Transcript)}
        for finding in self.findings:
            claim = claims.setdefault(
                finding.claim, ClaimFindings(finding.claim, finding.axis, transcribed.get(finding.claim, ""))
            )
            if finding.against is None:
                claim.levels[finding.stage] = finding
            else:
                claim.changes.append(finding)
        return list(claims.values())

    def of(self, *axes: Axis) -> list[ClaimFindings]:
        """The claims of these axes, the parts of each after it, wherever they were first found."""
        claims = {claim.name: claim for claim in self.claims if claim.axis in axes}
        parts: dict[str, list[ClaimFindings]] = {}
        for name, claim in claims.items():
            parent = name.rpartition(".")[0]
            parts.setdefault(parent if parent in claims else "", []).append(claim)
        ordered, waiting = list[ClaimFindings](), parts.get("", [])[::-1]
        while waiting:
            ordered.append(waiting.pop())
            waiting += parts.get(ordered[-1].name, [])[::-1]
        return ordered

    def find(self, name: str) -> ClaimFindings | None:
        return self._by_name.get(name)

    @property
    def nothing(self) -> str:
        """What stands where the numbers of the model would, of a run that has none of its own."""
        tables = any(isinstance(block, Table) for section in self.sections for block in section.blocks)
        return "The numbers are in the tables of this report." if tables else "Nothing was measured."

    @cached_property
    def _records(self) -> dict[str, Claim]:
        return {claim.name: claim for claim in self.claim_records}

    def record(self, name: str) -> Claim | None:
        """What the run's stages say of the claim of this name; None where none of them made it."""
        return claim_named(name, self.claim_records) if any(c.covers(name) for c in self.claim_records) else None

    def harmful(self, name: str) -> bool:
        """Whether the replies behind a claim may be harmful; unknown is taken for yes."""
        record = self.record(name)
        return record is None or record.harmful

    def title(self, name: str) -> str:
        """A claim in plain words."""
        return claim_title(name, self._records, dict(self.header.principles))

    def part(self, name: str) -> str:
        """What the parts of a claim are called."""
        record = self._records.get(name)
        return record.part if record and record.part else "part"

    def of_voter(self, name: str, otherwise: str) -> str:
        """A claim about a voter, beneath the voter's name; `otherwise` where no stage made it."""
        record = self._records.get(name)
        return record.title if record else otherwise

    @cached_property
    def _by_name(self) -> dict[str, ClaimFindings]:
        return {claim.name: claim for claim in self.claims}

    def parent(self, claim: ClaimFindings) -> ClaimFindings | None:
        """The broader claim that this one is a part of: value.pairs for value.pairs.do_not_lie."""
        return self.find(claim.name.rpartition(".")[0])

    def broad(self, axis: Axis) -> list[ClaimFindings]:
        """The claims of an axis that are not a part of another."""
        return [claim for claim in self.of(axis) if self.parent(claim) is None]

    def parts(self, claim: ClaimFindings) -> list[ClaimFindings]:
        """The narrower claims of a claim; the same rate corrected for a grader's errors is none of them."""
        return [other for other in self.claims if self.parent(other) is claim and not other.name.endswith(CORRECTED)]

    def corrected(self, claim: ClaimFindings) -> ClaimFindings | None:
        """The rate corrected for the errors of the grader that steps it."""
        return self.find(claim.name + CORRECTED)

    @cached_property
    def stages(self) -> list[str]:
        """The stages at which the model was measured, in order."""
        return measured_stages(self.findings, self.header.stages)

    def stage(self, name: str) -> str:
        """A stage's plain name."""
        return wording.stage(name, self.header.titles, alone=len(self.stages) == 1)

    def inside(self, name: str) -> str:
        """A stage's plain name inside a sentence."""
        return wording.inside(name, self.header.titles)

    def where(self, finding: Finding) -> str:
        """The stage of a number inside a sentence."""
        return wording.where(finding, self.header.titles)

    def label(self, stage: str) -> str:
        """A stage's plain name, with its code name where two stages would be called the same."""
        plain = self.stage(stage)
        return f"{plain} ({stage})" if sum(self.stage(other) == plain for other in self.stages) > 1 else plain

    def count(self, answer: str) -> int:
        return sum(verdict.answer == answer for verdict in self.verdicts)


def read(folder: Path) -> RunResults:
    """The results of a finished run; errors name the file and line that cannot be read."""
    findings = tuple(findings_in(folder / "findings.jsonl"))
    answered = answers(folder)
    sections = folder / "sections.jsonl"
    # a run of a version that stored none is shown without
    stored = tuple(_records(Section, sections)) if sections.exists() else ()
    return RunResults(answered.header, answered.verdicts, findings, stored, answered.claims)


def answers(folder: Path) -> PromiseReport:
    """What a finished run promised and what came of it, without its findings."""
    return _record(PromiseReport, _text(folder / "promises.json"), str(folder / "promises.json"))


def findings_in(path: Path) -> list[Finding]:
    """The findings of a file, one a line."""
    return _records(Finding, path)


def exit_code(case: RunResults) -> int:
    """1 when any promise is broken, else 3 when any is untested, else 0."""
    return promises.exit_code(case.verdicts)


def _place(order: Sequence[str], stage: str) -> int:
    return order.index(stage) if stage in order else -1


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        need = "a report is made of findings.jsonl and promises.json, which a finished run leaves in its folder"
        raise FileNotFoundError(f"{path}: no such file; {need}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None


def _records(kind: type[T], path: Path) -> list[T]:
    return [_record(kind, text, f"{path}:{number}") for number, text in _lines(path)]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if line.strip():
            yield number, line


def _record(kind: type[T], text: str, where: str) -> T:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field_path = ".".join(map(str, first["loc"])) or "the whole"
        raise ValueError(
            f"{where}: {field_path}: {first['msg']}; this is not a {kind.__name__} record as alignwright writes it"
        ) from None
