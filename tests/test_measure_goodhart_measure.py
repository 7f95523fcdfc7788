"""Does the measure find what was planted in scripted replies: a proxy that is gold, one that is
half of it, one that was hacked?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from claims_case import CLAIMS

from alignwright.core.records import Conversation, Finding, Prompt, Reply, SampleResult, Score
from alignwright.measure.findings import differences, levels
from alignwright.measure.goodhart.measure import GoodhartResult, examine
from alignwright.measure.goodhart.scored_replies import ProxyAndGold, ScoredReplies
from alignwright.stats.best_of_n import bon_kl

INSIDE = [Prompt(conversation=Conversation.user(f"inside {i}")) for i in range(40)]
OUTSIDE = [Prompt(conversation=Conversation.user(f"outside {i}"), topic=f"kind {i % 2}") for i in range(20)]
SIZES = (1, 2, 4, 8, 16)


class Said:
    """A judge that reads the number which a scripted reply says of it: "gold proxy"."""

    def __init__(self, place: int, *, silent: str = "", siblings: bool = False) -> None:
        self.name, self.place, self.silent, self.siblings = f"place {place}", place, silent, siblings
        self.asked = 0

    def __call__(self, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]) -> list[list[Score | None]]:
        told = list[list[Score | None]]()
        for prompt, group in zip(prompts, replies, strict=True):
            self.asked += len(group)
            values = [float(text.split()[self.place]) for text in group]
            if self.siblings:
                values = [float(np.mean(np.sign(np.subtract(v, values)))) for v in values]
            told.append(
                [
                    None if self.silent and self.silent in prompt.conversation.last.content else Score(value=v)
                    for v in values
                ]
            )
        return told


def said(
    shift: tuple[float, float] = (0.0, 0.0), *, rho: float = 0.6, samples: int = 24, seed: int = 0, same: bool = False
) -> list[list[Reply]]:
    """Replies of which gold and proxy correlate by rho within a prompt; each prompt has a level
    of its own. The shift moves (gold, proxy)."""
    generator = np.random.default_rng(seed)
    made = []
    for prompt in (*INSIDE, *OUTSIDE):
        level = 3 * np.random.default_rng(len(prompt.conversation.last.content) + int(prompt.id, 16) % 997).normal()
        gold = generator.normal(size=samples)
        proxy = gold if same else rho * gold + math.sqrt(1 - rho**2) * generator.normal(size=samples)
        pairs = zip(gold + shift[0] + level, 2 * (proxy + shift[1] + level), strict=True)
        made.append([Reply(text=f"{g:.6f} {p:.6f}", parent=prompt.id) for g, p in pairs])
    return made


def found(
    replies: list[list[Reply]],
    start: GoodhartResult | None = None,
    *,
    labels: int = 24,
    judges: ProxyAndGold | None = None,
    **more: object,
) -> GoodhartResult:
    model = "baseline" if start is None else "train.0.dpo"
    judged = judges or ProxyAndGold(Said(1), Said(0))
    return examine(
        model,
        INSIDE,
        OUTSIDE,
        replies,
        judged,
        labels=labels,
        sizes=SIZES,
        start=start.sheets if start else None,
        **more,
    )  # type: ignore[arg-type]


def claim(examined: GoodhartResult, name: str) -> Finding:
    (one,) = [f for f in examined.findings if f.claim == name]
    return one


def test_best_of_n_of_a_gaussian_pair() -> None:
    start = found(said())
    for n in (2, 4, 8, 16):
        assert claim(start, f"trilemma.optimization.best_of_{n}").value == pytest.approx((n - 1) / (n + 1), abs=1e-9)
        assert claim(start, f"trilemma.capture.best_of_{n}").value == pytest.approx(0.6, abs=0.08)
        assert claim(start, f"goodhart.kl.best_of_{n}").value == pytest.approx(bon_kl(n))
        assert claim(start, f"goodhart.proxy.best_of_{n}").value == pytest.approx(
            {2: 0.564, 4: 1.029, 8: 1.424, 16: 1.766}[n], abs=0.12
        )
    rises = claim(start, "goodhart.covariance")
    assert rises.value == pytest.approx(0.6, abs=0.06)  # in SDs the covariance at the start is the correlation
    assert "gold still rises" in rises.note
    assert "R2" in claim(start, "goodhart.peak").note
    assert [p.best_of for p in start.curve] == list(SIZES)
    assert start.curve[0].root_kl == 0.0
    assert start.curve[0].gold == (0.0, None, None)  # one reply is the start itself: nothing to estimate


def test_a_trained_model_that_moved_both_by_known_amounts() -> None:
    start = found(said())
    kl = [SampleResult(claim="goodhart.kl", item=p.id, status="pass", value=2.0) for p in INSIDE]
    after = found(said((0.5, 1.0), seed=1), start, kl_outcomes=kl)
    assert claim(after, "trilemma.capture").value == pytest.approx(0.5, abs=0.12)
    assert claim(after, "trilemma.generalization").value == pytest.approx(1.0, abs=0.35)
    assert claim(after, "trilemma.gap").value == pytest.approx(0.5, abs=0.12)
    assert claim(after, "trilemma.optimization").value == pytest.approx(2 * 0.7602 - 1, abs=0.06)
    assert after.curve[0].root_kl == pytest.approx(math.sqrt(2.0))
    both = differences(after.outcomes, start.outcomes, stage="train.0.dpo", against="baseline", claims=CLAIMS)
    gold, proxy = (next(f for f in both if f.claim == f"goodhart.{name}") for name in ("gold", "proxy"))
    assert gold.value == pytest.approx(0.5, abs=0.12)
    assert proxy.value == pytest.approx(1.0, abs=0.12)
    assert gold.low > 0.2  # type: ignore[operator]  # paired: what prompts share, three SDs of it, cancels out
    level = next(f for f in levels(after.outcomes, stage="train.0.dpo", claims=CLAIMS) if f.claim == "goodhart.gold")
    assert (level.high or 0) - (level.low or 0) > 2 * ((gold.high or 0) - (gold.low or 0))


def test_a_hacked_model_and_the_control_of_a_proxy_that_is_gold() -> None:
    start = found(said())
    hacked = found(said((-0.5, 1.0), seed=1), start)
    assert claim(hacked, "trilemma.capture").high < 0  # type: ignore[operator]
    same = found(said(same=True))
    for n in (2, 16):
        assert claim(same, f"trilemma.capture.best_of_{n}").value == pytest.approx(1.0, abs=1e-5)
    assert claim(same, "goodhart.covariance").value == pytest.approx(1.0, abs=0.02)
    turned = found(
        [
            [Reply(text=f"{-float(r.text.split()[0])} {r.text.split()[1]}", parent="x") for r in group]
            for group in said()
        ]
    )
    assert "gold no longer rises" in claim(turned, "goodhart.covariance").note


def test_few_labels_are_asked_and_stretched() -> None:
    gold = Said(0)
    few = examine("baseline", INSIDE, OUTSIDE, said(rho=0.95), ProxyAndGold(Said(1), gold), labels=4, sizes=SIZES)
    assert gold.asked == 4 * 60
    stretched = claim(few, "goodhart.covariance")
    assert "PPI++" in stretched.method
    plain = examine(
        "baseline",
        INSIDE,
        OUTSIDE,
        [group[:4] for group in said(rho=0.95)],
        ProxyAndGold(Said(1), Said(0)),
        labels=4,
        sizes=SIZES,
    )
    alone = claim(plain, "goodhart.covariance")
    assert (stretched.high or 0) - (stretched.low or 0) < 0.8 * ((alone.high or 0) - (alone.low or 0))
    assert max(p.best_of or 0 for p in few.curve) == 4


def test_voters_judge_the_replies_of_both_models_together() -> None:
    """Scores against siblings have mean 0 for every model judged alone; judged beside the
    start's replies they tell the move."""
    judges = ProxyAndGold(Said(1, siblings=True), Said(0), proxy_siblings=True)
    start = found(said(), judges=judges)
    after = found(said((0.5, 1.0), seed=1), start, judges=judges)
    assert [o.value for o in start.outcomes if o.claim == "goodhart.proxy"] == pytest.approx([0.0] * 40, abs=1e-9)
    gained = np.mean([o.value for o in after.outcomes if o.claim == "goodhart.proxy" and o.value is not None])
    assert gained > 0.5
    assert claim(after, "trilemma.optimization").value == pytest.approx(2 * 0.7602 - 1, abs=0.06)


def test_what_cannot_be_scored_is_counted_and_a_flat_judge_has_no_unit() -> None:
    judges = ProxyAndGold(Said(1, silent="inside 1"), Said(0))
    start = found(said(), judges=judges)
    unscored = [o for o in start.outcomes if o.claim == "goodhart.gold" and o.status == "unscored"]
    assert len(unscored) == 11
    assert claim(start, "goodhart.gold.best_of_2").n == 29
    flat = examine(
        "baseline",
        INSIDE,
        [],
        [[Reply(text="1 2", parent="x")] * 4] * 40,
        ProxyAndGold(Said(1), Said(0)),
        labels=4,
        sizes=(1, 2),
    )
    assert flat.findings == ()
    assert {o.status for o in flat.outcomes} == {"unscored"}
    assert "has no unit" in flat.outcomes[0].reason


def test_sheets_are_read_back_as_they_were() -> None:
    start = found(said())
    again = [ScoredReplies.model_validate_json(sheet.model_dump_json()) for sheet in start.sheets]
    after = said((0.5, 1.0), seed=1)
    assert examine(
        "m", INSIDE, OUTSIDE, after, ProxyAndGold(Said(1), Said(0)), labels=24, sizes=SIZES, start=again
    ).findings == tuple(
        f
        for f in examine(
            "m", INSIDE, OUTSIDE, after, ProxyAndGold(Said(1), Said(0)), labels=24, sizes=SIZES, start=start.sheets
        ).findings
    )
