"""How does a model speak that lives behind a server?

A client of any server with OpenAI's chat completions (vLLM, SGLang, llama.cpp, a vendor), named `http://host:port/v1#model`. Calls go
out several at a time and come back in order. What may pass (too many requests, a server's own error, a timeout, a broken body) is
tried again, ever more slowly; what stays broken is an error that names its prompts. A reply is never invented: withheld or missing
text is a failure, so that it can never count as a safe answer. Replies that did arrive are in the error, for whoever wants them.

The key is read from the environment variable OPENAI_API_KEY alone, is kept nowhere, and is cut out of every message. Tokens are counted
as the server counts them, and costed at prices that the user gives; where the server is silent they are unknown, not free.
Needs the extra `endpoint`. Left out on purpose: streaming, tools, and any provider's own dialect.
"""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

from alignwright.core.records import Conversation, Reply, content_id

if TYPE_CHECKING:
    from openai import OpenAI

T = TypeVar("T")
KEY = "OPENAI_API_KEY"
INSTALL = "pip install openai"


class EndpointError(RuntimeError):
    """Some prompts got no answer. `failed` says why, by the prompt's index; `answered` holds what did arrive."""

    def __init__(self, name: str, failed: Mapping[int, str], answered: Mapping[int, Any], of: int) -> None:
        self.failed, self.answered = dict(failed), dict(answered)
        first = min(failed)
        super().__init__(f"{name}: {len(failed)} of {of} prompts got no answer; the first is prompt {first} (counted from 0): {failed[first]}")


@dataclass
class Usage:
    """What an endpoint has been asked so far. `uncounted` answers came without token counts."""

    requests: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    uncounted: int = 0


@dataclass
class Endpoint:
    """A Speaker behind a server; `choose` makes it a judge as well. `prices` are per million tokens: (prompt, completion)."""

    name: str
    prices: tuple[float, float] | None = None
    concurrency: int = 8
    retries: int = 5
    timeout: float = 60.0
    backoff: float = 1.0
    usage: Usage = field(default_factory=Usage)

    def __post_init__(self) -> None:
        url, _, model = self.name.partition("#")
        if not url.startswith(("http://", "https://")) or not model:
            raise ValueError(f"endpoint {self.name!r}: give its address and the model's name as http://host:port/v1#model")
        if "@" in url:
            raise ValueError(f"an endpoint's address holds no user or password; put the key into the environment variable {KEY}")
        self.url, self.model = url, model

    @property
    def cost(self) -> float | None:
        """What the calls so far cost at `prices`; None where prices or token counts are missing."""
        if self.prices is None or self.usage.uncounted:
            return None
        return (self.usage.prompt_tokens * self.prices[0] + self.usage.completion_tokens * self.prices[1]) / 1e6

    def reply(
        self, prompts: Sequence[Conversation], *, n: int = 1, max_new_tokens: int = 128, temperature: float = 1.0, seed: int = 0
    ) -> list[list[Reply]]:
        """`n` replies to each prompt, one call each. Seeds differ by prompt and sample; whether they are heeded is up to the server."""
        calls = [
            {"messages": _messages(prompt), "max_tokens": max_new_tokens, "temperature": temperature, "seed": _seed(seed, prompt, sample)}
            for prompt in prompts
            for sample in range(n)
        ]
        replies = self._all(calls, self._reply, per_prompt=n)
        return [
            [reply.model_copy(update={"parent": prompt.id}) for reply in replies[i * n : (i + 1) * n]] for i, prompt in enumerate(prompts)
        ]

    def choose(self, prompts: Sequence[Conversation], options: Sequence[str]) -> list[tuple[str, dict[str, float] | None]]:
        """For each prompt the short answer, and the log-probability of each option as its first word (None: the server gives none).

        An option that is not among the 20 likeliest words is given the least of them, which is an upper bound.
        """
        calls = [
            {"messages": _messages(prompt), "max_tokens": 8, "temperature": 0.0, "logprobs": True, "top_logprobs": 20} for prompt in prompts
        ]

        def read(answer: Any) -> tuple[str, dict[str, float] | None]:
            return self._reply(answer).text, _option_logprobs(answer, options)

        try:
            return self._all(calls, read)
        except EndpointError as error:
            if not all("logprobs" in why for why in error.failed.values()):
                raise
            # this server refuses to be asked for log-probabilities: its words are all it gives
            return self._all([{k: v for k, v in call.items() if "logprobs" not in k} for call in calls], read)

    def _all(self, calls: Sequence[dict[str, Any]], read: Callable[[Any], T], per_prompt: int = 1) -> list[T]:
        """Every call's answer, in order; or one EndpointError for all that failed, once the rest have come back."""
        hopeless = Event()
        with _client(self.url, self.timeout) as client, ThreadPoolExecutor(self.concurrency) as pool:
            try:
                outcomes = list(pool.map(lambda call: self._try(client, call, read, hopeless), calls))
            except BaseException:
                hopeless.set()  # an interrupt, or a fault of ours, must not wait for the calls that are still in line
                raise
        failed: dict[int, str] = {}
        for number, outcome in enumerate(outcomes):
            self._count(outcome)
            if outcome.error is not None:
                failed.setdefault(number // per_prompt, outcome.error)
        if failed:
            raise EndpointError(self.name, failed, {i: o.answer for i, o in enumerate(outcomes) if o.error is None}, len(calls) // per_prompt)
        return [outcome.answer for outcome in outcomes]

    def _try(self, client: OpenAI, call: dict[str, Any], read: Callable[[Any], Any], hopeless: Event) -> _Outcome:
        """One call until it works, cannot work, or has been tried enough. Once the server is `hopeless`, no more calls are made."""
        outcome = _Outcome()
        while not hopeless.is_set():
            try:
                outcome.attempts += 1
                answer = client.chat.completions.create(model=self.model, **call)
                outcome.usages.append(getattr(answer, "usage", None))
                outcome.answer, outcome.error = read(answer), None
                return outcome
            except Exception as caught:
                trouble = _understand(caught)
            outcome.error = trouble.text
            if not trouble.again or outcome.attempts > self.retries:
                if trouble.of_server:
                    hopeless.set()
                return outcome
            # a server's own word on how long to wait is heeded up to a minute; jitter keeps the calls from returning together
            pause = self.backoff * 2 ** (outcome.attempts - 1) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
            hopeless.wait(max(pause, min(trouble.wait, 60.0)))
        return outcome

    def _count(self, outcome: _Outcome) -> None:
        self.usage.requests += outcome.attempts
        self.usage.retries += max(outcome.attempts - 1, 0)
        for usage in outcome.usages:
            prompt, completion = getattr(usage, "prompt_tokens", None), getattr(usage, "completion_tokens", None)
            if isinstance(prompt, int) and isinstance(completion, int):
                self.usage.prompt_tokens += prompt
                self.usage.completion_tokens += completion
            else:
                self.usage.uncounted += 1

    def _reply(self, answer: Any) -> Reply:
        choices = getattr(answer, "choices", None)
        if not choices or getattr(choices[0], "message", None) is None:
            raise _BadAnswer("the server's answer is no chat completion")
        choice = choices[0]
        if choice.finish_reason == "content_filter":
            raise _Withheld("the server's content filter withheld the reply")
        if not isinstance(choice.message.content, str):
            raise _Withheld(f"the server's answer holds no text (finish reason {choice.finish_reason!r})")
        tokens = getattr(getattr(answer, "usage", None), "completion_tokens", None)
        return Reply(text=choice.message.content, parent="", speaker=self.name, tokens=tokens, finished=choice.finish_reason == "stop")


@dataclass
class _Outcome:
    """What came of one call: the answer, or the error; and what it took."""

    answer: Any = None
    error: str | None = "not asked, because the server had refused another prompt or could not be reached"
    attempts: int = 0
    usages: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class _Trouble:
    """What went wrong with a call. `of_server`: every other call will meet the same."""

    text: str
    again: bool
    of_server: bool = False
    wait: float = 0.0


class _BadAnswer(Exception):
    """An answer that is not what the protocol says; it may be better next time."""


class _Withheld(Exception):
    """An answer without text, which will not come by asking again."""


def _client(url: str, timeout: float) -> OpenAI:
    try:
        import openai
    except ImportError as error:
        raise ImportError(f"an endpoint as a model needs the package openai: {INSTALL}") from error
    # local servers want no key, but the client wants some text
    return openai.OpenAI(base_url=url, api_key=os.environ.get(KEY) or "none", timeout=timeout, max_retries=0)


def _understand(error: Exception) -> _Trouble:
    """What went wrong, in words without the key, and what to do about it. What is not the server's doing is raised."""
    import openai

    text = f"{type(error).__name__}: {error}"
    if key := os.environ.get(KEY):
        text = text.replace(key, "[key]")
    match error:
        case openai.APIStatusError(status_code=status):
            wait = _seconds(error.response.headers.get("retry-after"))
            return _Trouble(text[:500], again=status in (408, 409, 429) or status >= 500, of_server=status in (401, 403, 404), wait=wait)
        case openai.APIConnectionError():
            return _Trouble(text[:500], again=True, of_server=not isinstance(error, openai.APITimeoutError))
        case openai.APIResponseValidationError() | _BadAnswer() | ValueError():
            return _Trouble(text[:500], again=True)
        case openai.OpenAIError() | _Withheld():
            return _Trouble(text[:500], again=False)
        case _:
            raise error


def _seconds(header: str | None) -> float:
    try:
        seconds = float(header or 0)
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0


def _messages(conversation: Conversation) -> list[dict[str, str]]:
    return [message.model_dump() for message in conversation.messages]


def _seed(seed: int, prompt: Conversation, sample: int) -> int:
    """A seed per prompt and sample, so that a prompt's replies do not depend on what else is asked."""
    return int(content_id(seed, prompt.id, sample), 16) % 2**31


def _option_logprobs(answer: Any, options: Sequence[str]) -> dict[str, float] | None:
    content = getattr(getattr(answer.choices[0], "logprobs", None), "content", None)
    # an answer such as "(A)" begins with a bracket: the letter is the first word that is more than signs
    word = next((token for token in content or () if token.token.strip(_SIGNS)), None)
    if word is None or not word.top_logprobs or word.token.strip(_SIGNS) not in options:
        return None
    top = [(token.token.strip(_SIGNS), token.logprob) for token in word.top_logprobs]
    least = min(logprob for _, logprob in top)
    found = {option: [logprob for text, logprob in top if text == option] for option in options}
    return {option: _log_sum(logprobs) if logprobs else least for option, logprobs in found.items()}


def _log_sum(values: Sequence[float]) -> float:
    most = max(values)
    return most + math.log(math.fsum(math.exp(value - most) for value in values))


_SIGNS = " ().\n\t*\"'"
