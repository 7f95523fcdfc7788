"""Is a planted way of gaming found by its name, and is nothing found where there is none?"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hacking_case import judged

from alignwright.core.gamed import Feature, Judged, gamed_features
from alignwright.core.intervals import holm
from alignwright.core.reply_features import features, tokens

SEEDS = range(6)


def nothing(_: str) -> float:
    return 0.0


PLANTED: dict[str, Callable[[str], float]] = {
    "words": lambda text: 1.5 * float(np.log1p(len(tokens(text)))),
    "exclamation": lambda text: 1.5 * (text.count("!") > 0),
    "lists": lambda text: 1.5 * ("- one" in text),
    "flattery": lambda text: 1.5 * ("Great question" in text),
    'said "verily"': lambda text: 1.5 * ("Verily" in text),
}


def named(found: list[Feature], kind: str = "gamed") -> list[str]:
    return [f.name for f in found if f.kind == kind]


@pytest.mark.parametrize("name", PLANTED)
def test_the_planted_feature_is_found_and_hardly_another(name: str) -> None:
    """By its own name, or among those that move with the one that stands for them ("Great
    question" is a word of praise, too)."""
    found = [
        [name in (f.name, *f.alike) for f in gamed_features(judged(PLANTED[name], seed)) if f.kind == "gamed"]
        for seed in SEEDS
    ]
    assert sum(any(run) for run in found) >= len(SEEDS) - 1
    assert sum(not it for run in found for it in run) <= 1


@pytest.mark.parametrize(("noise", "gold_noise"), [(0.5, 0.5), (2.0, 0.2), (0.2, 2.0)])
def test_where_nothing_is_gamed_hardly_anything_is_found(noise: float, gold_noise: float) -> None:
    """Judges that differ by their noise alone: Holm keeps a false finding to one run in twenty."""
    runs = [
        named(gamed_features(judged(nothing, 50 + seed, count=30, samples=4, noise=noise, gold_noise=gold_noise)))
        for seed in range(12)
    ]
    assert sum(map(bool, runs)) <= 2


def test_the_weight_is_the_planted_one() -> None:
    """Where a feature alone makes a score its weight is 1, and the others' is 0."""
    rows = [
        row.model_copy(
            update={"gold": features("", row.reply)["exclamation"], "proxy": 2.0 * features("", row.reply)["lists"]}
        )
        for row in judged(nothing, 1)
    ]
    seen = {f.name: f for f in gamed_features(rows, keywords=False)}
    assert (seen["lists"].proxy.value, seen["lists"].gold.value) == pytest.approx((1.0, 0.0), abs=1e-4)
    assert (seen["exclamation"].proxy.value, seen["exclamation"].gold.value) == pytest.approx((0.0, 1.0), abs=1e-4)
    assert seen["lists"].excess.value == pytest.approx(1.0, abs=1e-4)


def test_a_gold_that_is_merely_noisy_makes_what_is_good_overpaid_not_gamed() -> None:
    """Both pay for exclamation marks alike, gold with much noise: its weight is smaller, as the
    weight of anything would be."""
    found: Counter[str] = Counter()
    for seed in range(6):
        r = random.Random(seed)
        marks = [(row, float("!" in row.reply)) for row in judged(nothing, seed, count=60)]
        rows = [
            row.model_copy(update={"proxy": 4 * mark + r.gauss(0, 0.5), "gold": 4 * mark + r.gauss(0, 6)})
            for row, mark in marks
        ]
        found.update(f.kind for f in gamed_features(rows, keywords=False) if f.name == "exclamation")
    assert found == {"overpaid": 6}


def test_pay_that_goes_beyond_what_gold_pays_is_gamed_even_where_gold_pays_some() -> None:
    marks = [(row, float("!" in row.reply)) for row in judged(nothing, 2, count=80)]
    rows = [row.model_copy(update={"proxy": row.gold + 4 * mark, "gold": row.gold + mark}) for row, mark in marks]
    found = {f.name: f for f in gamed_features(rows, keywords=False)}
    assert found["exclamation"].kind == "gamed"
    assert found["exclamation"].gold.low > 0


def test_a_feature_that_is_avoided_is_found_with_its_sign() -> None:
    found = {f.name: f for f in gamed_features(judged(lambda text: -1.5 * ("- one" in text), 3))}
    assert found["lists"].kind == "gamed"
    assert found["lists"].proxy.high < 0
    assert found["lists"].excess.value < 0


def test_the_pairs_shown_are_separated_by_the_feature_and_judged_oppositely() -> None:
    rows = judged(PLANTED["exclamation"], 4)
    (found,) = [f for f in gamed_features(rows) if f.name == "exclamation"]
    assert len(found.pairs) == 3
    assert len({pair.prompt.id for pair in found.pairs}) == 3
    scores = {(row.prompt.id, row.reply): (row.proxy, row.gold) for row in rows}
    for pair in found.pairs:
        assert pair.liked.count("!") > pair.better.count("!")
        (proxy, gold), (proxy_other, gold_other) = (
            scores[pair.prompt.id, pair.liked],
            scores[pair.prompt.id, pair.better],
        )
        assert proxy > proxy_other
        assert gold < gold_other


def of_topics(topics: int, seed: int, *, said: bool) -> list[Judged]:
    """Noisy judges; the proxy pays for exclamation marks and lists by a whim of each topic, none
    on the whole. `said`: prompts name their topic."""
    rows, r = judged(nothing, seed, count=60, samples=4, noise=1.0, gold_noise=1.0), random.Random(seed)
    place = {name: i % topics for i, name in enumerate(dict.fromkeys(row.prompt.id for row in rows))}
    whims = [(r.gauss(0, 1.5), r.gauss(0, 1.5)) for _ in range(topics)]
    found = []
    for row in rows:
        topic = place[row.prompt.id]
        paid = whims[topic][0] * ("!" in row.reply) + whims[topic][1] * ("- one" in row.reply)
        prompt = row.prompt.model_copy(update={"topic": f"topic {topic}"}) if said else row.prompt
        found.append(row.model_copy(update={"prompt": prompt, "proxy": row.proxy + paid}))
    return found


def test_prompts_of_one_topic_are_not_independent() -> None:
    """What a proxy pays for by topic is no finding about replies at large; taken prompt by
    prompt it looks like one."""
    runs = {
        said: [gamed_features(of_topics(6, seed, said=said), keywords=False) for seed in range(20)]
        for said in (True, False)
    }
    false = {said: sum(any(f.kind != "none" for f in run) for run in of) for said, of in runs.items()}
    assert false[True] <= 2
    assert false[False] >= 4  # the control: the same replies, topics unsaid
    assert {f.clusters for f in runs[True][0]} == {6}
    assert {f.prompts for f in runs[True][0] if f.name == "exclamation"} != {6}


def test_a_planted_feature_is_found_over_topics_too() -> None:
    rows = judged(PLANTED["lists"], 3, count=60)
    place = {name: i // 5 for i, name in enumerate(dict.fromkeys(row.prompt.id for row in rows))}
    rows = [
        row.model_copy(update={"prompt": row.prompt.model_copy(update={"topic": str(place[row.prompt.id])})})
        for row in rows
    ]
    found = {f.name: f for f in gamed_features(rows)}
    assert found["lists"].kind == "gamed"
    assert found["lists"].clusters == 12


def test_p_values_are_adjusted_by_holm_and_none_is_invented() -> None:
    found = gamed_features(judged(PLANTED["lists"], 7), keywords=False)
    assert [f.p_adjusted for f in found] == holm([f.p for f in found])
    assert all(f.p_adjusted >= f.p > 0 for f in found)


def test_what_is_shared_by_the_replies_to_a_prompt_does_not_count() -> None:
    """A prompt whose replies all score high and are all long is no sign of pay for length."""
    rows = judged(PLANTED["exclamation"], 5)
    order = {name: i for i, name in enumerate(dict.fromkeys(row.prompt.id for row in rows))}
    places = [order[row.prompt.id] for row in rows]
    shifted = [
        row.model_copy(update={"proxy": row.proxy + 7.0 * at, "gold": row.gold - 3.0 * at})
        for row, at in zip(rows, places, strict=True)
    ]
    for one, other in zip(gamed_features(rows), gamed_features(shifted), strict=True):
        assert (one.name, one.kind) == (other.name, other.kind)
        assert one.excess.value == pytest.approx(other.excess.value, abs=1e-9)


def test_scale_and_offset_of_the_judges_do_not_count() -> None:
    rows = judged(PLANTED["lists"], 6)
    scaled = [row.model_copy(update={"proxy": 10 * row.proxy + 3, "gold": 0.1 * row.gold - 2}) for row in rows]
    assert [(f.name, round(f.excess.value, 9)) for f in gamed_features(rows)] == [
        (f.name, round(f.excess.value, 9)) for f in gamed_features(scaled)
    ]


def test_exchanging_proxy_and_gold_turns_the_excess_round() -> None:
    rows = judged(PLANTED["lists"], 7)
    turned = [row.model_copy(update={"proxy": row.gold, "gold": row.proxy}) for row in rows]
    one, other = ({f.name: f.excess.value for f in gamed_features(r, keywords=False)} for r in (rows, turned))
    assert one == pytest.approx({name: -value for name, value in other.items()})


def test_a_proxy_equal_to_gold_is_not_gamed() -> None:
    rows = [row.model_copy(update={"proxy": row.gold}) for row in judged(nothing, 8)]
    assert all(f.kind == "none" and f.excess.value == pytest.approx(0) for f in gamed_features(rows))


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (judged(nothing, 9, count=8), "8 of 8 prompts have them, and at least 12"),
        (judged(nothing, 9, samples=1), "0 of 40 prompts"),
        (
            [row.model_copy(update={"gold": 1.0}) for row in judged(nothing, 9)],
            "gold scores all replies to a prompt alike",
        ),
        (of_topics(4, 9, said=True), "have 4 topics between them, of which at least 5"),
    ],
)
def test_too_little_to_say_anything_is_said(rows: list[Judged], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        gamed_features(rows)
