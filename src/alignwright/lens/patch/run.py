"""How is patching held to a model inside a run? Its pairs, their findings, and what each component came to."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from alignwright.core.records import Conversation, Message, Record, SampleResult, Status
from alignwright.core.stage import resolved
from alignwright.files.contrast_pairs import PromptPair
from alignwright.job.context import JobContext
from alignwright.job.data import part_name, subsample_evenly
from alignwright.job.job import Result, count_statuses
from alignwright.job.needs import NotServed, untested
from alignwright.lens.patch.findings import FEW, findings_of
from alignwright.lens.patch.knobs import LEAST, PatchStage
from alignwright.lens.patch.pairs import TokenPair, token_pair
from alignwright.lens.patch.patch import PatchResult, patch

COMPONENTS, TOKENS = "components.jsonl", "tokens.jsonl"


class ComponentRow(Record):
    """What a head or an MLP came to: mean logits by attribution over all pairs, and exactly, where it was patched, on
    the half that was tried."""

    component: str
    attribution: float
    exact: float | None
    carrier: bool


class TokenAttribution(Record):
    """What the stream would bring back at each token of a pair, by attribution, block by block."""

    item: str
    tokens: tuple[str, ...]
    blocks: tuple[tuple[float, ...], ...]


def measure_patch(stage: PatchStage, job: JobContext) -> Result:
    """Find the components and try them. Raises ValueError where no pair fits the model's tokens."""
    try:
        policy = job.policy()
    except NotServed as refusal:
        return Result(
            f"untested: {refusal}", [], [untested(claim, job.model, str(refusal)) for claim in stage.claims()]
        )
    rows = [(row, row.topic or part_name(name)) for name in stage.pairs for row in job.data.read(name, PromptPair).rows]
    different = {(row.clean, row.corrupt, row.answer, row.wrong): (row, topic) for row, topic in rows}
    rows = subsample_evenly(list(different.values()), resolved(stage.limit))
    fits = [token_pair(policy, place, row, stage.chat) for place, (row, _) in enumerate(rows)]
    pairs = [each for each in fits if isinstance(each, TokenPair)]
    unfit = {place: each for place, each in enumerate(fits) if isinstance(each, str)}
    if len(pairs) < LEAST:
        why = next(iter(unfit.values()), "there are no more")
        raise ValueError(
            f"{stage.by} {stage.task}: {len(pairs)} of {len(rows)} pairs fit this model's tokens, and {LEAST} are"
            f" needed; of the first that does not: {why}"
        )
    result = patch(policy, pairs, [rows[pair.place][1] for pair in pairs], top=stage.top)
    few = min(len({rows[place][1] for place in half}) for half in (result.chosen_on, result.tried_on)) < FEW
    clusters = {place: row.id if few else topic for place, (row, topic) in enumerate(rows)}
    samples = _samples(stage, rows, clusters, result, unfit)
    findings = findings_of(stage, job.model, result, clusters, few=few)
    records: dict[str, Sequence[Record]] = {
        COMPONENTS: _components(result),
        TOKENS: [
            TokenAttribution(
                item=rows[pair.place][0].id,
                tokens=tuple(policy.tokenizer.convert_ids_to_tokens(list(pair.corrupt))),
                blocks=tuple(tuple(row) for row in result.attribution.stream[pair.place].tolist()),
            )
            for pair in pairs
        ],
    }  # fmt: skip
    names = ", ".join(each.name for each in result.carriers) or "nothing"
    return Result(f"{stage.task}: {names}; {count_statuses(samples)}", samples, findings, records)


def _components(result: PatchResult) -> list[ComponentRow]:
    rows = [
        ComponentRow(
            component=component.name, attribution=fmean(values.values()),
            exact=fmean(result.exact[component].values()) if component in result.exact else None,
            carrier=component in result.carriers,
        )
        for component, values in result.attribution.components.items()
    ]  # fmt: skip
    return sorted(rows, key=lambda row: -row.attribution)


def _samples(
    stage: PatchStage, rows: Sequence[tuple[PromptPair, str]], clusters: dict[int, str], result: PatchResult,
    unfit: dict[int, str],
) -> list[SampleResult]:  # fmt: skip
    """Of each pair its gap, and whether each prompt draws its own answer."""
    samples: list[SampleResult] = []
    for place, (row, _) in enumerate(rows):
        dialogue = Conversation(messages=(Message(role="user", content=row.clean),))
        common = {"item": row.id, "cluster": clusters[place], "prompt": dialogue}
        if place in unfit:
            for part in ("gap", "told"):
                claim = f"patch.{stage.task}.{part}"
                samples.append(SampleResult(claim=claim, status="unscored", reason=unfit[place], **common))
            continue
        clean, corrupt = result.attribution.clean[place], result.attribution.corrupt[place]
        apart = clean > 0 > corrupt
        logits = f"{clean:+.2f} logits after the clean prompt, {corrupt:+.2f} after the corrupt one"
        why = f"{row.answer!r} less {row.wrong!r}: {logits}"
        for part, value, passes in (("gap", clean - corrupt, clean > corrupt), ("told", float(apart), apart)):
            status: Status = "pass" if passes else "fail"
            samples.append(
                SampleResult(claim=f"patch.{stage.task}.{part}", status=status, value=value, reason=why, **common)
            )
    return samples
