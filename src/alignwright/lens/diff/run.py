"""How are two models compared inside a run? The trained with the start model, or every model with a named one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import torch
from torch import Tensor

from alignwright.core.records import Conversation, Finding, Message, Record, SampleResult
from alignwright.core.stage import resolved
from alignwright.files.items import TextItem
from alignwright.job.context import JobContext
from alignwright.job.data import part_name, subsample_evenly
from alignwright.job.job import BASELINE, Result
from alignwright.job.needs import NotServed, untested
from alignwright.lens.diff.differ import (
    LONGEST,
    BlockChanges,
    block_changes,
    changed_weights,
    divergence,
    log_probabilities,
    text_states,
)
from alignwright.lens.diff.findings import DiffResult, findings_of
from alignwright.lens.diff.knobs import DRAWS, DiffStage
from alignwright.lens.diff.weights import matrix_changes, same_shape
from alignwright.lens.other_model import other_model
from alignwright.model.activations.last_states import ids_of
from alignwright.model.activations.readout import readout_of
from alignwright.model.local_model import LocalModel
from alignwright.model.weights import write_tensors

MATRICES, TOKENS, DIRECTIONS = "matrices.jsonl", "tokens.jsonl", "mean_difference.safetensors"
_KL_DRAWS, _MOST, _WORDS = 3, 200, 8


class MatrixRow(Record):
    """How much one weight tensor changed."""

    name: str
    size: float
    relative: float
    rank: float | None
    top: float | None
    random_top: float | None


class MovedToken(Record):
    """A token after which the prediction moved: what each model holds likeliest to come next, and the KL in nats."""

    item: str
    place: int
    token: str
    before: str
    after: str
    kl: float


@dataclass(frozen=True)
class _Text:
    item: str
    topic: str
    ids: tuple[int, ...]
    words: str


def measure_diff(stage: DiffStage, job: JobContext) -> Result:
    """Compare. Raises ValueError for two models of other shapes."""
    if stage.against is None and job.model == BASELINE:
        return Result("the start model is what others are compared with", samples=[])
    try:
        policy = job.policy()
    except NotServed as refusal:
        return Result(
            f"untested: {refusal}", [], [untested(claim, job.model, str(refusal)) for claim in stage.claims()]
        )
    start = job.start() if stage.against is None else other_model(stage.against, job)
    same_shape(policy, start)
    texts = _texts(stage, job, policy)
    matrices = matrix_changes(policy, start)
    if not matrices:
        why = f"every weight is that of {start.name}"
        return Result(why, samples=[], findings=[untested(claim, job.model, why) for claim in stage.claims()])
    states = text_states(start, [text.ids for text in texts])
    changes = block_changes(policy, states)
    own, shifts = _divergences(policy, start, texts, states[0].opening)
    random_changes, random_kl = _beside_random(policy, start, texts, states, {m.name: m.size for m in matrices})
    masks = [text.kept_T for text in states]
    own = [fmean(kl_T[kept_T].tolist()) for kl_T, kept_T in zip(own, masks, strict=True)]
    beside = [fmean(fmean(draw[n][kept_T].tolist()) for draw in random_kl) for n, kept_T in enumerate(masks)]
    samples = _samples(texts, own, beside, shifts)
    shifts.sort(key=lambda token: -token.kl)
    result = DiffResult(
        changes, random_changes, matrices, sum(1 for _ in policy.model.named_parameters()), _by_token(shifts),
        _lens_words(start, changes, [state.leaves_LTH for state in states]),
    )  # fmt: skip
    directions = changes.mean_LNH.mean(1)
    write_tensors(
        {f"direction.{layer}": directions[layer].contiguous().cpu() for layer in range(len(directions))},
        job.folder / DIRECTIONS,
    )
    rows = [MatrixRow(**vars(matrix)) for matrix in matrices]
    findings: list[Finding] = findings_of(job.model, result)
    return Result(
        f"{len(matrices)} tensors changed; KL {fmean(own):.3f} nats a token",
        samples,
        findings,
        {MATRICES: rows, TOKENS: shifts[:_MOST]},
    )


def _texts(stage: DiffStage, job: JobContext, policy: LocalModel) -> list[_Text]:
    """The first tokens of every text and prompt, those that begin alike once: a direction that two halves share is
    none if the same text stands in both."""
    texts: list[_Text] = []
    for name in stage.text:
        for row in job.data.read(name, TextItem).rows:
            texts.append(
                _Text(row.id, row.topic or part_name(name), tuple(ids_of(policy, row.text))[:LONGEST], row.text)
            )
    for name in stage.prompts:
        for prompt in job.data.prompts([name]):
            words = " ".join(message.content for message in prompt.conversation.messages)
            ids = tuple(policy.chat.prompt(prompt.conversation))[:LONGEST]
            texts.append(_Text(prompt.id, prompt.topic or part_name(name), ids, words))
    return subsample_evenly(list({text.ids: text for text in texts}.values()), resolved(stage.limit))


def _divergences(
    policy: LocalModel, start: LocalModel, texts: Sequence[_Text], opening: int
) -> tuple[list[Tensor], list[MovedToken]]:
    """The KL at each token of each text, and the tokens with what came next before and after."""
    each: list[Tensor] = []
    shifts: list[MovedToken] = []
    for text in texts:
        new_TV, old_TV = log_probabilities(policy, text.ids), log_probabilities(start, text.ids)
        kl_T = divergence(new_TV, old_TV)
        each.append(kl_T)
        for place, kl in list(enumerate(kl_T.tolist()))[min(opening, len(text.ids) - 1) :]:
            token, before, after = (
                policy.chat.decode([int(i)]) for i in (text.ids[place], old_TV[place].argmax(), new_TV[place].argmax())
            )
            shifts.append(MovedToken(item=text.item, place=place, token=token, before=before, after=after, kl=kl))
    return each, shifts


def _beside_random(
    policy: LocalModel, start: LocalModel, texts: Sequence[_Text], states: Sequence, sizes: dict[str, float]  # type: ignore[type-arg]
) -> tuple[list[BlockChanges], list[list[Tensor]]]:  # fmt: skip
    """The same of random changes of the weights, each tensor by as much as its own."""
    changes: list[BlockChanges] = []
    kl: list[list[Tensor]] = []
    for draw in range(DRAWS):
        with changed_weights(policy, start, sizes, draw):
            changes.append(block_changes(policy, states))
            if draw < _KL_DRAWS:
                new = [log_probabilities(policy, text.ids) for text in texts]
                old = [log_probabilities(start, text.ids) for text in texts]
                kl.append([divergence(*both) for both in zip(new, old, strict=True)])
    return changes, kl


def _samples(
    texts: Sequence[_Text], own: Sequence[float], beside: Sequence[float], shifts: Sequence[MovedToken]
) -> list[SampleResult]:
    most: dict[str, MovedToken] = {}
    for token in shifts:
        if token.item not in most or token.kl > most[token.item].kl:
            most[token.item] = token
    samples: list[SampleResult] = []
    for text, kl, random in zip(texts, own, beside, strict=True):
        token = most[text.item]
        why = f"most after {token.token!r}: {token.before!r} before, {token.after!r} now ({token.kl:.2f} nats)"
        dialogue = Conversation(messages=(Message(role="user", content=text.words),))
        common = {"item": text.item, "cluster": text.topic, "prompt": dialogue, "reason": why}
        for claim, value in (("diff.kl", kl), ("diff.kl_random", random), ("diff.kl_beyond", kl - random)):
            samples.append(SampleResult(claim=claim, status="pass", value=value, **common))
    return samples


def _by_token(shifts: Sequence[MovedToken]) -> list[tuple[str, float, int]]:
    """Tokens by the mean KL after them, with how often they stand there."""
    groups: dict[str, list[float]] = defaultdict(list)
    for token in shifts:
        groups[token.token].append(token.kl)
    return sorted(((token, fmean(own), len(own)) for token, own in groups.items()), key=lambda each: -each[1])[:_WORDS]


@torch.inference_mode()
def _lens_words(start: LocalModel, changes: BlockChanges, leaves: Sequence[Tensor]) -> tuple[list[str], list[str]]:
    """By the logit lens: the tokens that the mean change of the block that changed most makes likelier, and less
    likely, where it is added to the mean state."""
    try:
        readout = readout_of(start)
    except ValueError:
        return [], []
    layer = int(changes.own_L.argmax())
    mean_H = torch.cat([states[layer] for states in leaves]).mean(0)
    both_2V = readout.logits(torch.stack([mean_H, mean_H + changes.mean_LNH[layer].mean(0)])).float()
    order = (both_2V[1] - both_2V[0]).argsort(descending=True).tolist()
    up, down = ([start.chat.decode([i]) for i in own] for own in (order[:_WORDS], order[::-1][:_WORDS]))
    return up, down
