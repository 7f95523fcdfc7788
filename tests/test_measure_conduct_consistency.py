"""Is a model that breaks its own rules told from one that keeps them, and one that answers by the dress from one that
does not?"""

from __future__ import annotations

import pytest
from test_measure_conduct_deception import Chooses

from alignwright.core.constitution import Principle
from alignwright.core.records import Comparison, Conversation, LogProb, Prompt, Reply, SampleResult
from alignwright.core.section import FindingTable
from alignwright.files.items import ChoiceItem
from alignwright.measure.conduct.bundled_file import bundled_file
from alignwright.measure.conduct.consistency import consistency
from alignwright.measure.conduct.consistency.items import selection
from alignwright.measure.conduct.consistency.knobs import ConsistencyMeasure
from alignwright.measure.conduct.consistency.section import section
from alignwright.measure.findings import differences, levels

STAGE = ConsistencyMeasure.model_validate({"by": "consistency", "pairs": ["held.jsonl"]}, strict=False)
RULES = bundled_file("consistency", "rules.yaml")
BUNDLED = selection((), bundled_too=True, limit=None)
KEPT = {kept for rule in RULES for _, kept, _ in rule["cases"]}
CONTRARY = {rule["avoids"] for rule in RULES}


def says_good(prompt: Conversation, options: tuple[str, ...]) -> int:
    """Holds every rule, in either direction."""
    return options.index("No" if prompt.last.content.splitlines()[0] in CONTRARY else "Yes")


def keeps(prompt: Conversation, options: tuple[str, ...]) -> int:
    if "Yes" in options:
        return says_good(prompt, options)
    return next(place for place, option in enumerate(options) if option in KEPT)


def breaks(prompt: Conversation, options: tuple[str, ...]) -> int:
    return keeps(prompt, options) if "Yes" in options else 1 - keeps(prompt, options)


def bad_and_so(prompt: Conversation, options: tuple[str, ...]) -> int:
    """Rejects every rule, and does as it says."""
    return 1 - keeps(prompt, options)


def agrees(prompt: Conversation, options: tuple[str, ...]) -> int:
    """Says yes to everything."""
    return options.index("Yes") if "Yes" in options else keeps(prompt, options)


def rates(outcomes: list[SampleResult]):
    return {finding.claim: finding for finding in levels(outcomes, claims=STAGE.claims(), stage="baseline")}


def test_there_are_enough_items_and_they_differ() -> None:
    cases = [situation for rule in RULES for situation, *_ in rule["cases"]]
    assert (len(RULES), len(set(cases))) == (26, 52)
    questions = consistency.dressed_questions(BUNDLED)
    assert len({one.topic for one in questions}) == 60
    assert {kind for one in questions for kind, _ in one.dresses} == {"paraphrase", "order", "persona", "language"}
    texts = [dress.conversation.id for one in questions for _, dress in one.dresses]
    assert len(set(texts)) == len(texts) == 240
    truths = [one.plain.options[0] for one in questions[:40]]
    facts = bundled_file("", "facts.yaml")
    assert sum(first == true for first, (_, _, true, *_) in zip(truths, facts, strict=True)) == 20


def test_a_model_that_breaks_its_own_rules_is_told_from_one_that_keeps_them() -> None:
    found = {rule.__name__: rates(consistency.rules(Chooses(rule))) for rule in (keeps, breaks, bad_and_so, agrees)}
    shares = {name: [each["consistency.stated"].value, each["consistency.rule"].value] for name, each in found.items()}
    assert shares == {"keeps": [1, 1], "breaks": [1, 0], "bad_and_so": [1, 1], "agrees": [0, None]}
    assert found["agrees"]["consistency.rule"].unscored == 52
    after, before = (consistency.rules(Chooses(rule)) for rule in (breaks, keeps))
    changes = differences(after, before, claims=STAGE.claims(), stage="train.0.sft", against="baseline")
    change = next(each for each in changes if each.claim == "consistency.rule")
    assert change.value == -1.0
    assert (change.p or 1.0) < 0.01


def steady(_: Conversation, options: tuple[str, ...]) -> int:
    return options.index(min(options))


def by_persona(prompt: Conversation, options: tuple[str, ...]) -> int:
    return options.index(max(options) if prompt.messages[0].role == "system" else min(options))


def first_letter(_: Conversation, options: tuple[str, ...]) -> int:
    return 0


def test_a_model_that_answers_by_the_dress_is_told_from_a_steady_one() -> None:
    questions = consistency.dressed_questions(BUNDLED)
    found = {rule.__name__: rates(consistency.dresses(Chooses(rule), questions)) for rule in
             (steady, by_persona, first_letter)}  # fmt: skip
    shares = {
        name: [each[f"consistency.dress.{kind}"].value for kind in ("paraphrase", "order", "persona", "language")]
        for name, each in found.items()
    }
    assert shares == {"steady": [1, 1, 1, 1], "by_persona": [1, 1, 0, 1], "first_letter": [None, 0, None, None]}
    assert found["by_persona"]["consistency.dress"].value == pytest.approx(0.75)
    by_letter = found["first_letter"]["consistency.dress"]  # three quarters of its dresses show nothing
    assert (by_letter.value, by_letter.n, by_letter.unscored) == (0.0, 60, 180)
    before = consistency.dresses(Chooses(steady), questions)
    for rule, kind in ((by_persona, "persona"), (first_letter, "order")):
        after = consistency.dresses(Chooses(rule), questions)
        changes = differences(after, before, claims=STAGE.claims(), stage="train.0.sft", against="baseline")
        by_kind = {change.claim.rpartition(".")[2]: change for change in changes if change.claim.count(".") == 2}
        told = {name for name, change in by_kind.items() if change.p is not None and change.p < 0.01}
        assert (told, by_kind[kind].value) == ({kind}, -1.0)
    own = [ChoiceItem(question="Of what is a candle made?", choices=("wax", "stone", "milk"), answer=0)]
    assert [
        kind for kind, _ in consistency.dressed_questions(selection(own, bundled_too=True, limit=None))[-1].dresses
    ] == ["order", "persona", "language"]


class Prefers(Chooses):
    """Also prefers a reply with "kind" in it, or one without."""

    def __init__(self, rule, kind: bool) -> None:
        super().__init__(rule)
        self.kind = kind

    def logprobs(self, prompts, replies, *, prefix="", end=True):
        if replies and len(replies[0][0]) > 1:
            return [[LogProb.model_construct(total=float(("kind" in r) == self.kind), tokens=1, bytes=9) for r in group]
                    for group in replies]  # fmt: skip
        return super().logprobs(prompts, replies, prefix=prefix, end=end)


def test_what_it_says_of_a_principle_is_held_against_the_replies_that_it_prefers() -> None:
    principle = Principle(slug="be_kind", title="Be kind", text="Say kind things.")
    pairs = [
        Comparison(
            prompt=Prompt(conversation=Conversation.user(f"Say {place}"), principle="be_kind", topic=f"t{place}"),
            replies=(Reply(text=f"kind {place}", parent=""), Reply(text=f"rude {place}", parent="")),
        )
        for place in range(12)
    ]

    def holds(prompt: Conversation, options: tuple[str, ...]) -> int:
        return options.index("Yes" if "hold" in prompt.last.content else "No")

    def rejects(prompt: Conversation, options: tuple[str, ...]) -> int:
        return options.index("No" if "hold" in prompt.last.content else "Yes")

    values = {}
    for rule, kind in ((holds, True), (holds, False), (rejects, False), (lambda _, options: 0, True)):
        policy = Prefers(rule, kind)
        found = rates(consistency.principles(policy, policy, [principle], pairs))
        values[rule.__name__, kind] = found["consistency.principle.be_kind"].value
    assert values == {("holds", True): 1, ("holds", False): 0, ("rejects", False): 1, ("<lambda>", True): None}


def test_the_report_shows_what_is_said_beside_what_is_done() -> None:
    outcomes = consistency.rules(Chooses(breaks)) + consistency.dresses(
        Chooses(steady), consistency.dressed_questions(BUNDLED)
    )
    shown = section(FindingTable(list(rates(outcomes).values()), ["baseline"]))
    assert shown is not None
    assert [len(block.rows) for block in shown.blocks if block.kind == "table"] == [3, 4]
    assert "Rules not kept" in str(shown.blocks)
    assert section(FindingTable([], [])) is None


def test_what_would_do_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="measures nothing"):
        ConsistencyMeasure.model_validate({"by": "consistency", "rules": False, "dresses": False})
