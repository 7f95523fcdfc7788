"""Are the limits of an attack that is looked at while it goes on those of a confidence sequence, over whole topics?"""

from __future__ import annotations

from itertools import pairwise

import pytest

from alignwright.attack.claims import fixed_claims
from alignwright.attack.knobs import Mutate
from alignwright.attack.outcomes import fixed_samples
from alignwright.attack.target import Attempt, Budget, Target
from alignwright.core.records import Conversation, Reply
from alignwright.files.items import RefusalItem
from alignwright.measure.findings import levels
from alignwright.stats.confidence_sequence import confidence_sequence

ITEMS = [RefusalItem(prompt=f"Say word {i}.", kind="harmful", secret=("plugh",), topic=f"t{i % 10}") for i in range(40)]


class Says:
    """Says the word to every fifth request."""

    name = "target"

    def generate(self, prompts, *, n=1, max_new_tokens=128, temperature=1.0, seed=0):
        texts = ["plugh" if int(p.last.content.split()[-1][:-1]) % 5 == 0 else "no" for p in prompts]
        return [[Reply(text=text, parent=p.id, tokens=1)] for text, p in zip(texts, prompts, strict=True)]


def stage(**knobs):
    return Mutate(by="mutate", prompts=("r.jsonl",), ways=("direct",), **knobs)


def rate(items, anytime, queries=None):
    at = Target(Says(), kind="mutate", max_new_tokens=4, budget=Budget(queries))
    at.attempt([Attempt(item, Conversation.user(item.prompt), "direct") for item in items])
    claims = fixed_claims("mutate", "mutated")
    findings = levels(fixed_samples(at), claims=claims, stage="baseline", anytime=lambda _: anytime)
    return next(each for each in findings if each.claim == "attack.mutate.success")


def test_a_larger_limit_goes_on_where_a_smaller_one_ended():
    orders = [[item.id for item in stage(anytime=True, limit=limit).chosen(ITEMS)] for limit in (4, 10, 24, 40)]
    assert [len(order) for order in orders] == [4, 8, 24, 40], "whole topics"
    assert all(longer[: len(order)] == order for order, longer in pairwise(orders))
    evenly = [[item.id for item in stage(limit=limit).chosen(ITEMS)] for limit in (4, 10)]
    assert evenly[1][:4] != evenly[0], "without it a larger limit takes others"


def test_its_limits_are_the_sequence_s_and_wider_than_those_of_one_look():
    chosen = stage(anytime=True).chosen(ITEMS)
    always, once = rate(chosen, True), rate(chosen, False)
    topics = list(dict.fromkeys(item.topic for item in chosen))
    values = [[float(int(i.prompt.split()[-1][:-1]) % 5 == 0) for i in chosen if i.topic == t] for t in topics]
    assert (always.low, always.high) == confidence_sequence(values, 4)[-1]
    assert always.method == "confidence sequence 95%, valid at every look, over 10 topics"
    assert (always.value, always.n) == (once.value, once.n) == (0.2, 40)
    assert always.high - always.low > once.high - once.low


@pytest.mark.parametrize(("queries", "topics"), [(38, 9), (3, 0)])
def test_a_topic_that_is_not_paid_for_in_full_waits(queries, topics):
    cut = rate(stage(anytime=True).chosen(ITEMS), True, queries)
    assert cut.n == queries
    if topics:
        assert f"over {topics} topics, {10 - topics} more not whole yet" in cut.method
    else:
        assert (cut.low, cut.high) == (None, None)
        assert cut.method == "no limits at every look: no topic is whole"
