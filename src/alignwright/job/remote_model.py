"""How is a model measured that is behind a server: which of its replies are known, and which were
withheld?

A ChatModel over an `Endpoint` and the cache of its replies (`job.reply_cache`): what is known is not
asked for again, equal requests of one call are asked once, and what comes is kept at once. A prompt
whose reply the server withholds (its content filter, a prompt longer than it reads) has fewer
replies than were asked for, and `why_withheld` says why: no text stands in for it, so that nothing
can take it for a refusal. Where the server itself is of no use the run stops, and goes on from
there when the same command is given again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from alignwright.core.records import Conversation, Reply
from alignwright.job.reply_cache import ReplyCache
from alignwright.model.endpoint import Endpoint, EndpointError, ServedLetters, ServedReply
from alignwright.model.server_session import TaskResult

T = TypeVar("T")


class RemoteModel:
    """The model behind an endpoint, whose replies are kept."""

    def __init__(self, endpoint: Endpoint, cache: ReplyCache) -> None:
        self.endpoint, self.cache, self.name = endpoint, cache, endpoint.name
        self.progress: Callable[[float, int], None] | None = None
        self._withheld: dict[str, str] = {}

    def generate(
        self,
        prompts: Sequence[Conversation],
        *,
        n: int = 1,
        max_new_tokens: int = 128,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> list[list[Reply]]:
        """Up to `n` replies to each prompt: fewer where the server withholds some."""
        requests = [(prompt, sample) for prompt in prompts for sample in range(n)]
        longest = self.endpoint.tokens
        keys = [self.cache.key(p.id, sample, seed, max_new_tokens, temperature, longest) for p, sample in requests]
        places = {key: place for place, key in reversed(list(enumerate(keys)))}  # of equal requests the first
        todo = [place for key, place in places.items() if key not in self.cache][::-1]
        if todo:
            self._ask(requests, keys, todo, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed)
        replies = [self.cache.reply(key) for key in keys]
        groups = [replies[at : at + n] for at in range(0, len(replies), n)]
        return [[reply for reply in group if reply is not None] for group in groups]

    def why_withheld(self, prompt: Conversation) -> str:
        """Why the last call brought fewer replies to this prompt than were asked for; "" where it
        did not."""
        return self._withheld.get(prompt.id, "")

    def _ask(
        self,
        requests: Sequence[tuple[Conversation, int]],
        keys: Sequence[str],
        todo: Sequence[int],
        *,
        max_new_tokens: int,
        temperature: float,
        seed: int,
    ) -> None:
        def keep(at: int, served: ServedReply) -> None:
            self.cache.add(keys[todo[at]], served)

        outcomes = self.endpoint.replies(
            [requests[place] for place in todo],
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            seed=seed,
            keep=keep,
        )
        self._collect(outcomes, [keys[place] for place in todo], [requests[place][0] for place in todo])

    def letter_logprobs(
        self, questions: Sequence[tuple[Conversation, tuple[str, ...]]]
    ) -> list[Mapping[str, float] | None]:
        """The log-probability of each question's letters as the answer, by the server's own account;
        None where it gave none or withheld its answer."""
        keys = [self.cache.key("letters", prompt.id, options, self.endpoint.tokens) for prompt, options in questions]
        todo = [place for place, key in enumerate(keys) if key not in self.cache and key not in keys[:place]]

        def keep(at: int, served: ServedLetters) -> None:
            self.cache.add_letters(keys[todo[at]], served)

        if todo:
            outcomes = self.endpoint.letters([questions[place] for place in todo], keep=keep)
            self._collect(outcomes, [keys[place] for place in todo], [questions[place][0] for place in todo])
        return [self.cache.letters(key) for key in keys]

    def _collect(
        self, outcomes: Iterator[tuple[int, TaskResult[T]]], keys: Sequence[str], prompts: Sequence[Conversation]
    ) -> None:
        """Note what was withheld, and end the run where the server is of no use."""
        failed: dict[int, str] = {}
        withheld: dict[int, str] = {}
        for count, (at, outcome) in enumerate(outcomes, 1):
            prompt = prompts[at]
            if outcome.value is not None:
                self._withheld.pop(prompt.id, None)
            elif outcome.of_prompt:
                withheld[at] = self._withheld[prompt.id] = outcome.error
                self.cache.add_withheld(keys[at], outcome.error, outcome.bill)
            else:
                failed[at] = outcome.error
            if self.progress is not None:
                self.progress(count, len(keys))
        if failed or (withheld and not self.endpoint.parameters.has_answered):
            # a server that has answered nothing at all withholds nothing: it is of no use
            num_kept = len(keys) - len(failed) - len(withheld)
            answers = dict.fromkeys(range(num_kept))
            raise EndpointError(self.name, failed or withheld, answers, len(keys), on_disk=num_kept > 0)
