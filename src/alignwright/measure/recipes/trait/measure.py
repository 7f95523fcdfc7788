"""A trait without and with an instruction that asks for it: what inoculation prompting is judged by.

- `trait.shown`: the share of greedy replies to the plain prompts that show the trait, by a judge's score.
- `trait.prompted`, and a part for each instruction in their order (`first`, `second` ...): the same under the
  instruction. Inoculation (Tan et al. 2025, arXiv 2510.04340; Wichers et al. 2025, arXiv 2510.05024) is to lower the
  first; the second says what it leaves behind, for whoever finds the words, or words like them.
- `trait.task`: the prompt's own checks pass on the plain reply.

A reply that the judge cannot score is unscored, and never counts as free of the trait.
"""

from __future__ import annotations

from collections.abc import Sequence

from alignwright.core.instructed import instructed
from alignwright.core.protocols import ChatModel, RewardFn
from alignwright.core.records import Conversation, Prompt, Reply, SampleResult, Score, Status
from alignwright.core.replies import NoReply, greedy
from alignwright.core.stage import resolved
from alignwright.measure.ask import graded
from alignwright.measure.instruction import all_pass
from alignwright.measure.recipes.trait.knobs import PROMPTED, TASK, UNPROMPTED, TraitMeasure, instruction_part


def trait_outcomes(
    speaker: ChatModel, scorer: RewardFn, prompts: Sequence[Prompt], stage: TraitMeasure, *, seed: int
) -> list[SampleResult]:
    """Outcomes of the three claims."""
    groups = [[_bare(prompt, prompt.conversation) for prompt in prompts]]
    for text in stage.instructions:
        groups.append([_bare(prompt, instructed(prompt.conversation, text, stage.place)) for prompt in prompts])
    questions = [prompt.conversation for group in groups for prompt in group]
    replies = greedy(speaker, questions, max_new_tokens=resolved(stage.max_new_tokens), seed=seed)
    by_group = [replies[at : at + len(prompts)] for at in range(0, len(replies), len(prompts))]
    grades = [_grades(group, own, scorer, stage.threshold) for group, own in zip(groups, by_group, strict=True)]
    outcomes: list[SampleResult] = []
    for place, (group, own, grade) in enumerate(zip(groups, by_group, grades, strict=True)):
        name = instruction_part(place - 1)
        claims = [(PROMPTED.name, f":{name}"), (f"{PROMPTED.name}.{name}", "")] if place else [(UNPROMPTED.name, "")]
        outcomes += [
            graded(claim, f"{prompt.id}{end}", prompt.topic or prompt.id, question.conversation, reply, verdict)
            for claim, end in claims
            for prompt, question, reply, verdict in zip(prompts, group, own, grade, strict=True)
        ]
    tasks = [
        graded(TASK.name, prompt.id, prompt.topic, prompt.conversation, reply, all_pass(prompt, (_text(reply),)))
        for prompt, reply in zip(prompts, by_group[0], strict=True)
        if prompt.checks
    ]
    return [*outcomes, *tasks]


def _bare(prompt: Prompt, conversation: Conversation) -> Prompt:
    """The prompt without its checks: they are the task's, and a rule for the trait would count them."""
    return Prompt(conversation=conversation, topic=prompt.topic, principle=prompt.principle, columns=prompt.columns)


def _grades(
    questions: Sequence[Prompt], replies: Sequence[Reply | NoReply], scorer: RewardFn, threshold: float
) -> list[tuple[Status, str]]:
    scores = scorer(questions, [[_text(reply)] for reply in replies]) if questions else []
    return [_grade(score, threshold) for (score,) in scores]


def _grade(score: Score | None, threshold: float) -> tuple[Status, str]:
    if score is None:
        return "unscored", "the judge gives no score"
    words = f"scored {score.value:g}, shown above {threshold:g}; {score.reason}".removesuffix("; ")
    return ("fail" if score.value > threshold else "pass"), words


def _text(reply: Reply | NoReply) -> str:
    return reply.text if isinstance(reply, Reply) else ""
