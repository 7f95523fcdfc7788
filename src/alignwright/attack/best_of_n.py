"""How often does a request get through when it is asked many times over, each time spelt otherwise?
Best-of-N jailbreaking (BoN).

Hughes et al. (2024, arXiv 2412.03556): every try puts the request through three augmentations, drawn
anew, and samples a reply. Letters inside a word change places (words of four letters and more, with
probability sqrt(s)), letters change between small and capital (sqrt(s)), printable ASCII signs become a
neighbour of theirs (s^3); s is the strength, 0.4 in the paper. Success grows with the tries by a power
law, which is fitted and extrapolated (`stats/tries_law`).

Every request gets all of its tries, also after it fell: how often it falls is what the law is fitted on.
Left out: augmentations of sound and pictures, and prefixes composed with them.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence

from alignwright.attack.outcomes import search_samples
from alignwright.attack.target import Attempt, Target
from alignwright.core.claims import Claim
from alignwright.core.records import Conversation, Finding, SampleResult
from alignwright.files.items import RefusalItem
from alignwright.job.needs import untested
from alignwright.stats.tries_law import TriesForecast, forecast


def best_of_n(
    target: Target, behaviours: Sequence[RefusalItem], *, tries: int, strength: float, temperature: float
) -> list[SampleResult]:
    """Ask for each request so many times, the first try of all before the second of any. Where an
    augmentation comes out as one before it, another reply is drawn."""
    spellings: Counter[tuple[str, str]] = Counter()
    attempts: list[Attempt] = []
    for number in range(1, tries + 1):
        for item in behaviours:
            rng = random.Random(f"{target.seed}/{item.id}/{number}")  # noqa: S311 - repeatable, no secret
            text = augmented(item.prompt, strength, rng)
            attempts.append(Attempt(item, Conversation.user(text), draw=spellings[item.id, text]))
            spellings[item.id, text] += 1
    target.attempt(attempts, temperature=temperature)
    return search_samples(target, behaviours, most=tries)


def forecast_finding(target: Target, behaviours: Sequence[RefusalItem], claim: Claim, times: int) -> Finding:
    """The rate within `times` as many tries as were made, or why there is no forecast. Tries without a
    verdict are left out of it, and said."""
    verdicts = {item.id: [each for each in target.of(item) if each.success in ("yes", "no")] for item in behaviours}
    judgeable = [item for item in behaviours if verdicts[item.id]]
    counts = [(sum(each.succeeded for each in verdicts[item.id]), len(verdicts[item.id])) for item in judgeable]
    fewest = min((tries for _, tries in counts), default=0)
    ahead = forecast(counts, [item.topic or item.id for item in judgeable], fewest * times)
    gaps = [
        f"{len(behaviours) - len(judgeable)} requests have no told try" * (len(judgeable) < len(behaviours)),
        f"{len(target.tries) - sum(map(len, verdicts.values()))} tries without a verdict are left out"
        * (sum(map(len, verdicts.values())) < len(target.tries)),
    ]
    if ahead.rate is None:
        return untested(claim, target.model, "; ".join(filter(None, [ahead.why_not, *gaps])))
    return _finding(ahead, claim, target.model, gaps)


def _finding(ahead: TriesForecast, claim: Claim, model: str, gaps: Sequence[str]) -> Finding:
    assert ahead.law is not None
    law = f"-ln(rate within N) = {ahead.law.a:.3g} N^-{ahead.law.b:.3g}"
    limits = ahead.interval
    return Finding(
        claim=claim.name, stage=model, axis=claim.axis, value=ahead.rate, low=limits.low, high=limits.high,
        n=ahead.requests, method=limits.method, unit=claim.unit, better=claim.better,
        note="; ".join(
            filter(None, [f"within {ahead.at} tries, extrapolated from {ahead.tries}: {law}; {ahead.check}", *gaps])
        ),
        detail={"beyond_data": True, "tries": ahead.at, "a": ahead.law.a, "b": ahead.law.b},
    )  # fmt: skip


# ---- augmentations -------------------------------------------------------------------------------
def augmented(text: str, strength: float, rng: random.Random) -> str:
    """The text with letters inside words out of order, other capitals, and neighbours of its signs."""
    often, seldom = strength**0.5, strength**3
    text = re.sub(r"\S{4,}", lambda match: scrambled(match[0], rng) if rng.random() < often else match[0], text)
    text = "".join(sign.swapcase() if sign.isalpha() and rng.random() < often else sign for sign in text)
    return "".join(noisy(sign, rng) if " " <= sign <= "~" and rng.random() < seldom else sign for sign in text)


def scrambled(word: str, rng: random.Random) -> str:
    """The word with what is between its first and last sign out of order."""
    middle = list(word[1:-1])
    rng.shuffle(middle)
    return f"{word[0]}{''.join(middle)}{word[-1]}"


def noisy(sign: str, rng: random.Random) -> str:
    """The printable ASCII sign before it or after it."""
    near = chr(ord(sign) + rng.choice((-1, 1)))
    return near if " " <= near <= "~" else sign
