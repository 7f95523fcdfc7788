"""Which reply does better by what a program can verify? Rule-based feedback (verifiable
instructions, a Python function).

A rule scores a prompt and a reply; between two replies with different scores the higher one gets a
certain vote, and a tie gets none. Rules come from three places: a YAML list of checks
(`text.checks`, IFEval's names), a prompt's own checks, and a Python function `file.py:function` or
`package.module:function` with signature (prompt: str, reply: str) -> float | bool | None. A
function that asks for more, as in (prompt, reply, answer), is given the columns of the row by these
names; where a row lacks one that has no default, it cannot tell. A function with `completions` among its
arguments is one of TRL's form, and is given whole batches (`reward_function`).

    - {check: "length_constraints:number_words", args: {relation: less than, num_words: 60}, weight:
      1, applies_to: {principle: brevity}}

A check that cannot be told for one of two replies says nothing about either. No answer is never a
failure. Where a rule scores single replies (`scoring`), a reply of which some check cannot be told
has no score: else a reply could gain by what makes it hard to check.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from pydantic import Field, ValidationError, model_validator

from alignwright.core.records import Comparison, Prompt, Record, Score, Vote
from alignwright.feedback.reward_function import batch_scores, is_reward_function
from alignwright.feedback.rule_value import RuleError, excerpt, number
from alignwright.feedback.votes import pairs_of
from alignwright.files import safe_read
from alignwright.files.errors import SpecError
from alignwright.files.reading import AS_TEXT
from alignwright.files.wording import describe_row_errors, describe_value
from alignwright.text.checks import check as verify
from alignwright.text.checks import checked_arguments

RuleFunction = Callable[..., float | bool | None]


class AppliesTo(Record):
    """The prompts that a rule is for: of a principle, of a topic, or of both together."""

    principle: str | None = None
    topic: str | None = None

    def __contains__(self, prompt: Prompt) -> bool:
        return self.principle in (None, prompt.principle) and self.topic in (None, prompt.topic)


class Rule(Record):
    """A verifiable check with its weight, for the prompts it applies to."""

    check: str
    args: dict[str, str | int | float | bool | list[str] | None] = Field(default_factory=dict)
    weight: float = Field(default=1.0, gt=0.0)
    applies_to: AppliesTo = AppliesTo()

    @model_validator(mode="after")
    def _check_exists(self) -> Rule:
        checked_arguments(self.check, self.args)
        return self


@dataclass
class RuleVoter:
    """Checks vote: those listed, where they apply, and each prompt's own. With `ties` two
    replies that do equally well get a vote of 1/2."""

    rules: tuple[Rule, ...] = ()
    name: str = "rules"
    ties: bool = False

    def __call__(self, comparisons: Sequence[Comparison]) -> list[tuple[Vote, ...]]:
        return [self._votes(comparison) for comparison in comparisons]

    def _votes(self, comparison: Comparison) -> tuple[Vote, ...]:
        prompt = comparison.prompt
        rules = self._for(prompt)
        passed = [[_verify(rule, prompt, reply.text) for rule in rules] for reply in comparison.replies]
        votes: list[Vote] = []
        for i, j in pairs_of(comparison):
            verified = [
                (rule, a, b)
                for rule, a, b in zip(rules, passed[i], passed[j], strict=True)
                if a is not None and b is not None
            ]
            gap = math.fsum(rule.weight * (a - b) for rule, a, b in verified)
            reason = ", ".join(dict.fromkeys(rule.check for rule, a, b in verified if a != b))
            votes += _vote(self.name, i, j, gap, reason, tie=self.ties and bool(verified))
        return tuple(votes)

    def score(self, prompt: Prompt, reply: str) -> tuple[float, str] | None:
        """The share of checks passed, by weight, and the names of those that failed. None where
        no check applies, or one cannot be told."""
        rules = self._for(prompt)
        passed = [_verify(rule, prompt, reply) for rule in rules]
        if not rules or None in passed:
            return None
        failed = [rule for rule, good in zip(rules, passed, strict=True) if not good]
        share = 1.0 - math.fsum(rule.weight for rule in failed) / math.fsum(rule.weight for rule in rules)
        return share, (
            "failed " + ", ".join(dict.fromkeys(rule.check for rule in failed)) if failed else "passed every check"
        )

    def scores(self, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]) -> list[list[Score | None]]:
        """The score of each reply to each prompt."""
        return _each(self.score, prompts, replies)

    def _for(self, prompt: Prompt) -> list[Rule]:
        return [rule for rule in self.rules if prompt in rule.applies_to] + [
            Rule(check=call.name, args=call.args) for call in prompt.checks
        ]


@dataclass
class FunctionVoter:
    """A Python function votes: one of a prompt and a reply, or one that takes a whole batch
    (`reward_function`). `reference` is how it was named, for errors and reasons; `ties` as in
    `RuleVoter`."""

    function: RuleFunction
    reference: str
    name: str = "rules"
    ties: bool = False

    @cached_property
    def asks(self) -> Asks:
        """What the function asks for beside the prompt and the reply."""
        return _asks(self.function, self.reference)

    @cached_property
    def takes_batch(self) -> bool:
        return is_reward_function(self.function)

    def __call__(self, comparisons: Sequence[Comparison]) -> list[tuple[Vote, ...]]:
        if self.takes_batch:
            replies = [[reply.text for reply in comparison.replies] for comparison in comparisons]
            batch = self.scores([comparison.prompt for comparison in comparisons], replies)
            scores = [[None if score is None else score.value for score in group] for group in batch]
        else:
            scores = [self._scores(row, comparison) for row, comparison in enumerate(comparisons)]
        return [self._votes(comparison, group) for comparison, group in zip(comparisons, scores, strict=True)]

    def _scores(self, row: int, comparison: Comparison) -> list[float | None]:
        where = (
            f"comparison {row} (counted from 0; prompt {comparison.prompt.id},"
            f" {comparison.prompt.conversation.last.content[:60]!r})"
        )
        return [self._score(where, comparison.prompt, reply.text) for reply in comparison.replies]

    def _votes(self, comparison: Comparison, scores: Sequence[float | None]) -> tuple[Vote, ...]:
        votes: list[Vote] = []
        for i, j in pairs_of(comparison):
            a, b = scores[i], scores[j]
            if a is not None and b is not None:
                votes += _vote(self.name, i, j, a - b, self.reference, tie=self.ties)
        return tuple(votes)

    def scores(self, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]) -> list[list[Score | None]]:
        """The score of each reply to each prompt."""
        if self.takes_batch:
            return batch_scores(self.function, self.reference, prompts, replies)
        return _each(self.score, prompts, replies)

    def score(self, prompt: Prompt, reply: str) -> tuple[float, str] | None:
        """What the function returns for the reply, and the function's name. None where it cannot tell."""
        score = self._score(f"prompt {prompt.id} ({prompt.conversation.last.content[:60]!r})", prompt, reply)
        return None if score is None else (score, self.reference)

    def _score(self, where: str, prompt: Prompt, reply: str) -> float | None:
        where = f"rule {self.reference} at {where}"
        columns = {
            name: json.loads(value)
            for name, value in prompt.columns
            if name in self.asks.names or (self.asks.every and name != AS_TEXT)
        }
        if not self.asks.required <= columns.keys():
            return None  # it was asked about a row of another file, or of the constitution
        try:
            score: object = self.function(prompt.conversation.last.content, reply, **columns)
        except MemoryError:
            raise
        except (
            Exception,
            SystemExit,
        ) as error:  # an exit of the rule's own would be the whole command's, with a code that says something else
            raise RuleError(f"{where} failed: {type(error).__name__}: {error}") from error
        if score is None:
            return None
        value = number(score)
        if value is None:
            raise RuleError(
                f"{where} returned {excerpt(score)}; a rule returns a finite number, a truth value, or None where it"
                " cannot tell"
            )
        return value


def _each(
    score: Callable[[Prompt, str], tuple[float, str] | None],
    prompts: Sequence[Prompt],
    replies: Sequence[Sequence[str]],
) -> list[list[Score | None]]:
    pairs = [[score(prompt, text) for text in group] for prompt, group in zip(prompts, replies, strict=True)]
    return [[None if one is None else Score(value=one[0], reason=one[1]) for one in group] for group in pairs]


@dataclass(frozen=True)
class Asks:
    """The columns that a function asks for by name; `required` are those it has no default for,
    `every`: it takes whatever there is."""

    names: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    every: bool = False


def _asks(function: RuleFunction, reference: str) -> Asks:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return Asks()  # a function that is not written in Python and does not say what it takes
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.POSITIONAL_ONLY)]
    if len(positional) < 2 and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        raise RuleError(
            f"rule {reference} takes {', '.join(p.name for p in parameters) or 'nothing'}; a rule takes the prompt and"
            " the reply first"
        )
    more = [*positional[2:], *(p for p in parameters if p.kind is p.KEYWORD_ONLY)]
    required = frozenset(p.name for p in more if p.default is p.empty)
    return Asks(frozenset(p.name for p in more), required, any(p.kind is p.VAR_KEYWORD for p in parameters))


def rules(source: str, folder: Path) -> RuleVoter | FunctionVoter:
    """The voter that a spec's `file` names: a YAML file of checks, or
    `module_or_file.py:function`; paths are sought from `folder`."""
    if source.endswith((".yaml", ".yml")):
        return RuleVoter(read_rules(folder / source))
    return FunctionVoter(_function(source, folder), source)


def read_rules(path: Path) -> tuple[Rule, ...]:
    """The rules of a YAML file. Raises RuleError that names the file and the rule, counted from 1."""
    try:
        rows: Any = safe_read.yaml_file(path)
    except SpecError as error:
        raise RuleError(str(error)) from None
    if not isinstance(rows, list) or not rows:
        raise RuleError(
            f"{path}: must be a list of rules such as '- check: <name>', but is"
            f" {'empty' if not rows else describe_value(rows)}"
        )
    parsed: list[Rule] = []
    for place, row in enumerate(rows, start=1):
        try:
            parsed.append(Rule.model_validate(row))
        except ValidationError as error:
            raise RuleError(f"{path}: rule {place}: {describe_row_errors(error, Rule.model_fields)}") from error
    return tuple(parsed)


def _function(source: str, folder: Path) -> RuleFunction:
    home, _, name = source.rpartition(":")
    if not home or not name.isidentifier():
        raise RuleError(f"{source!r} is no rule: give a .yaml file, 'file.py:function' or 'package.module:function'")
    module = _from_file(folder / home) if home.endswith(".py") else _module(source, home)
    function = getattr(module, name, None)
    if not callable(function):
        raise RuleError(f"{source!r}: {home} has no function {name!r}")
    return cast("RuleFunction", function)


def _module(source: str, home: str) -> Any:
    try:
        return importlib.import_module(home)
    except ImportError as error:
        raise RuleError(f"{source!r}: cannot import {home!r}: {error}") from error
    except (Exception, SystemExit) as error:
        raise RuleError(f"{source!r}: {home!r} failed when it was loaded: {type(error).__name__}: {error}") from error


def _from_file(path: Path) -> Any:
    """Run a user's file as a module of its own, its folder first on the path, as when Python
    runs it; neither it nor a module beside it stays in `sys.modules`, so that two folders may
    each have a `helper.py`."""
    spec = importlib.util.spec_from_file_location(f"alignwright_rules_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise RuleError(f"there is no Python file {path}")
    module = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)
    before, modules = list(sys.path), set(sys.modules)
    sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise RuleError(f"{path} failed when it was loaded: {type(error).__name__}: {error}") from error
    finally:
        sys.path[:] = (
            before if folder in before else [*before, folder]
        )  # last: for what a function imports when it is called
        for name in set(sys.modules) - modules:
            if str(getattr(sys.modules[name], "__file__", None) or "").startswith(folder + "/"):
                del sys.modules[name]
    return module


def _verify(rule: Rule, prompt: Prompt, reply: str) -> bool | None:
    return verify(rule.check, reply, prompt=prompt.conversation.last.content, **rule.args)


def _vote(voter: str, i: int, j: int, gap: float, reason: str, *, tie: bool = False) -> tuple[Vote, ...]:
    if gap == 0:
        return (Vote(voter=voter, prefers=i, over=j, strength=0.5, reason=reason),) if tie else ()
    winner, loser = (i, j) if gap > 0 else (j, i)
    return (Vote(voter=voter, prefers=winner, over=loser, reason=reason),)
