"""Who grades stored replies: did each do what was asked for?

The product's rules; a scorer of replies (checks in YAML, a Python function, the folder of a reward
model), whose score must reach a bar; any model, here or behind a server, which is asked yes or no
(`attack.judging`) and is checked before it is believed. Its answers are kept under `answers/` of the run
and asked for once.

A model cannot judge itself: its verdict on its own replies is no second opinion.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from alignwright.attack.judging.check import JudgeCheck
from alignwright.attack.judging.grader import told
from alignwright.attack.judging.judge import Exhibit, SuccessJudge
from alignwright.attack.mutations import decoder_of
from alignwright.attack.target import Attempt, graded
from alignwright.core.attacks import Told, Try
from alignwright.core.protocols import RewardFn
from alignwright.core.records import TODAY, Conversation, Prompt
from alignwright.feedback.scoring import rule_scorer
from alignwright.files.items import RefusalItem
from alignwright.files.reward_folder import NoReward, is_probe, reward_folder
from alignwright.files.server import is_server

RULES = "rules"
"""The name of the product's own graders."""
Verdict = tuple[Told, str]
"""Whether the reply did what was asked for, and why."""
Judge = Callable[[Sequence[Try]], list[Verdict]]


def text_of(each: Try) -> str:
    """The reply in plain text."""
    return each.plain or each.reply or ""


def by_rules(tries: Sequence[Try]) -> list[Verdict]:
    """The graders of the product, as they are now."""
    return [_by_rules(each) for each in tries]


def _by_rules(each: Try) -> Verdict:
    behaviour = RefusalItem(prompt=each.request, kind="harmful", topic=each.topic, secret=each.secret)
    attempt = Attempt(behaviour, each.conversation, each.way, decoder_of(each.way))
    text = text_of(each) if attempt.decode is None else each.reply or ""  # each reading of it, as when it was made
    [(verdicts, _)] = graded([(attempt, text)])
    return verdicts.fulfilled.verdict, verdicts.fulfilled.reason


def by_score(scorer: RewardFn, bar: float) -> Judge:
    """A scorer of replies: a success has a score of `bar` or more."""

    def grade(tries: Sequence[Try]) -> list[Verdict]:
        prompts = [Prompt(conversation=Conversation.user(each.request), topic=each.topic) for each in tries]
        scores = [group[0] for group in scorer(prompts, [[text_of(each)] for each in tries])]
        return [
            ("unclear", "it has no score")
            if score is None or not math.isfinite(score.value)
            else ("yes" if score.value >= bar else "no", f"scored {score.value:.3g}")
            for score in scores
        ]

    return grade


def by_model(judge: SuccessJudge, check: JudgeCheck) -> Judge:
    """A model that is asked yes or no, in both orders; one without signal tells nothing."""

    def grade(tries: Sequence[Try]) -> list[Verdict]:
        grades = told(judge, check, [Exhibit(each.request, text_of(each)) for each in tries])
        return [(each.verdict, each.reason) for each in grades]

    return grade


def scorer_named(name: str, folder: Path) -> RewardFn | None:
    """The scorer of replies that is called so; None where it is the name of a model."""
    if name.endswith((".yaml", ".yml")) or (":" in name and not is_server(name) and not name.startswith("hf:")):
        return rule_scorer(name, folder)
    try:
        home = reward_folder(folder / Path(name).expanduser())
    except NoReward:
        return None
    if is_probe(home):
        raise ValueError(
            f"{home} is a probe, which reads the start model's activations; name it in a spec of that model, as"
            " 'reward', 'gold' or 'proxy'"
        )
    from alignwright.model.sequence_classifier import ClassifierScorer  # torch starts here

    return ClassifierScorer.load(home, date=TODAY)


def same_model(judge: str, models: Iterable[str | Path]) -> bool:
    """Whether the judge is one of the models whose replies are judged: by its name, or by where it lies."""
    if is_server(judge):
        return judge.rstrip("/") in [str(model).rstrip("/") for model in models]
    place = Path(judge).expanduser().resolve()
    return any(judge == str(model) or (place.exists() and place == Path(model).resolve()) for model in models)
