"""What becomes of a batch of calls to a server: retried, put otherwise, given up?

Each task makes one call or several, one after another. Trouble that may pass is waited out, ever
longer; a parameter that the server rejects is put otherwise at once, for all calls; a short answer
that was cut off in the middle of thoughts is asked for once more with room. Trouble that every call
would meet, or three tasks in a row that were tried enough, end the batch.
"""

from __future__ import annotations

import json
import queue
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import Any, Generic, TypeVar

from alignwright.model.call_parameters import ChatCall, Parameters
from alignwright.model.chat_completion import Completion, MalformedCompletion, completion, option_logprobs
from alignwright.model.http_call import CallError, OpenCalls
from alignwright.model.server_errors import CallFailure, clipped, of_body, of_call, of_response

T = TypeVar("T")
ALONE = 3
"""Calls that go one by one until the server has answered; and tasks in a row without an answer
after which it is given up."""
TIMEOUTS, MALFORMED = 1, 2
"""A call that ran out of time, or brought what is no chat completion, is tried so often again,
whatever else may be."""
UNREACHED = 2
"""A server that has never answered and cannot be reached (a closed port, a wrong name) is called so often
again, which takes some seconds: waiting longer is for one that is at work, or is started again."""
NOT_ASKED = "not asked, because the server had refused another prompt or could not be reached"


Counts = tuple[int, int] | None
"""Prompt and completion tokens as the server counted them; None where it did not."""


@dataclass
class Usage:
    """What an endpoint has been asked so far. `uncounted` answers came without token counts."""

    requests: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    uncounted: int = 0


@dataclass(frozen=True)
class CallSettings:
    """Where calls go and how patiently; seconds."""

    url: str
    model: str
    key: str
    timeout: float
    retries: int
    backoff: float


@dataclass(frozen=True)
class Answered:
    """An answer, and what all calls that were made for it came to."""

    completion: Completion
    bill: Counts


Ask = Callable[[ChatCall], Answered]
Task = Callable[[Ask], T]


@dataclass
class TaskResult(Generic[T]):
    """What came of a task: its value, or why there is none. `of_prompt`: the server answers
    others; `bill`: what was counted for it all the same."""

    value: T | None = None
    error: str = ""
    of_prompt: bool = False
    bill: Counts = (0, 0)


class Session:
    """The calls of one batch of tasks, which end together once the server is given up."""

    def __init__(self, settings: CallSettings, parameters: Parameters, usage: Usage) -> None:
        self.settings, self.parameters, self.usage = settings, parameters, usage
        self.over, self.calls = Event(), OpenCalls()
        self._exhausted = 0
        self._lock = threading.Lock()

    def end(self) -> None:
        self.over.set()
        self.calls.end()

    def several(self, tasks: Sequence[tuple[int, Task[T]]], at_once: int) -> Iterator[tuple[int, TaskResult[T]]]:
        """Outcomes in the order in which they come."""
        results: queue.SimpleQueue[tuple[int, TaskResult[T] | BaseException]] = queue.SimpleQueue()

        def work(place: int, task: Task[T]) -> None:
            try:
                results.put((place, self.perform(task)))
            except BaseException as fault:
                results.put((place, fault))

        with ThreadPoolExecutor(max(1, min(at_once, len(tasks)))) as pool:
            try:
                for place, task in tasks:
                    pool.submit(work, place, task)
                for _ in tasks:
                    place, outcome = results.get()
                    if isinstance(outcome, BaseException):
                        raise outcome
                    yield place, outcome
            except BaseException:
                self.end()
                raise

    def perform(self, task: Task[T], *, alone: bool = False) -> TaskResult[T]:
        """One task, its troubles told."""
        if self.over.is_set():
            return TaskResult(error=NOT_ASKED)
        try:
            outcome = TaskResult(task(lambda call: self.ask(call, alone=alone)))
            self._exhausted = 0
            return outcome
        except _NoAnswer as trouble:
            if trouble.kind == "server":
                self.over.set()
            if trouble.kind == "again":
                self._exhausted += 1
                if self._exhausted >= ALONE:
                    self.over.set()
                    return TaskResult(error=str(trouble), bill=trouble.bill)
            of_prompt = trouble.kind in ("again", "prompt")
            return TaskResult(error=str(trouble), of_prompt=of_prompt, bill=trouble.bill)

    def ask(self, call: ChatCall, *, alone: bool) -> Answered:
        """One call until it works, cannot work, or has been tried enough. Raises _NoAnswer."""
        bill = list[Counts]()
        try:
            return Answered(self._answer(call, bill, alone=alone), _total(bill))
        except _NoAnswer as trouble:
            trouble.bill = _total(bill)
            raise

    def _answer(self, call: ChatCall, bill: list[Counts], *, alone: bool) -> Completion:
        answer, body = self._call_until_answered(call, bill, alone=alone)
        no_answer = not (answer.text or "").strip() or (call.short and option_logprobs(answer, call.options) is None)
        if answer.cut and no_answer and not self.parameters.roomy(call, body) and self.parameters.try_room():
            # the limit cut off a model that was still thinking, or talking its way to the answer
            longer, body = self._call_until_answered(call, bill, alone=alone, room=True)
            if longer.thoughts or not longer.cut:
                self.parameters.note_answer(thinks=True)
                answer = longer
        if why := _silent(answer, short=call.short):
            raise _NoAnswer("prompt", self._describe(body, why, ""))
        return answer

    def _call_until_answered(
        self, call: ChatCall, bill: list[Counts], *, alone: bool, room: bool = False
    ) -> tuple[Completion, Mapping[str, Any]]:
        settings, attempts, timeouts, malformed = self.settings, 0, 0, 0
        first: CallFailure | None = None
        while not self.over.is_set():
            body = self.parameters.body(settings.model, call, room=room)
            self._count(requests=1)
            try:
                answer = self._once(body)
            except CallFailure as trouble:
                if trouble.malformed:  # what it cost is not known
                    bill.append(None)
                    self._count(answer=Completion(None, None))
                if self._adjust(trouble, body, alone=alone):
                    first = first or trouble
                    continue
                attempts, timeouts, malformed = (
                    attempts + 1,
                    timeouts + trouble.timed_out,
                    malformed + trouble.malformed,
                )
                if (
                    trouble.kind != "again"
                    or attempts > settings.retries
                    or timeouts > TIMEOUTS
                    or (trouble.unreachable and not self.parameters.has_answered and attempts > UNREACHED)
                    or malformed > MALFORMED
                ):
                    unreachable = trouble.unreachable or (trouble.timed_out and not self.parameters.has_answered)
                    cause = first if first is not None and first.unexplained and trouble.unexplained else trouble
                    raise _NoAnswer(
                        "server" if unreachable else trouble.kind, self._describe(body, cause.answer, cause.advice)
                    ) from None
                self._count(retries=1)
                # a server's own word on how long to wait is heeded up to a minute; jitter keeps the
                # calls from returning together
                pause = settings.backoff * 2 ** (attempts - 1) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
                self.over.wait(max(pause, min(trouble.wait, 60.0)))
            else:
                self.parameters.note_answer()
                self._count(answer=answer)
                bill.append(answer.usage)
                return answer, body
        raise _NoAnswer("unasked", NOT_ASKED)

    def _once(self, body: Mapping[str, Any]) -> Completion:
        headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "alignwright"}
        if self.settings.key:
            headers["Authorization"] = f"Bearer {self.settings.key}"
        try:
            response = self.calls.post(
                self.settings.url, json.dumps(body).encode(), headers, timeout=self.settings.timeout
            )
        except CallError as error:
            raise of_call(error) from None
        if trouble := of_response(response, body):
            raise trouble
        try:
            return completion(response.data)
        except MalformedCompletion as error:
            raise of_body(error) from None

    def _adjust(self, trouble: CallFailure, body: Mapping[str, Any], *, alone: bool) -> bool:
        """Is the call worth putting otherwise, at once?"""
        if trouble.kind == "parameter":
            self.parameters.reject(trouble.parameter, body)
            return True
        if (
            trouble.too_long
            and max(body.get("max_tokens", 0), body.get("max_completion_tokens", 0)) > self.parameters.room
        ):
            return self.parameters.less_room()
        if trouble.unexplained and alone and not self.parameters.has_answered:
            return self.parameters.guess(only_logprobs=trouble.status == 403)
        return False

    def _count(self, *, requests: int = 0, retries: int = 0, answer: Completion | None = None) -> None:
        """Add to `usage`, from any thread."""
        with self._lock:
            self.usage.requests += requests
            self.usage.retries += retries
            if answer is not None and answer.usage is None:
                self.usage.uncounted += 1
            elif answer is not None and answer.usage is not None:
                self.usage.prompt_tokens += answer.usage[0]
                self.usage.completion_tokens += answer.usage[1]

    def _describe(self, body: Mapping[str, Any], answer: str, advice: str) -> str:
        """What was asked, what came, what to do; without the key."""
        knobs = ", ".join(f"{name} {value}" for name, value in body.items() if name not in ("messages", "model"))
        request = f"asked POST {self.settings.url} ({knobs or 'nothing but the messages'})"
        text = "; ".join(part for part in (request, f"came {answer}", advice) if part)
        return text.replace(self.settings.key, "[key]") if self.settings.key else text


class _NoAnswer(Exception):
    """A call without an answer, once all was tried. `kind` is that of the trouble, or "unasked"."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.bill: Counts = (0, 0)


def _total(bill: Sequence[Counts]) -> Counts:
    """The sum, where all of it was counted."""
    counts_known = [counts for counts in bill if counts is not None]
    if len(counts_known) < len(bill):
        return None
    return sum(prompt for prompt, _ in counts_known), sum(completion for _, completion in counts_known)


def _silent(answer: Completion, *, short: bool) -> str:
    """Why there is no text to read; "" where there is one. An empty reply is a reply, unless all
    of it was thoughts."""
    if answer.finish == "content_filter":
        return "the server's content filter withheld the reply"
    if answer.refusal and not answer.text:
        return f"the model refused, and the answer holds no text: {clipped(answer.refusal)}"
    if answer.text is None or (not answer.text and (short or answer.thoughts)):
        text = (
            "thoughts alone, and it holds no text: raise 'server: {tokens: ...}'"
            if answer.thoughts
            else "an answer that holds no text"
        )
        return f"{text} (finish reason {clipped(repr(answer.finish), 40)})"
    return ""
