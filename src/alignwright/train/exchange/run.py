"""How good is a classifier over the exchange, at which rate of false alarms? It is fitted, given its threshold, and
measured on three parts of the prompts.

- `exchange.detected`: of planted bad passages in prompts that were in neither other part, those in which an alarm is
  raised at the passage's first token or later. `exchange.delay`: tokens from there to the alarm, where one was raised.
- `exchange.false_alarms`: of the same replies with a good passage in the same place, those with an alarm anywhere.
- `exchange.auroc`: by the highest score of each.
- baselines, each with its own threshold at the same rate: `exchange.last_token`, the logit at the reply's last token
  alone, which comes when all has been said; `exchange.prompt_only`, a classifier of the state at the prompt's end.
  Planted passages and controls have the same prompts, so that the second can tell nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from torch import Tensor

from alignwright.core.claims import Claim
from alignwright.core.records import Comparison, Finding, content_id
from alignwright.job.context import JobContext
from alignwright.job.job import Result
from alignwright.model.activations.capture import row_states
from alignwright.model.activations.layout import layout_of
from alignwright.model.activations.sites import Site
from alignwright.model.loaded_model import LoadedModel
from alignwright.model.tokens import TokenRow
from alignwright.stats.auroc import auroc
from alignwright.stats.intervals import Interval, share_interval
from alignwright.stats.median import median_interval
from alignwright.train.exchange.classifier import Head, Settings, first_alarm, fit_head, smoothed, threshold_for
from alignwright.train.exchange.knobs import AUROC, DELAY, DETECTED, FALSE_ALARMS, LAST, PROMPT, ExchangeClassifier
from alignwright.train.exchange.planted import BAD, GOOD, Span, exchange, planted

FEWEST = 8
"""Pairs in each of the three parts, at the least."""


@dataclass(frozen=True)
class Streams:
    """The logits of a part's planted replies and of their controls, token by token."""

    spans: Sequence[Span]
    bad: Sequence[list[float]]
    good: Sequence[list[float]]


def make_exchange_classifier(stage: ExchangeClassifier, job: JobContext) -> Result:
    """Fit it on the model that the stage is applied to, and leave it in the job's folder."""
    pairs = [pair for pair in job.data.written_pairs() if len(pair.replies) == 2]
    if stage.principles != "all":
        names = {principle.slug for principle in job.data.principles(stage.principles)}
        pairs = [pair for pair in pairs if pair.prompt.principle in names]
    findings = classify(stage, job.policy(), pairs, job)
    value = {finding.claim: finding.value for finding in findings}
    stops, harmless = _percent(value[DETECTED.name]), _percent(value[FALSE_ALARMS.name])
    note = f"{len(pairs)} pairs; stops {stops} of planted passages, and {harmless} of harmless ones in their place"
    return Result(note, findings=findings)


def classify(
    stage: ExchangeClassifier, policy: LoadedModel, pairs: Sequence[Comparison], job: JobContext
) -> list[Finding]:
    """Fit, calibrate, measure. Raises ValueError of too few pairs."""
    train, calibration, test = split(pairs, stage.heldout, job.seed)
    layer, chat = round(stage.depth * len(layout_of(policy).blocks)), policy.chat
    # 1. fitted on whole exchanges, good and bad
    rows = [exchange(chat, pair, reply) for pair in train for reply in (GOOD, BAD)]
    labels, states = [False, True] * len(train), token_states(policy, rows, layer)
    head = fit_head([state[1:] for state in states], labels, stage.penalty)
    prompt_head = fit_head([state[:1] for state in states], labels, stage.penalty)
    # 2. the thresholds, on the harmless passages of other prompts
    settings = dict[str, float]()
    streams = dict[str, tuple[Streams, list[float]]]()
    for name, part in (("calibration", calibration), ("test", test)):
        spans, controls = planted(chat, part, BAD), planted(chat, part, GOOD)
        of_bad, of_good = (token_states(policy, [one.row for one in each], layer) for each in (spans, controls))
        streams[name] = (
            _streams(head, spans, of_bad, of_good), [_first(prompt_head, state) for state in of_good],
        )  # fmt: skip
    known, prompts = streams["calibration"]
    peaks = [max(smoothed(logits, stage.window)) for logits in known.good]
    settings["window"] = threshold_for(peaks, stage.false_alarms)
    settings["last"] = threshold_for([logits[-1] for logits in known.good], stage.false_alarms)
    settings["prompt"] = threshold_for(prompts, stage.false_alarms)
    head.save(job.folder, Settings(policy.name, layer, stage.window, settings["window"]))
    # 3. what they are worth, on prompts that were in neither part
    planted_streams, prompt_scores = streams["test"]
    return measured(stage, planted_streams, prompt_scores, settings, job.name)


def split(
    pairs: Sequence[Comparison], heldout: float, seed: int
) -> tuple[list[Comparison], list[Comparison], list[Comparison]]:
    """To fit, to set the threshold, and to measure: whole prompts, drawn by their content and the seed."""
    prompts = sorted({p.prompt.conversation.id for p in pairs}, key=lambda name: content_id("exchange", seed, name))
    apart = round(heldout * len(prompts))
    places = {name: 0 if i >= apart else 1 + (i % 2) for i, name in enumerate(prompts)}
    parts: tuple[list[Comparison], list[Comparison], list[Comparison]] = ([], [], [])
    for pair in pairs:
        parts[places[pair.prompt.conversation.id]].append(pair)
    if min(map(len, parts)) < FEWEST:
        left = ", ".join(str(len(part)) for part in parts)
        raise ValueError(
            f"exchange_classifier: {len(pairs)} pairs of {len(prompts)} prompts leave {left} to fit, to set"
            f" the threshold and to measure; it needs {FEWEST} of each: give more pairs, or name more principles"
        )
    return parts


def measured(
    stage: ExchangeClassifier, streams: Streams, prompts: Sequence[float], thresholds: dict[str, float], name: str
) -> list[Finding]:
    """The findings of one part, at given thresholds."""
    window = thresholds["window"]
    scores = [[smoothed(logits, stage.window) for logits in part] for part in (streams.bad, streams.good)]
    alarms = [first_alarm(one, window) for one in scores[0]]
    delays = [
        float(alarm - span.start + 1)
        for alarm, span in zip(alarms, streams.spans, strict=True)
        if alarm is not None and alarm >= span.start
    ]
    caught = [alarm is not None and alarm >= span.start for alarm, span in zip(alarms, streams.spans, strict=True)]
    wrong = [first_alarm(one, window) is not None for one in scores[1]]
    clusters = [span.cluster for span in streams.spans]
    rate = f"at a threshold that {stage.false_alarms:.0%} of other harmless exchanges reach at most"
    last = [logits[-1] >= thresholds["last"] for logits in streams.bad]
    prompt = [score >= thresholds["prompt"] for score in prompts]
    area = auroc(
        [max(one) for part in scores for one in part], [True] * len(wrong) + [False] * len(wrong), clusters * 2
    )
    early = sum(alarm is not None and not hit for alarm, hit in zip(alarms, caught, strict=True))
    return [
        _share(DETECTED, caught, clusters, name, f"{rate}; {early} alarms before the passage are no detections"),
        _share(FALSE_ALARMS, wrong, clusters, name, rate),
        _finding(
            DELAY, median(delays) if delays else None, median_interval(delays), len(delays), name, "of those stopped"
        ),
        _finding(AUROC, area.value, area.interval, 2 * len(wrong), name, ""),
        _share(LAST, last, clusters, name, f"{rate}; known only when the whole reply has been written"),
        _share(PROMPT, prompt, clusters, name, f"{rate}; planted and harmless passages have the same prompts"),
    ]


def token_states(policy: LoadedModel, rows: Sequence[TokenRow], layer: int) -> list[Tensor]:
    """For each row of one reply what `layer` blocks leave at its prompt's last token and at each of the reply's,
    [1 + T, H] in float32 on the CPU; of none, the embeddings. Raises ValueError for a row longer than the model
    reads."""
    site = Site(layer - 1) if layer else Site(0, "resid_pre")
    states = dict[int, Tensor]()
    for each in row_states(policy, [(*row.prompt, *row.replies[0]) for row in rows], [site]):
        states[each.row] = each.states[site][len(rows[each.row].prompt) - 1 :].float().cpu()
    return [states[place] for place in range(len(rows))]


def _streams(head: Head, spans: Sequence[Span], bad: Sequence[Tensor], good: Sequence[Tensor]) -> Streams:
    return Streams(spans, [_logits(head, state) for state in bad], [_logits(head, state) for state in good])


def _logits(head: Head, state: Tensor) -> list[float]:
    return [float(value) for value in head.logits(state[1:])]


def _first(head: Head, state: Tensor) -> float:
    return float(head.logits(state[:1])[0])


def _share(claim: Claim, values: Sequence[bool], clusters: Sequence[str], stage: str, note: str) -> Finding:
    numbers = [float(value) for value in values]
    alone = len(set(clusters)) == len(clusters)
    estimate = share_interval(numbers, None if alone else clusters)
    return _finding(claim, estimate.value, estimate.interval, len(numbers), stage, note, len(set(clusters)))


def _finding(
    claim: Claim, value: float | None, limits: Interval, n: int, stage: str, note: str, clusters: int | None = None
) -> Finding:
    return Finding(
        claim=claim.name, stage=stage, axis=claim.axis, value=value, low=limits.low, high=limits.high, n=n,
        clusters=clusters, method=limits.method, unit=claim.unit, better=claim.better, note=note,
    )  # fmt: skip


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:.0f} %"
