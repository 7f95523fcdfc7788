"""Which sections of its report does a run have? Each kind of stage that it has is asked for its
own, of findings alone; the curves of training are read from what its stages logged. The run stores
the sections beside the findings.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from alignwright.core.claims import Claim, claim_title
from alignwright.core.promises import Header
from alignwright.core.records import Finding
from alignwright.core.section import FindingTable, Section, measured_stages
from alignwright.core.stage import Stage
from alignwright.experiment.experiment import Experiment, claims_of, stages
from alignwright.measure import graders_section
from alignwright.train import curves_section


def sections_of(
    experiment: Experiment, findings: Sequence[Finding], header: Header, trained: Sequence[tuple[str, Path]]
) -> list[Section]:
    """In the order of the stages; the curves of the training stages last. `trained`: their names, each
    with its folder."""
    kinds = {type(stage): None for _, stage in stages(experiment)}
    curves = curves_section.section(trained, lambda name: header.titles.get(name, name))
    return [*sections(kinds, findings, header, claims_of(experiment)), *([curves] if curves else [])]


def sections(
    kinds: Iterable[type[Stage]], findings: Sequence[Finding], header: Header, claims: Sequence[Claim]
) -> list[Section]:
    """What each kind of stage shows; what is known of the graders, whichever stage asked them, comes
    last."""
    records, principles = {claim.name: claim for claim in claims}, dict(header.principles)
    titles = {finding.claim: claim_title(finding.claim, records, principles) for finding in findings}
    table = FindingTable(findings, measured_stages(findings, header.stages), titles, header.titles)
    every = (*(kind.section(table) for kind in kinds), graders_section.section(table))
    return [section for section in every if section is not None]
