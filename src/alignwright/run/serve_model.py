"""How does a request become replies: tokens of the prompt, a place in the batch, text as it comes?

Between the request (`serve_request`) and the model's thread (`model.continuous_batching`). A final
assistant message is the start of the reply: it is continued, and what comes back does not repeat
it. Where a stop string is met the text ends before it, and the row leaves the batch.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

from alignwright.core.records import Conversation
from alignwright.model.continuous_batching import ContinuousBatching, ServerFull
from alignwright.model.generation import Drawn, Event, Generation, PromptRead
from alignwright.model.local_model import LocalModel
from alignwright.model.prompt_logprobs import TokenChoice
from alignwright.model.template_errors import NoTemplate
from alignwright.model.token_text import GrowingText, TokenText
from alignwright.run.serve_request import CompletionRequest, Prompt, RequestError

_PATIENCE = 1.0  # seconds between two looks whether the client is still there


class ClientGone(Exception):
    """Nobody waits for the reply any more."""


@dataclass(frozen=True)
class Piece:
    """What is new of a choice: text, the tokens it came from, and with the last piece `finish`."""

    choice: int
    text: str
    tokens: tuple[TokenChoice, ...] = ()
    finish: str | None = None


@dataclass
class _Choice:
    growing: GrowingText
    count: int = 0
    length: int = 0
    pending: list[TokenChoice] = field(default_factory=list[TokenChoice])
    is_over: bool = False


class Replies:
    """The choices of one request as they come. `close` it, whatever happens: no row is left behind."""

    def __init__(
        self,
        request: CompletionRequest,
        generations: Sequence[Generation],
        texts: TokenText,
        events: queue.SimpleQueue[Event],
    ) -> None:
        self.request, self.generations, self.texts, self.events = request, generations, texts, events
        self.prompt_tokens = sum(len(each.prompt) for each in generations)
        self.prompt_reads: dict[int, tuple[TokenChoice, ...]] = {}
        """Of each prompt whose log-probabilities were asked for: its tokens."""
        count = len(generations) * request.n if generations[0].max_new_tokens else 0
        self._choices = [_Choice(GrowingText(texts, request.stop)) for _ in range(count)]

    @property
    def completion_tokens(self) -> int:
        """Of all choices, each with the token that ended it."""
        return sum(choice.count for choice in self._choices)

    def pieces(self, is_there: Callable[[], bool]) -> Generator[Piece]:
        """Everything until the last choice has ended. `is_there` is asked now and then, also while
        tokens come: not each is written. ClientGone where it is not. RuntimeError where the model
        failed."""
        look = time.monotonic() + _PATIENCE
        while not self._is_whole:
            if (now := time.monotonic()) >= look:
                if not is_there():
                    raise ClientGone
                look = now + _PATIENCE
            try:
                event = self.events.get(timeout=look - now)
            except queue.Empty:
                continue
            if isinstance(event, PromptRead):
                self.prompt_reads[event.prompt] = event.tokens
            elif event.error is not None:
                raise RuntimeError(event.error)
            elif (piece := self._piece(event)) is not None:
                yield piece

    def close(self) -> None:
        """Nobody waits any more: what has not ended gives its place to others."""
        for generation in self.generations:
            generation.leave()

    @property
    def _is_whole(self) -> bool:
        limit = len(self.generations) if self.generations[0].scores_prompt else 0
        return all(choice.is_over for choice in self._choices) and len(self.prompt_reads) == limit

    def _piece(self, event: Drawn) -> Piece | None:
        choice, generation = self._choices[event.choice], self.generations[event.choice // self.request.n]
        if choice.is_over:
            return None
        choice.count += len(event.tokens)
        choice.pending += [token for token in event.tokens if token.id not in generation.stop_ids]
        text = choice.growing.add([token.id for token in event.tokens])
        finish = event.finish
        if finish is not None:
            text += choice.growing.rest()
        if choice.growing.stopped:
            finish = "stop"
            self._leave(event.choice)
        choice.is_over = finish is not None
        if not text and finish is None:
            return None
        before, choice.length = choice.length, choice.length + len(text.encode())
        tokens = (
            self._within(choice.pending, choice.length - before) if choice.growing.stopped else tuple(choice.pending)
        )
        choice.pending = []
        return Piece(event.choice, text, tokens, finish)

    def _within(self, tokens: Sequence[TokenChoice], size: int) -> tuple[TokenChoice, ...]:
        """The tokens that begin within so many bytes of text."""
        within: list[TokenChoice] = []
        for token in tokens:
            if size <= 0:
                break
            within.append(token)
            size -= len(self.texts.token(token.id)[1])
        return tuple(within)

    def _leave(self, choice: int) -> None:
        self.generations[choice // self.request.n].leavers.add(choice)


class ServedModel:
    """A model under a name, and the thread that decodes. `longest_reply`: where a request does not
    say how long its reply may be."""

    def __init__(
        self, policy: LocalModel, name: str, *, rows: int, cache_tokens: int, longest_reply: int, waiting: int = 1024
    ) -> None:
        self.policy, self.name, self.longest_reply = policy, name, longest_reply
        self.created = int(time.time())
        self.texts = TokenText(policy.chat)
        self.batching = ContinuousBatching(policy, rows=rows, cache_tokens=cache_tokens, waiting=waiting)
        self.vocabulary = policy.model.get_input_embeddings().num_embeddings

    def begin(self, request: CompletionRequest) -> Replies:
        """Ask for the replies. Raises RequestError."""
        if request.model not in (None, self.name):
            raise RequestError(
                f"the model {str(request.model)[:80]!r} is not here; this server has {self.name!r}", "model", 404,
                "model_not_found",
            )  # fmt: skip
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        generations = [
            Generation(
                ids, events.put, n=request.n, max_new_tokens=self._room(request, len(ids)),
                temperature=request.temperature, top_p=request.top_p, seed=request.seed, place=place,
                top=request.top or 0, stop_ids=frozenset() if request.ignore_end else self.policy.chat.stop_ids,
                each=request.stream or bool(request.stop), scores_prompt=request.echo and request.top is not None,
            )
            for place, ids in enumerate([self._ids(prompt, request.prefill) for prompt in request.prompts])
        ]  # fmt: skip
        replies = Replies(request, generations, self.texts, events)
        try:
            self.batching.submit(generations)
        except ValueError as error:
            raise RequestError(str(error), "n") from None
        except ServerFull as error:
            raise RequestError(f"{error}; try again later", status=503, code="overloaded") from None
        return replies

    def _ids(self, prompt: Prompt, prefill: str) -> tuple[int, ...]:
        if isinstance(prompt, tuple):
            odd = next((token for token in prompt if not 0 <= token < self.vocabulary), None)
            if odd is not None:
                raise RequestError(f"prompt has the token {odd}, and the model has {self.vocabulary} tokens", "prompt")
            return prompt
        with self.texts.lock:
            if isinstance(prompt, str):
                row = self.policy.chat.text(prompt)
                return row.prompt + row.replies[0]
            return self._conversation(prompt, prefill)

    def _conversation(self, prompt: Conversation, prefill: str) -> tuple[int, ...]:
        try:
            return tuple(self.policy.chat.prompt(prompt, prefill))
        except NoTemplate:
            raise RequestError(
                "this model has no chat template, so it cannot chat; use /v1/completions", "messages"
            ) from None
        except ValueError as error:
            raise RequestError(str(error), "messages") from None

    def _room(self, request: CompletionRequest, length: int) -> int:
        """How many tokens a reply to a prompt of this length may have."""
        room = self.policy.longest - length
        limit = request.max_tokens
        if (room < 1 and limit != 0) or room < 0 or (limit is not None and limit > room):
            limit_text = "" if limit is None else f" and max_tokens is {limit}"
            raise RequestError(
                f"the prompt has {length} tokens{limit_text}, and the model's context is {self.policy.longest} tokens;"
                " shorten the prompt, or ask for fewer",
                "messages" if request.is_chat else "prompt",
                code="context_length_exceeded",
            )
        if limit is not None:
            return limit
        return max(1, min(room, self.longest_reply, self.batching.cache_tokens // request.n - length))


def model_thread(model: ServedModel, failed: Callable[[BaseException], None]) -> threading.Thread:
    """The thread that owns the model, begun; `failed` is told where it ends with an error."""

    def run() -> None:
        try:
            model.batching.run()
        except BaseException as error:
            failed(error)
            model.batching.ready.set()

    thread = threading.Thread(target=run, name="model", daemon=True)
    thread.start()
    return thread
