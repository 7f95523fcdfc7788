"""Multiple choice of a model behind a server: which listed choice has the likeliest letter, by the
server's own log-probabilities?

A server scores no text that it is given (`job.needs`), so `tax.choice` is asked another way there,
that of MMLU: the choices are listed in the order of the file with letters before them, and the
model is asked for a letter. Scored is the log-probability of each letter as the first word of its
answer, where the server names it among the likeliest. A small model says the letter that it likes,
which is why a model whose weights are here is not asked so: the two numbers are not to be held
against each other, and the finding's method says which it is. A server without log-probabilities
leaves the claim untested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_uppercase

from alignwright.core.records import Conversation, SampleResult
from alignwright.files.items import ChoiceItem
from alignwright.job.lettered import Letters, served_letters, with_options
from alignwright.job.remote_model import RemoteModel
from alignwright.measure.ask import scored

METHOD = "the choices were listed, and the server's own log-probabilities of their letters compared"


def letter_logprobs(model: RemoteModel, items: Sequence[ChoiceItem]) -> Letters:
    """Of each item's letters. Raises NotServed where the server gave none of any item."""
    return served_letters(model, [(listed(item), tuple(ascii_uppercase[: len(item.choices)])) for item in items])


def listed(item: ChoiceItem) -> Conversation:
    """The question with its choices."""
    return Conversation.user(with_options(item.question, item.choices, ASK))


def choose_by_letter(items: Sequence[ChoiceItem], parts: Sequence[str], letters: Letters) -> list[SampleResult]:
    """Outcomes of `tax.choice` and, where `parts` names several files, of `tax.choice.FILE`."""
    several = len(set(parts)) > 1
    return [
        _outcome(claim, item, logprobs)
        for item, part, logprobs in zip(items, parts, letters, strict=True)
        for claim in ("tax.choice", *([f"tax.choice.{part}"] if several else []))
    ]


def _outcome(claim: str, item: ChoiceItem, logprobs: Mapping[str, float] | None) -> SampleResult:
    prompt = listed(item)
    if logprobs is None:
        why = "the server gave no log-probabilities of its letters"
        return scored(claim, item.id, item.topic, "unscored", prompt=prompt, reply="", reason=why)
    scores = "; ".join(f"{letter}: {logprob:.3f}" for letter, logprob in logprobs.items())
    best = [letter for letter, logprob in logprobs.items() if logprob == max(logprobs.values())]
    if len(best) > 1:
        return scored(
            claim, item.id, item.topic, "unscored", prompt=prompt, reply="", reason=f"no preference: {scores}"
        )
    status = "pass" if best[0] == ascii_uppercase[item.answer] else "fail"
    return scored(claim, item.id, item.topic, status, prompt=prompt, reply=best[0], reason=f"log-probability: {scores}")


ASK = "Answer with the letter of the right choice alone."
