"""Do attacks that were made before work on this model? Replayed conversations (static attack success).

Attacks found against one model, or flagged by hand, are put to another as they are, one greedy reply
each. It is cheap, it is the same for every model, and it bounds nothing: an attacker who adapts finds
others. The rate says how far attacks carry over; where they were chosen because they succeeded, it is
no rate of all attacks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from alignwright.attack.mutations import decoder_of
from alignwright.attack.outcomes import by_conversation, fixed_samples
from alignwright.attack.target import Attempt, Target
from alignwright.core.records import SampleResult
from alignwright.files.attacks import AttackItem


def replay(target: Target, attacks: Sequence[AttackItem]) -> list[SampleResult]:
    """Every conversation once, with a part for each kind and way by which it was made. Where a way was a
    code, the reply is read in it, too."""
    target.attempt([Attempt(each.behaviour, each.dialogue, part(each), decoder_of(each.way)) for each in attacks])
    return fixed_samples(target, item=by_conversation)


def part(attack: AttackItem) -> str:
    """What an attack is called among the parts of the rate: its kind and way; `given` where neither is
    said."""
    name = re.sub(r"[^a-z0-9]+", "_", f"{attack.attack}_{attack.way}".lower()).strip("_")
    return "given" if name in ("", "corrected") else name
