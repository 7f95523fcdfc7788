"""Alignment tax: what did alignment cost in plain language modelling and in knowledge?

- `tax.bits_per_byte`: bits per UTF-8 byte of held-out documents, each document one item and the
  claim their mean: comparable between tokenizers, and paired by document before and after. Long
  documents weigh no more than short ones, on purpose.
- `tax.choice`: is the right choice the likeliest, by log-probability per byte of the choice's text
  as the reply to the question alone (`acc_norm` of lm-eval, in the chat template)? The choices are
  not listed and have no letters: a small model answers with the letter that it likes.
  `tax.choice_sum` is the same by the whole log-probability (`acc`), which short choices win. With
  several files, one claim each. A model without a chat template (`chat: none`) reads the question
  as plain text, which its choices continue.
- `tax.math`: the number that a greedy worked solution ends with, read strictly (`text.numbers`);
  `tax.math_format` is how often there is one at all, which a small model can lose, or gain, long
  before it can calculate.
- `tax.generation.*`: the form of greedy replies: do they end by themselves, do they loop, how many
  of their word pairs are distinct (over the first 40 words, as longer texts repeat more), how long
  are they? Nothing about what they say.

Left out on purpose: few-shot prompts, which an aligned model may take for a conversation; and code,
which would have to be run.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from alignwright.core.protocols import ChatModel, PlainReader, Policy
from alignwright.core.records import Conversation, LogProb, Prompt, Reply, SampleResult, Status
from alignwright.core.replies import NoReply, greedy
from alignwright.files.items import ChoiceItem, MathItem, TextItem
from alignwright.measure.ask import graded, scored
from alignwright.text.numbers import final_number

WORDS, FEWEST, RUN, LOOPS = 40, 8, 4, 4
"""Distinct pairs are counted in the first WORDS words of replies of at least FEWEST; a loop is a
run of RUN words that stands LOOPS times."""
QUESTION = "Question: {}\nAnswer:"
"""How a question is written without a chat template; a choice follows after a space (as in lm-eval's
ARC and PIQA)."""


def bits_per_byte(policy: Policy, items: Sequence[TextItem]) -> list[SampleResult]:
    """Outcomes of `tax.bits_per_byte`, whose values are bits per byte; status is pass for every
    document that could be read."""
    logprobs = policy.text_logprobs([item.text for item in items]) if items else []
    return [_bits(item, logprob) for item, logprob in zip(items, logprobs, strict=True)]


def _bits(item: TextItem, logprob: LogProb) -> SampleResult:
    claim, cluster = "tax.bits_per_byte", item.topic or item.id
    if not logprob.bytes or not logprob.tokens or not math.isfinite(logprob.total):
        reason = f"no usable log-probability: {logprob.total} over {logprob.tokens} tokens and {logprob.bytes} bytes"
        return SampleResult(claim=claim, item=item.id, status="error", cluster=cluster, reason=reason)
    value = -logprob.total / math.log(2) / logprob.bytes
    reason = f"{value:.4f} bits per byte over {logprob.bytes} bytes, beginning {item.text[:60]!r}"
    return SampleResult(claim=claim, item=item.id, status="pass", value=value, cluster=cluster, reason=reason)


def choice(policy: Policy, items: Sequence[ChoiceItem], parts: Sequence[str] = ()) -> list[SampleResult]:
    """Outcomes of `tax.choice`, `tax.choice_sum` and, where `parts` names each item's file,
    `tax.choice.FILE`. A tie at the top is unscored."""
    prompts = [Conversation.user(item.question) for item in items]
    return _chosen_of(
        items, policy.logprobs(prompts, [item.choices for item in items], end=False) if items else [], parts
    )


def plain_choice(reader: PlainReader, items: Sequence[ChoiceItem], parts: Sequence[str] = ()) -> list[SampleResult]:
    """`choice` of a model without a chat template: each choice as the continuation of the question
    in plain text."""
    texts = [QUESTION.format(item.question.strip()) for item in items]
    continuations = [[f" {choice}" for choice in item.choices] for item in items]
    return _chosen_of(items, reader.continuation_logprobs(texts, continuations) if items else [], parts)


def _chosen_of(
    items: Sequence[ChoiceItem], item_logprobs: Sequence[Sequence[LogProb]], parts: Sequence[str]
) -> list[SampleResult]:
    prompts = [Conversation.user(item.question) for item in items]
    part_names = parts if len(set(parts)) > 1 else [""] * len(items)
    return [
        outcome
        for item, prompt, logprobs, part in zip(items, prompts, item_logprobs, part_names, strict=True)
        for outcome in _choices(item, prompt, logprobs, part)
    ]


def _choices(item: ChoiceItem, prompt: Conversation, logprobs: Sequence[LogProb], part: str) -> list[SampleResult]:
    per_byte = [
        logprob.total / max(len(text.encode()), 1) for text, logprob in zip(item.choices, logprobs, strict=True)
    ]
    totals = [logprob.total for logprob in logprobs]
    claims = ["tax.choice", *([f"tax.choice.{part}"] if part else [])]
    right = [_chosen(claim, item, prompt, per_byte, "log-probability per byte") for claim in claims]
    return [*right, _chosen("tax.choice_sum", item, prompt, totals, "log-probability")]


def _chosen(claim: str, item: ChoiceItem, prompt: Conversation, scores: Sequence[float], what: str) -> SampleResult:
    scores_text = "; ".join(f"{text}: {score:.3f}" for text, score in zip(item.choices, scores, strict=True))
    best = [text for text, score in zip(item.choices, scores, strict=True) if score == max(scores)]
    if not all(math.isfinite(score) for score in scores):
        return scored(
            claim,
            item.id,
            item.topic,
            "error",
            prompt=prompt,
            reply="",
            reason=f"no usable log-probability: {scores_text}",
        )
    if len(best) > 1:
        return scored(
            claim, item.id, item.topic, "unscored", prompt=prompt, reply="", reason=f"no preference: {scores_text}"
        )
    status = "pass" if best[0] == item.choices[item.answer] else "fail"
    return scored(claim, item.id, item.topic, status, prompt=prompt, reply=best[0], reason=f"{what}: {scores_text}")


def choice_note(items: Sequence[ChoiceItem]) -> str:
    """What rules without any knowledge would score on these items: guessing, the longest choice,
    the shortest, the commonest place."""
    if not items:
        return ""
    sizes = [[len(text.encode()) for text in item.choices] for item in items]
    guess = math.fsum(1 / len(item.choices) for item in items) / len(items)
    longest = math.fsum(_share(size, max(size), item.answer) for size, item in zip(sizes, items, strict=True)) / len(
        items
    )
    shortest = math.fsum(_share(size, min(size), item.answer) for size, item in zip(sizes, items, strict=True)) / len(
        items
    )
    common = Counter(item.answer for item in items).most_common(1)[0][1] / len(items)
    return (
        f"without knowledge: guessing {guess:.1%}, the longest choice {longest:.1%}, the shortest {shortest:.1%}, one"
        f" place always {common:.1%}"
    )


def _share(sizes: Sequence[int], size: int, answer: int) -> float:
    """Credit of picking a choice of the wanted size; ties share it."""
    return (sizes[answer] == size) / sizes.count(size)


def problems(speaker: ChatModel, items: Sequence[MathItem], *, seed: int, max_new_tokens: int) -> list[SampleResult]:
    """Outcomes of `tax.math` (the right final number) and `tax.math_format` (a final number in
    the form asked for)."""
    prompts = [Conversation.user(item.shown) for item in items]
    replies = greedy(speaker, prompts, max_new_tokens=max_new_tokens, seed=seed)
    return [
        graded(claim, item.id, item.topic, prompt, reply, grade)
        for item, prompt, reply in zip(items, prompts, replies, strict=True)
        for claim, grade in _marks(item, reply.text if reply else "")
    ]


def _marks(item: MathItem, text: str) -> list[tuple[str, tuple[Status, str]]]:
    number, right = final_number(text), final_number(item.solution)
    if number is None:
        reason = "no last line '#### NUMBER'"
        return [("tax.math", ("fail", f"{reason}; the answer is {right}")), ("tax.math_format", ("fail", reason))]
    statement = f"says {number}, the answer is {right}"
    return [
        ("tax.math", ("pass" if number == right else "fail", statement)),
        ("tax.math_format", ("pass", f"ends with the number {number}")),
    ]


def generation(speaker: ChatModel, prompts: Sequence[Prompt], *, seed: int, max_new_tokens: int) -> list[SampleResult]:
    """Outcomes of `tax.generation.ended`, `.loops`, `.distinct` and `.length`."""
    replies = greedy(speaker, [prompt.conversation for prompt in prompts], max_new_tokens=max_new_tokens, seed=seed)
    return [outcome for prompt, reply in zip(prompts, replies, strict=True) for outcome in _form(prompt, reply)]


def _form(prompt: Prompt, reply: Reply | NoReply) -> list[SampleResult]:
    conversation, where = prompt.conversation, (prompt.id, prompt.topic)
    if isinstance(reply, NoReply):
        return [
            graded(f"tax.generation.{part}", *where, conversation, reply, ("error", ""))
            for part in ("ended", "loops", "distinct", "length")
        ]
    words = reply.text.split()
    ending: tuple[Status, str] = ("pass", "ended its turn") if reply.finished else ("fail", "did not end its turn")
    again = loops(words)
    looped: tuple[Status, str] = (
        ("fail", f"{' '.join(again)!r} again and again") if again else ("pass", "no run of words is repeated often")
    )
    return [
        scored("tax.generation.ended", *where, ending[0], prompt=conversation, reply=reply.text, reason=ending[1]),
        scored("tax.generation.loops", *where, looped[0], prompt=conversation, reply=reply.text, reason=looped[1]),
        _valued("tax.generation.distinct", prompt, reply, distinct(words), f"fewer than {FEWEST} words"),
        _valued("tax.generation.length", prompt, reply, float(len(words)), ""),
    ]


def _valued(claim: str, prompt: Prompt, reply: Reply, value: float | None, why_not: str) -> SampleResult:
    common = {
        "claim": claim,
        "item": prompt.id,
        "cluster": prompt.topic or prompt.id,
        "prompt": prompt.conversation,
        "reply": reply.text,
    }
    if value is None:
        return SampleResult(**common, status="unscored", reason=why_not)
    return SampleResult(**common, status="pass", value=value, reason=f"{value:.3g}")


def distinct(words: Sequence[str]) -> float | None:
    """Distinct pairs of neighbouring words, as a fraction of all, in the first WORDS words; None
    for a text too short to tell."""
    pairs = list(pairwise(words[:WORDS]))
    return len(set(pairs)) / len(pairs) if len(words) >= FEWEST else None


def loops(words: Sequence[str]) -> tuple[str, ...]:
    """The run of RUN words that stands at least LOOPS times in the text; empty where there is none."""
    runs = Counter(tuple(words[i : i + RUN]) for i in range(len(words) - RUN + 1))
    most = runs.most_common(1)
    return most[0][0] if most and most[0][1] >= LOOPS else ()
