"""How does a model generate that lives behind an OpenAI-compatible server?

A client of any server with OpenAI's chat completions (vLLM, SGLang, llama.cpp, a vendor), named
`http://host:port/v1#model`. The first call goes alone: by it is learnt what the server takes
(`call_parameters`) and whether it can be asked at all. The rest go several at a time. What may pass
(too many requests, a server's own error, a timeout, a broken body) is tried again, ever more
slowly; what every call would meet ends the work at once. A reply is never invented: withheld or
missing text is a failure, so that it can never count as a safe answer.

Answers are handed on as they come (`short_answers`, `replies`), so whoever keeps them has paid for
none twice, whatever becomes of the others. A prompt that stays without an answer says why and is
nobody's vote; three in a row, and the server is given up.

Of a conversation that ends with the assistant's own words a server may continue these words, and
some (llama.cpp) put them into the reply once more: there they are cut off. A server that begins
anew instead cannot be told from one that goes on without repeating.

The key is read from the environment variable OPENAI_API_KEY alone, is kept nowhere, and is cut out
of every message. Tokens are counted as the server counts them, and costed at prices that the user
gives; where the server is silent they are unknown, not free. Left out on purpose: streaming, tools,
and any provider's own dialect.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from alignwright.core.protocols import ShortAnswer
from alignwright.core.records import Conversation, Reply, content_id
from alignwright.files.server import KEY, why_no_server
from alignwright.model.call_parameters import ChatCall, Parameters
from alignwright.model.chat_completion import option_logprobs
from alignwright.model.server_session import (
    ALONE,
    NOT_ASKED,
    Answered,
    Ask,
    CallSettings,
    Counts,
    Session,
    Task,
    TaskResult,
    Usage,
)

T = TypeVar("T")
SHORT = 16
"""Tokens of a short answer, from a model that does not think first."""


class EndpointError(RuntimeError):
    """Some prompts got no answer. `failed` says why, by the prompt's index; `answers` holds
    what did arrive, and `on_disk` says that it is kept for the next try."""

    def __init__(
        self, name: str, failed: Mapping[int, str], answers: Mapping[int, Any], of: int, *, on_disk: bool = False
    ) -> None:
        self.failed, self.answers = dict(failed), dict(answers)
        first = min(failed, key=lambda place: (failed[place].startswith(NOT_ASKED), place))
        super().__init__(
            f"{name}: {len(failed)} of {of} prompts got no answer; the first is prompt {first} (counted from 0):"
            f" {failed[first]}"
            + (f"; the {len(answers)} that came are kept: the same command goes on from there" if on_disk else "")
        )


@dataclass(frozen=True)
class ServedReply:
    """A reply, what was counted for it (all calls together), and what the server calls itself."""

    reply: Reply
    bill: Counts
    model: str
    fingerprint: str


@dataclass(frozen=True)
class ServedLetters:
    """The log-probability of each letter as the answer (None: the server gave none), and what was
    counted for it."""

    logprobs: Mapping[str, float] | None
    bill: Counts


@dataclass
class Endpoint:
    """A ChatModel behind a server; `short_answers` makes it a judge as well. `prices` are per
    million tokens: (prompt, completion).

    `timeout` is the whole time of one call in seconds, `tokens` the longest answer (None: as short
    as is asked for, with room added for a model that thinks first).
    """

    name: str
    prices: tuple[float, float] | None = None
    concurrency: int = 8
    retries: int = 5
    timeout: float = 120.0
    backoff: float = 1.0
    tokens: int | None = None
    usage: Usage = field(default_factory=Usage)

    def __post_init__(self) -> None:
        if why := why_no_server(self.name):
            raise ValueError(why)
        url, _, self.model = self.name.partition("#")
        self.url = f"{url.rstrip('/')}/chat/completions"
        self.parameters = Parameters(self.tokens)

    @property
    def cost(self) -> float | None:
        """What the calls so far cost at `prices`; None where prices or token counts are missing."""
        if self.prices is None or self.usage.uncounted:
            return None
        return (self.usage.prompt_tokens * self.prices[0] + self.usage.completion_tokens * self.prices[1]) / 1e6

    def generate(
        self,
        prompts: Sequence[Conversation],
        *,
        n: int = 1,
        max_new_tokens: int = 128,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> list[list[Reply]]:
        """`n` replies to each prompt, one call each. Seeds differ by prompt and sample; whether
        they are heeded is up to the server."""
        asked = [(prompt, sample) for prompt in prompts for sample in range(n)]
        replies: dict[int, Reply] = {}
        failed: dict[int, str] = {}
        for place, outcome in self.replies(asked, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed):
            if outcome.value is None:
                failed.setdefault(place // n, outcome.error)
            else:
                replies[place] = outcome.value.reply
        if failed:
            raise EndpointError(self.name, failed, replies, len(prompts))
        return [[replies[i * n + sample] for sample in range(n)] for i in range(len(prompts))]

    def replies(
        self,
        asked: Sequence[tuple[Conversation, int]],
        *,
        max_new_tokens: int,
        temperature: float,
        seed: int,
        keep: Callable[[int, ServedReply], None] | None = None,
    ) -> Iterator[tuple[int, TaskResult[ServedReply]]]:
        """What comes of each prompt and number of the sample, as it comes. `keep` is given each
        reply before its thread asks for another, so that a kill loses none that had come."""

        def task(place: int, prompt: Conversation, sample: int) -> Task[ServedReply]:
            call = ChatCall(_messages(prompt), max_new_tokens, temperature, _seed(seed, prompt, sample), short=False)

            def work(ask: Ask) -> ServedReply:
                reply = self._reply(ask(call), prompt)
                if keep is not None:
                    keep(place, reply)
                return reply

            return work

        return self._all([task(place, prompt, sample) for place, (prompt, sample) in enumerate(asked)])

    def letters(
        self,
        questions: Sequence[tuple[Conversation, tuple[str, ...]]],
        *,
        keep: Callable[[int, ServedLetters], None] | None = None,
    ) -> Iterator[tuple[int, TaskResult[ServedLetters]]]:
        """What comes of each question with its letters, as it comes, each given to `keep` as replies
        are: the log-probability of every letter as the answer's word."""

        def task(place: int, prompt: Conversation, options: tuple[str, ...]) -> Task[ServedLetters]:
            def work(ask: Ask) -> ServedLetters:
                answered = ask(ChatCall(_messages(prompt), SHORT, options=options))
                letters = ServedLetters(option_logprobs(answered.completion, options), answered.bill)
                if keep is not None:
                    keep(place, letters)
                return letters

            return work

        return self._all([task(place, prompt, options) for place, (prompt, options) in enumerate(questions)])

    def choose(
        self, prompts: Sequence[Conversation], options: Sequence[str]
    ) -> list[tuple[str, dict[str, float] | None]]:
        """All short answers in order, with each option's log-probability as the answer's word
        (None: not known). A withheld answer is ""."""
        answers = dict(self.short_answers(prompts, options=options))
        return [
            (answers[i].text or "", None if (logprobs := answers[i].logprobs) is None else dict(logprobs))
            for i in range(len(prompts))
        ]

    def short_answers(
        self,
        prompts: Sequence[Conversation],
        *,
        options: Sequence[str] = (),
        thoughts: int = 0,
        follow: Callable[[Conversation, str], Conversation] | None = None,
        seed: int | None = None,
    ) -> Iterator[tuple[int, ShortAnswer]]:
        """Each prompt's place and short answer, as they come. Raises EndpointError at the end where
        the server could not be asked for all.

        With `options` each one's log-probability is read where the server gives it. With `follow`
        the model first writes `thoughts` tokens, and what is answered is the conversation that
        `follow` makes of the prompt and those.
        """

        def task(prompt: Conversation) -> Task[ShortAnswer]:
            def work(ask: Ask) -> ShortAnswer:
                if follow is not None:
                    thinking = ChatCall(_messages(prompt), thoughts, 0.0, _seed_or_none(seed, prompt), short=False)
                    first = ask(thinking).completion
                    if not (first.text or "").strip():
                        return ShortAnswer(None, why="it wrote no thoughts")
                    question = follow(prompt, first.text or "")
                else:
                    question = prompt
                answer = ask(
                    ChatCall(_messages(question), SHORT, 0.0, _seed_or_none(seed, question), options=tuple(options))
                ).completion
                return ShortAnswer(answer.text, option_logprobs(answer, options) if options else None)

            return work

        failed: dict[int, str] = {}
        silent: dict[int, str] = {}
        answers: dict[int, ShortAnswer] = {}
        for place, outcome in self._all([task(prompt) for prompt in prompts]):
            if outcome.value is not None:
                answers[place] = outcome.value
                yield place, outcome.value
            elif outcome.of_prompt:
                silent[place] = outcome.error
                yield place, ShortAnswer(None, why=outcome.error)
            else:
                failed[place] = outcome.error
        if failed:
            # where nothing at all was answered, it was no prompt's own fault
            raise EndpointError(self.name, failed if answers else failed | silent, answers, len(prompts))

    def _all(self, tasks: Sequence[Task[T]]) -> Iterator[tuple[int, TaskResult[T]]]:
        """Every task's place and outcome, as they come: the first alone, the rest several at a
        time."""
        session = Session(
            CallSettings(self.url, self.model, _key(), self.timeout, self.retries, self.backoff),
            self.parameters,
            self.usage,
        )
        waiting = list(enumerate(tasks))[::-1]
        try:
            while (
                waiting
                and not self.parameters.has_answered
                and len(tasks) - len(waiting) < ALONE
                and not session.over.is_set()
            ):
                place, task = waiting.pop()
                yield place, session.perform(task, alone=True)
            yield from session.several(waiting[::-1], self.concurrency)
        finally:
            # an interrupt, or a fault of ours, must not wait for the calls that are still in line
            session.end()

    def _reply(self, answered: Answered, prompt: Conversation) -> ServedReply:
        answer = answered.completion
        text, tokens = answer.text or "", answer.usage[1] if answer.usage else None
        if prompt.last.role == "assistant":
            text = text.removeprefix(prompt.last.content)
        finished = answer.finish == "stop"
        reply = Reply(text=text, parent=prompt.id, speaker=self.name, tokens=tokens, finished=finished)
        return ServedReply(reply, answered.bill, answer.model, answer.fingerprint)


def _key() -> str:
    """The key, or ValueError where it can be none; its own signs are never shown."""
    key = os.environ.get(KEY, "")
    odd = [place for place, sign in enumerate(key, 1) if not "!" <= sign <= "~"]
    if odd:
        what = (
            f"the key in the environment variable {KEY} has {len(key)} signs, and sign {odd[0]} is a space, a line end"
            " or no ASCII"
        )
        raise ValueError(f"{what}: no server was asked. Set it again, without what was copied along with it")
    return key


def _messages(conversation: Conversation) -> tuple[Mapping[str, str], ...]:
    return tuple({"role": message.role, "content": message.content} for message in conversation.messages)


def _seed(seed: int, prompt: Conversation, sample: int) -> int:
    """A seed per prompt and sample, so that a prompt's replies do not depend on what else is
    asked."""
    return int(content_id(seed, prompt.id, sample), 16) % 2**31


def _seed_or_none(seed: int | None, prompt: Conversation) -> int | None:
    return None if seed is None else _seed(seed, prompt, 0)
