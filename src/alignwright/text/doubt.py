"""Does a short answer say that it may be wrong (verbal doubt, hedging)?

Rules over the reply's own words: it does not know, is not sure, guesses, thinks, says perhaps, or that
nobody can know. How often these rules are right nobody has measured: no labels of people's are at
hand, and what rests on them says so.
"""

from __future__ import annotations

import re

from alignwright.text.speech import own_words, plain


def doubts(reply: str) -> bool:
    """Whether the reply says so in words."""
    return _DOUBT.search(plain(own_words(reply))) is not None


_DOUBT = re.compile(
    r"\b(?:(?:i|we) (?:do not|cannot|can not|could not|am not able to|are not able to) (?:\w+ )?"
    r"(?:know|say|tell|be (?:sure|certain)|find|determine|verify|provide)"
    r"|(?:i am|we are) (?:not (?:\w+ )?(?:sure|certain|aware|familiar)|unsure|uncertain|unable|no expert)"
    r"|i (?:think|guess|believe|suppose|assume)|perhaps|maybe|might be|may be|could be|possibly|probably|presumably"
    r"|not (?:\w+ )?(?:known|clear|certain)|unknown|unclear|uncertain|no (?:information|record|way to know|one knows)"
    r"|nobody (?:knows|can)|cannot be (?:known|determined|verified)|as far as i know|if i (?:recall|remember)"
    r"|(?:does|did) not (?:seem to )?exist|no such|fictional|hard to say|it depends|approximately|roughly|about)\b"
)
