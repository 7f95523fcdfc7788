"""How are replies scored by a reward function in the form of TRL's trainers, `f(prompts, completions,
**columns)`?

Such a function sees a whole batch: `prompts` and `completions` are lists, each further column of the
rows a list beside them, and it returns a list of one number for each completion, None where it has
nothing to say (TRL's documentation, "Using a custom reward function"). Here as there

- the form follows the data: where a row's `prompt` is a text, prompts and completions are texts;
  where it is a list of messages, each completion is `[{"role": "assistant", "content": ...}]`;
- the replies to one prompt stand one after another, and all arguments are given by their names;
- an `async def` is awaited; a number that is NaN is None: not scored, never 0;
- `log_extra` and `log_metric` may be called: what they are given stands in the reason of each score.

What belongs to a trainer's inside (`trainer_state`, `completion_ids`, `environments`) is not here,
and a function that cannot do without it is refused before anything runs: a reward that changes with
the step would be another reward in each measurement.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import math
import traceback
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, cast

from alignwright.core.records import Prompt, Score
from alignwright.feedback.rule_value import RuleError, excerpt, number
from alignwright.files.functions import BATCH_ARGUMENTS, of_whole_batch, unavailable_arguments
from alignwright.files.reading import AS_TEXT

RewardFunction = Callable[..., Any]
_RETRIES = 256
"""Completions that are tried one by one for the one that a function failed on."""
_SHORT = 60


def is_reward_function(function: RewardFunction) -> bool:
    """Whether it takes a batch, as TRL's reward functions do."""
    try:
        return of_whole_batch(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return False


@dataclass(frozen=True)
class _Sample:
    """A completion to be scored, with its place: which prompt, which reply to it."""

    place: tuple[int, int]
    prompt: Prompt
    reply: str
    text: str | None
    """The prompt as a text, where the row's prompt is one; else completions are messages."""
    columns: dict[str, Any]

    @property
    def where(self) -> str:
        return (
            f"reply {self.place[1]} {excerpt(self.reply[:_SHORT])} to prompt {self.prompt.id}"
            f" ({self.prompt.conversation.last.content[:_SHORT]!r})"
        )


@dataclass
class _Log:
    """What the function told TRL's two loggers in one call."""

    size: int
    extra: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    metrics: dict[str, float] = field(default_factory=dict[str, float])

    def log_extra(self, column: str, values: Sequence[Any]) -> None:
        if len(values) != self.size:
            raise ValueError(f"log_extra({column!r}) was given {len(values)} values for {self.size} completions")
        self.extra[column] = list(values)

    def log_metric(self, name: str, value: float) -> None:
        self.metrics[name] = float(value)

    def words(self, place: int) -> list[str]:
        return [
            *(f"{column} {excerpt(values[place])}" for column, values in self.extra.items()),
            *(f"{name} {value:.4g} over {self.size} replies" for name, value in self.metrics.items()),
        ]


def batch_scores(
    function: RewardFunction, reference: str, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]
) -> list[list[Score | None]]:
    """The score of each reply. A reply to a prompt whose row lacks a column that the function must
    have is not scored. `reference` is how the function was named."""
    parameters = inspect.signature(function).parameters
    own = {name: one for name, one in parameters.items() if name not in BATCH_ARGUMENTS}
    required = {name for name, one in own.items() if one.default is one.empty and one.kind not in _VARIABLE}
    if missing := unavailable_arguments(required):
        raise RuleError(f"rule {reference} {missing}")
    every = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    scores: list[list[Score | None]] = [[None] * len(group) for group in replies]
    samples = [
        sample
        for at, (prompt, group) in enumerate(zip(prompts, replies, strict=True))
        for sample in _samples(at, prompt, group, own.keys(), every=every)
        if required <= sample.columns.keys()
    ]
    for is_text in (True, False):  # a call for each form: in TRL a data set has one
        batch = [sample for sample in samples if (sample.text is not None) == is_text]
        if batch:
            for sample, score in zip(batch, _scores(function, reference, batch, parameters, every=every), strict=True):
                scores[sample.place[0]][sample.place[1]] = score
    return scores


_VARIABLE = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


def _samples(at: int, prompt: Prompt, group: Sequence[str], names: Any, *, every: bool) -> list[_Sample]:
    row = {name: json.loads(value) for name, value in prompt.columns}
    columns = {name: value for name, value in row.items() if name in names or (every and name != AS_TEXT)}
    messages = prompt.conversation.messages
    # a dialogue that stood in the replies' columns says nothing of it: what has one turn is a text
    text = messages[-1].content if row.get(AS_TEXT, len(messages) == 1) else None
    return [_Sample((at, place), prompt, reply, text, columns) for place, reply in enumerate(group)]


def _scores(
    function: RewardFunction, reference: str, batch: Sequence[_Sample], parameters: Any, *, every: bool
) -> list[Score | None]:
    log = _Log(len(batch))
    try:
        returned = _call(function, batch, parameters, log, every=every)
    except MemoryError:
        raise
    except (Exception, SystemExit) as error:  # an exit of the function's own would be the whole command's
        raise _failure(function, reference, batch, parameters, error, every=every) from error
    if hasattr(returned, "tolist"):  # an array, or a tensor
        returned = cast("Any", returned).tolist()
    if not isinstance(returned, Sequence) or isinstance(returned, str | bytes):
        raise RuleError(
            f"rule {reference} returned {excerpt(returned)}; a reward function returns a list with a number, or None,"
            " for each completion"
        )
    values = list(cast("Sequence[object]", returned))
    if len(values) != len(batch):
        raise RuleError(f"rule {reference} returned {len(values)} rewards for {len(batch)} completions")
    return [
        None if value is None else Score(value=value, reason=", ".join([reference, *log.words(place)]))
        for place, value in enumerate(_value(value, reference, batch[at]) for at, value in enumerate(values))
    ]


def _value(value: object, reference: str, sample: _Sample) -> float | None:
    if value is None:
        return None
    score = number(value)
    if score is None:
        if _is_nan(value):
            return None  # TRL's word for None
        raise RuleError(
            f"rule {reference} returned {excerpt(value)} for {sample.where}; a reward is a finite number, or None where"
            " there is none"
        )
    return score


def _is_nan(value: object) -> bool:
    try:
        return math.isnan(float(cast("Any", value))) and not isinstance(value, str | bytes)
    except (TypeError, ValueError, OverflowError):
        return False


def _call(function: RewardFunction, batch: Sequence[_Sample], parameters: Any, log: _Log, *, every: bool) -> object:
    """What the function returns, awaited where it is asynchronous."""
    arguments: dict[str, Any] = {"log_extra": log.log_extra, "log_metric": log.log_metric}
    if batch[0].text is not None:
        arguments |= {"prompts": [sample.text for sample in batch], "completions": [sample.reply for sample in batch]}
    else:
        arguments["prompts"] = [
            [{"role": m.role, "content": m.content} for m in sample.prompt.conversation.messages] for sample in batch
        ]
        arguments["completions"] = [[{"role": "assistant", "content": sample.reply}] for sample in batch]
    names = dict.fromkeys(name for sample in batch for name in sample.columns)
    arguments |= {name: [sample.columns.get(name) for sample in batch] for name in names}
    returned: object = function(**{name: value for name, value in arguments.items() if every or name in parameters})
    return _awaited(cast("Awaitable[object]", returned)) if inspect.isawaitable(returned) else returned


def _awaited(returned: Awaitable[object]) -> object:
    async def wait() -> object:
        return await returned

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(wait())
    with ThreadPoolExecutor(1) as elsewhere:  # in a notebook a loop runs already
        return elsewhere.submit(asyncio.run, wait()).result()


def _failure(
    function: RewardFunction,
    reference: str,
    batch: Sequence[_Sample],
    parameters: Any,
    error: BaseException,
    *,
    every: bool,
) -> RuleError:
    """The error with its line in the user's file and the first completion that brings it about."""
    where = f"a batch of {len(batch)} completions"
    for sample in batch[:_RETRIES] if len(batch) > 1 else ():
        try:
            _call(function, [sample], parameters, _Log(1), every=every)
        except (Exception, SystemExit):
            where = sample.where
            break
    else:
        where = batch[0].where if len(batch) == 1 else where
    frame = traceback.extract_tb(error.__traceback__)[-1]
    form = (
        "texts, as the rows' prompts are"
        if batch[0].text is not None
        else "lists of messages, as the rows' prompts are"
    )
    return RuleError(
        f"rule {reference} failed at {where}: {type(error).__name__}: {error} ({frame.filename}:{frame.lineno});"
        f" completions are {form}"
    )
