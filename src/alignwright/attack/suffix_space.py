"""Which token ids may stand behind a request so that the model reads them when the words are typed?

An attack that works on ids must end with words that a user can write. So a suffix is kept only where
the whole conversation, rendered by the chat template and tokenized anew, gives the very ids that were
worked with (the round trip). The loss then is that of the conversation that is asked.

Tokens of a suffix are printable ASCII, as in the published attacks: no control token, no half of a
character.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from alignwright.core.records import Conversation
from alignwright.model.tokens import Chat

_FILLER = " x"


class SuffixSpace:
    """Suffixes to one request of `length` tokens, or of as many fewer as whole words make: the ids
    `before` and `after` them, and `start`, a suffix to begin with."""

    def __init__(self, chat: Chat, request: str, length: int) -> None:
        self.chat, self.request = chat, request
        bare = chat.prompt(self._with(""))
        for words in range(length, 0, -1):  # a word may be several tokens
            whole = chat.prompt(self._with(_FILLER * words))
            after = _agreement(bare[::-1], whole[::-1])
            before = min(_agreement(bare, whole), len(bare) - after)
            self.before, self.start = whole[:before], whole[before : len(whole) - after]
            self.after, self._lead = whole[len(whole) - after :], self._decode(self.before[-1:])
            if len(self.start) <= length:
                break
        if not self.start or not self.before or not self.keeps(self.start):
            raise ValueError(
                f"no suffix can be put behind the request {request[:60]!r}: this tokenizer joins it with the words"
                " before or after it; end the request with a full stop"
            )
        self._frame = self._written()

    def text(self, ids: Sequence[int]) -> str:
        """The suffix in words, as it stands behind the token before it."""
        whole = self._decode([*self.before[-1:], *ids])
        return whole[len(self._lead) :] if whole.startswith(self._lead) else ""

    def conversation(self, ids: Sequence[int]) -> Conversation:
        """The request with this suffix behind it."""
        return self._with(self.text(ids))

    def keeps(self, ids: Sequence[int]) -> bool:
        """Whether these words are read as these ids."""
        return self.chat.prompt(self.conversation(ids)) == [*self.before, *ids, *self.after]

    def may_keep(self, ids: Sequence[int]) -> bool:
        """The same where the template writes every suffix between the same words, without asking it
        again. Of a template that does not, `keeps` alone tells."""
        text = self.text(ids)
        if self._frame is None or self.chat.control_tokens_in(text):
            return self.keeps(ids)
        return self.chat.encode(text.join(self._frame)) == [*self.before, *ids, *self.after]

    def _written(self) -> tuple[str, str] | None:
        """What the template writes before and behind a suffix, where it writes it as it stands."""
        words = self.text(self.start)
        front, suffix, back = self.chat.words(self._with(words).messages).rpartition(words)
        return (front, back) if suffix else None

    def _with(self, suffix: str) -> Conversation:
        return Conversation.user(self.request + suffix)

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self.chat.tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))


def plain_tokens(chat: Chat, vocabulary: int) -> torch.Tensor:
    """The ids of tokens that are printable ASCII; `vocabulary` is how many rows the model has."""
    tokenizer = chat.tokenizer
    count = min(vocabulary, len(tokenizer))
    words = tokenizer.batch_decode([[i] for i in range(count)], clean_up_tokenization_spaces=False)
    barred = {int(i) for i in tokenizer.added_tokens_decoder}
    ids = [i for i, word in enumerate(words) if word and word.isascii() and word.isprintable() and i not in barred]
    return torch.tensor(ids)


def _agreement(one: Sequence[int], other: Sequence[int]) -> int:
    """How many ids two sequences begin with alike."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
