"""Which traps lie in the texts that training rows come from (a prompt repeated in the answer, contradictory pairs,
control tokens spelled out, personal data)?

As in `data_checks`, whatever became of the texts as tokens.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from alignwright.core.records import Conversation, Labelled, Preference, Prompt
from alignwright.files.chat import REPEATED_FROM
from alignwright.model.tokens import Chat
from alignwright.text.personal_data import personal_data
from alignwright.train.data_checks import DataIssue, finished_conversations, share_of
from alignwright.train.knobs_loop import Source

_ROLE = "(?:user|system|human|assistant)"
_HEADER = re.compile(rf"\s*(?:<\|?{_ROLE}\|?>|(?:<[^<>\n]{{1,24}}>\s*|#{{1,4}} *)?{_ROLE}\s*(?:\n|:))", re.IGNORECASE)


def texts(sources: Sequence[Source], chat: Chat, allowed: float) -> Iterator[DataIssue]:
    """What is wrong with the texts, whatever became of them as tokens."""
    yield from _repeated(sources, allowed)
    yield from _contradictions([source for source in sources if isinstance(source, Preference)])
    control_texts = Counter(
        name for source in sources for text in _texts(source) for name in set(chat.control_tokens_in(text))
    )
    if control_texts:
        names = ", ".join(f"{name} in {count}" for name, count in control_texts.most_common(4))
        why = (
            "they stay letters and never become the tokens, so no text speaks with the template's voice; if the data"
            " was rendered before, undo it"
        )
        yield DataIssue(
            "control_text",
            control_texts.total(),
            len(sources),
            False,
            f"control tokens are spelled out in texts ({names}): {why}",
        )
    yield from _personal_data(sources)


def _personal_data(sources: Sequence[Source]) -> Iterator[DataIssue]:
    """Mail addresses, phone numbers, cards, accounts and keys; those that belong to nobody are not
    counted."""
    kinds: Counter[str] = Counter()
    rows = 0
    for source in sources:
        kinds_here = {
            one.issuer if one.kind == "key" else one.kind
            for text in _texts(source)
            for one in personal_data(text)
            if not one.reserved
        }
        kinds.update(kinds_here)
        rows += bool(kinds_here)
    if rows:
        counts = ", ".join(f"{kind} in {count:,}" for kind, count in kinds.most_common())
        why = "a model repeats what it was trained on; 'alignwright check FILE' lists the lines"
        observation = f"{share_of(rows, len(sources))} rows hold personal data or secrets ({counts}): {why}"
        yield DataIssue("personal_data", rows, len(sources), False, observation)


def _repeated(sources: Sequence[Source], allowed: float) -> Iterator[DataIssue]:
    last = [
        finished_conversations(source)[0]
        for source in sources
        if isinstance(source, Preference | Labelled | Conversation)
    ]
    num_repeats = sum(_repeats(conversation) for conversation in last)
    if num_repeats:
        observation = (
            f"{share_of(num_repeats, len(last))} answers to be learnt begin with the prompt's words or with the header"
            " of a turn, such as 'user:'"
        )
        refused = num_repeats > allowed * len(last)
        rule = (
            "; a model trained on them speaks as the user. Keep the answer alone in 'chosen', without the dialogue"
            " before it"
            if refused
            else ""
        )
        yield DataIssue("prompt_repeated", num_repeats, len(last), refused, f"{observation}{rule}")


def _repeats(conversation: Conversation) -> bool:
    reply = conversation.last.content
    request = next((m.content.strip() for m in reversed(conversation.messages[:-1]) if m.role == "user"), "")
    return _HEADER.match(reply) is not None or (len(request) >= REPEATED_FROM and reply.lstrip().startswith(request))


def _contradictions(pairs: Sequence[Preference]) -> Iterator[DataIssue]:
    """Within one group of voters. Groups may well disagree, and their preferences carry their names."""
    keys = {(p.prompt.conversation.id, p.chosen, p.rejected, p.group) for p in pairs}
    both = sum((prompt, rejected, chosen, group) in keys for prompt, chosen, rejected, group in keys) // 2
    if both:
        observation = (
            f"{share_of(both, len(pairs))} pairs are also there the other way round: a beats b and b beats a for the"
            " same prompt"
        )
        yield DataIssue(
            "contradiction",
            both,
            len(pairs),
            False,
            f"{observation}. They cancel out; pooling the votes first would weigh them",
        )


def _texts(source: Source) -> list[str]:
    match source:
        case Preference():
            return [*(m.content for m in source.prompt.conversation.messages), source.chosen, source.rejected]
        case Labelled():
            return [*(m.content for m in source.prompt.conversation.messages), source.reply]
        case Conversation(messages=messages) | Prompt(conversation=Conversation(messages=messages)):
            return [m.content for m in messages]
        case _:
            return [source]
