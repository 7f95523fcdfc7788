"""How is it read which of two answers a judge holds for right? By the answers' own log-probabilities, or by letters.

- `answers`: the log-probability of each answer as the reply, the first less the second, in nats. A
  judge of 135 million weights tells by it what a passage says, 34 times in 40, where by letters it
  is right 8 times in 40. Answers that are plausible by themselves lead before anything is
  read, which is why the judge unaided stands beside each number. Needs a judge whose weights are here.
- `letters`: both answers stand under letters, in both orders (`job.lettered`). It works behind a
  server that gives log-probabilities, and suits judges that follow such a form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from alignwright.core.protocols import ChatModel, Policy
from alignwright.core.records import Conversation
from alignwright.job.first_words import first_words
from alignwright.job.lettered import LetteredQuestion, leads, letters_of
from alignwright.job.needs import NotServed
from alignwright.oversee.knobs import Reading

Leads = Callable[[Sequence[LetteredQuestion]], Sequence[float | None]]
"""By how much the first answer of each question leads the second, in nats; None where that is not known."""
ASK = "Answer in a few words."


def judge_of(model: ChatModel, reading: Reading, name: str) -> Leads:
    """How this model judges. Raises NotServed where it gives no log-probabilities as they are needed."""
    if reading == "answers" and isinstance(model, Policy):
        return partial(answer_leads, model)
    if reading == "answers":
        raise NotServed(
            f"the judge {name!r} gives no log-probability of an answer that it is given; use 'reading: letters', or a"
            " judge whose weights are here"
        )
    return partial(leads, letters_of(model, name))


def answer_leads(policy: Policy, questions: Sequence[LetteredQuestion]) -> list[float | None]:
    """The log-probability of the first answer as the reply, less that of the second."""
    if not questions:
        return []
    prompts = [Conversation.user(f"{each.question}\n\n{ASK}") for each in questions]
    scores = first_words(policy, prompts, [each.options for each in questions])
    return [first.total - second.total for first, second in scores]
