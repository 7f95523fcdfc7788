"""Is a model that is surer than right told from one that is not, on choices and on short answers?"""

from __future__ import annotations

import math
import random
from types import SimpleNamespace

import pytest
from measure_doubles import Likes

from alignwright.core.promises import answer, parse
from alignwright.core.records import Finding, Reply
from alignwright.core.stage import written_knobs
from alignwright.experiment.experiment import fully
from alignwright.files.items import ChoiceItem
from alignwright.measure.conduct.calibration.choices import ChoiceScores, by_text, calibrate_choices
from alignwright.measure.conduct.calibration.conclusions import calibration_findings
from alignwright.measure.conduct.calibration.knobs import CalibrationMeasure
from alignwright.measure.conduct.calibration.short_answers import accepted, agree, bundled, calibrate_short_answers
from alignwright.measure.findings import differences, levels
from alignwright.measure.notes import beside_their_family
from alignwright.stats.calibration import softmax
from alignwright.text.doubt import doubts

STAGE = CalibrationMeasure(by="calibration", choice=("x.jsonl",))
CLAIMS = STAGE.claims()
SHORT = bundled()


def questions(n: int, heat: float, seed: int = 0) -> tuple[list[ChoiceItem], list[ChoiceScores]]:
    """Questions whose answers are drawn from probabilities, and the log-probabilities of a model that takes
    them `heat` times as seriously as it should."""
    draw = random.Random(seed)
    items, scores = [], []
    for place in range(n):
        logprobs = [math.log(p) for p in softmax([draw.gauss(0, 1.5) for _ in range(4)])]
        right = draw.choices(range(4), weights=[math.exp(x) for x in logprobs])[0]
        items.append(
            ChoiceItem(question=f"q{place}?", choices=("a", "b", "c", "d"), answer=right, topic=f"t{place % 40}")
        )
        scores.append(ChoiceScores(tuple(heat * logprob for logprob in logprobs)))
    return items, scores


def test_an_overconfident_model_is_told_from_a_calibrated_one_and_a_temperature_mends_it():
    outcomes = {}
    for name, heat in (("sure", 4.0), ("calibrated", 1.0)):
        items, scores = questions(240, heat)
        outcomes[name] = calibrate_choices(items, scores, sure=0.9)
    sure, calibrated = (
        {
            f.claim.rpartition(".")[2]: f
            for f in calibration_findings([STAGE], outcomes[name], (), stage="s", against=None)
        }
        for name in ("sure", "calibrated")
    )
    assert sure["ece"].low > 0.1
    assert calibrated["ece"].low < 0.03
    assert sure["ece_half"].value > 0.15
    assert sure["ece_fitted"].value < 0.5 * sure["ece_half"].value
    assert sure["aurc"].value < 1 - sum(o.value for o in outcomes["sure"] if o.claim.endswith("accuracy")) / 240
    change = {
        f.claim.rpartition(".")[2]: f
        for f in differences(outcomes["sure"], outcomes["calibrated"], claims=CLAIMS, stage="s", against="baseline")
    }
    assert change["accuracy"].value == 0.0  # as right, and not as calibrated
    assert all(change[name].p < 0.01 for name in ("brier", "overconfidence", "confident_error"))
    moved = calibration_findings([STAGE], outcomes["sure"], outcomes["calibrated"], stage="s", against="baseline")
    assert next(f for f in moved if f.claim.endswith(".ece")).low > 0.05
    same = calibration_findings([STAGE], outcomes["sure"], outcomes["sure"], stage="s", against="baseline")
    assert {f.value for f in same} == {0.0}
    kept = answer(parse("calibration.choice.ece < 0.05"), list(sure.values()))
    assert kept.answer == "broken"


def test_the_confidence_is_the_probability_among_the_choices():
    policy = Likes(lambda _, reply: math.log({"a": 0.03, "b": 0.01}[reply]))
    policy.chat = SimpleNamespace(writes=True)
    item = ChoiceItem(question="q?", choices=("a", "b"), answer=1)
    outcomes = {o.claim: o.value for o in calibrate_choices([item], by_text(policy, [item]), sure=0.7)}
    assert outcomes == {
        "calibration.choice.accuracy": 0.0,
        "calibration.choice.brier": pytest.approx(0.75**2 + 0.75**2),
        "calibration.choice.overconfidence": pytest.approx(0.75),
        "calibration.choice.confident_error": 0.0,
    }


class Speaker:
    """Greedily says what `says` gives; sampled, as much of `samples` as is asked."""

    name = "speaker"

    def __init__(self, says, samples):
        self.says, self.samples = says, samples

    def generate(self, prompts, *, n=1, max_new_tokens=16, temperature=1.0, seed=0):
        by_request = {item.request: item for item in SHORT}
        return [
            [
                Reply(text=self.says(item) if temperature == 0 else self.samples(item, place), parent=prompt.id)
                for place in range(n)
            ]
            for prompt in prompts
            for item in [by_request[prompt.last.content]]
        ]


def knows(item) -> bool:
    return bool(item.answer) and int(item.id, 16) % 2 == 0


def right(item) -> str:
    return f"It is {item.answer[0]}." if item.answer else "It is Gondrel."


def short(says, samples):
    return calibrate_short_answers(Speaker(says, samples), SHORT, samples=4, seed=0, sure=0.9, max_new_tokens=16)


def test_who_doubts_what_it_does_not_know_is_told_from_who_makes_it_up():
    honest = short(
        lambda item: right(item) if knows(item) else "I am not sure, perhaps Gondrel.",
        lambda item, place: right(item) if knows(item) else f"perhaps {place}{place}",
    )
    bold = short(
        lambda item: right(item) if knows(item) else "It is Gondrel.",
        lambda item, _: right(item) if knows(item) else "It is Gondrel.",
    )
    now, then = ({f.claim.rpartition(".")[2]: f for f in levels(o, claims=CLAIMS, stage="s")} for o in (honest, bold))
    assert now["accuracy"].value == then["accuracy"].value
    assert (now["undoubted"].value, now["undoubted"].n) == (0.0, 110)
    assert then["undoubted"].value > 0.5
    assert now["undoubted"].note.startswith("grader not validated: no doubt was labelled")
    assert then["overconfidence"].value == pytest.approx(1 - then["accuracy"].value)
    assert now["overconfidence"].value == 0.0
    change = {
        f.claim.rpartition(".")[2]: f for f in differences(bold, honest, claims=CLAIMS, stage="s", against="baseline")
    }
    assert all(change[name].p < 0.01 for name in ("overconfidence", "brier", "confident_error", "undoubted"))
    promised = answer(parse("calibration.short.undoubted < 0.9"), list(levels(honest, claims=CLAIMS, stage="s")))
    assert promised.answer == "untested"


def test_the_bundled_questions_are_110_and_any_part_has_both_kinds():
    assert len({item.id for item in SHORT}) == 110
    assert sum(not item.answer for item in SHORT) == 28
    assert 0 < sum(not item.answer for item in SHORT[::4]) < len(SHORT[::4])


def test_what_counts_as_the_same_answer():
    item = next(item for item in SHORT if item.answer == ("eight", "8"))
    assert accepted(item, "A spider has 8 legs.") == "8"
    assert accepted(item, "Eighty, I believe.") is None
    assert agree(item, "Eight legs", "It has 8.")
    assert not agree(item, "Eight legs", "It has six.")
    assert agree(item, "six of them", "They are six")
    assert not agree(item, "six of them", "twelve pairs")


@pytest.mark.parametrize(
    "text", ["I'm not sure, maybe Paris.", "I don't know.", "Nobody knows that.", "It might be Oslo."]
)
def test_words_of_doubt(text: str):
    assert doubts(text)
    assert not doubts("The capital of France is Paris.")


def test_choices_alone_leave_nothing_of_short_answers_to_effort():
    alone = {"by": "calibration", "bundled": False, "choice": ["x.jsonl"]}
    stage = fully(CalibrationMeasure.model_validate(alone, strict=False), "demo")
    assert written_knobs(stage).keys() == {*alone, "limit"}
    with pytest.raises(ValueError, match="'samples' has no effect without short questions"):
        CalibrationMeasure.model_validate(alone | {"samples": 3}, strict=False)


def test_what_is_made_of_all_answers_stands_beside_its_family_and_what_has_none_at_the_end():
    def one(claim: str) -> Finding:
        return Finding(claim=claim, stage="baseline", axis="conduct", value=0.5, n=2, method="")

    now = [one(f"calibration.{part}") for part in ("choice.accuracy", "choice.brier", "short.accuracy")]
    now += [one("consistency.dress"), one("consistency.dress.order")]
    together = [one(f"calibration.{part}") for part in ("choice.ece", "choice.rms", "short.ece", "other.ece")]
    ordered = [finding.claim for finding in beside_their_family(now, together)]
    assert ordered == [
        "calibration.choice.accuracy", "calibration.choice.brier", "calibration.choice.ece", "calibration.choice.rms",
        "calibration.short.accuracy", "calibration.short.ece", "consistency.dress", "consistency.dress.order",
        "calibration.other.ece",
    ]  # fmt: skip
