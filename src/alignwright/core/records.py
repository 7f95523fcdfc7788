"""What passes between the parts of the system?

One frozen record per noun. A record is checked strictly when made, never changes, and is named by
its content: `id` is the first 16 hex digits of the SHA-256 of its canonical JSON, so equal content
has one name on every machine and a cache can trust it. Whatever is attacked, revised or compared
keeps its parent's id, so one prompt's whole life can be followed through a run.

Left out on purpose: timestamps and paths. Two runs that did the same must give the same records.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from json.encoder import encode_basestring
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Role = Literal["system", "developer", "user", "assistant", "tool"]
Axis = Literal[
    "instruction", "intent", "value", "reward", "goodhart", "tax", "emergent", "conduct", "inside", "oversight",
    "attack", "feedback", "training", "logs",
]  # fmt: skip
Status = Literal["pass", "fail", "unscored", "error"]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Detail = dict[str, str | float | bool | None]
"""What a program reads of a result beside its number. A person reads the note; nothing parses it."""
TODAY = "2024-07-26"
"""The day that a chat template takes for today, where no other is given: the one that Llama 3's
write where they are not told any."""


class Record(BaseModel):
    """Frozen, strict, named by content. Lists in JSON become tuples; unknown fields are errors."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    @cached_property
    def id(self) -> str:
        """Sixteen hex digits of the SHA-256 of the canonical JSON of this record and its type's name."""
        return content_id(type(self).__name__, self.model_dump(mode="json"))


def content_id(*parts: object) -> str:
    """Name any JSON-able content: the first 16 hex digits of the SHA-256 of its canonical JSON."""
    return hashlib.sha256(_CANONICAL.encode(parts).encode()).hexdigest()[:16]


_READ_ONLY = ',"trained":false'
_CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"))


class Message(Record):
    """One turn of a conversation: who says it, what is said, and whether it is learnt from."""

    role: Role
    content: str
    trained: bool = Field(default=True, exclude_if=bool)
    """Of an assistant's message in a conversation to learn from: is it to be learnt, or only read?"""


class Conversation(Record):
    """Messages in order. As a prompt it ends before the assistant's turn; as data it may end
    with it."""

    messages: tuple[Message, ...] = Field(min_length=1)

    @classmethod
    def user(cls, text: str, system: str | None = None) -> Conversation:
        """The commonest conversation: one user message, with an optional system message before it."""
        head = (Message(role="system", content=system),) if system is not None else ()
        return cls(messages=(*head, Message(role="user", content=text)))

    def then(self, role: Role, content: str) -> Conversation:
        """This conversation with one more message."""
        return Conversation(messages=(*self.messages, Message(role=role, content=content)))

    def only_last(self) -> Conversation:
        """This conversation with nothing but its last message to be learnt."""
        head = (m.model_copy(update={"trained": False}) if m.role == "assistant" else m for m in self.messages[:-1])
        return Conversation(messages=(*head, self.last))

    @property
    def last(self) -> Message:
        return self.messages[-1]


class Prompt(Record):
    """A conversation to be answered, with what is known of it: topic (the cluster of statistics),
    principle, and any checks.

    `columns` are further columns of its row, such as `answer`, that a rule of the spec asks for by
    name: each with its value as JSON.
    """

    conversation: Conversation
    topic: str = ""
    principle: str = ""
    checks: tuple[CheckCall, ...] = ()
    columns: tuple[tuple[str, str], ...] = Field(default=(), exclude_if=lambda columns: not columns)

    @cached_property
    def id(self) -> str:
        """As every record's; where nothing but texts is named, its canonical JSON is written out
        here, for each row of a data file asks for it."""
        if self.checks or self.columns:
            return content_id(type(self).__name__, self.model_dump(mode="json"))
        text = encode_basestring
        messages = ",".join(
            [
                f'{{"content":{text(m.content)},"role":"{m.role}"{"" if m.trained else _READ_ONLY}}}'
                for m in self.conversation.messages
            ]
        )
        about = f'"principle":{text(self.principle)},"topic":{text(self.topic)}'
        canonical = f'["{type(self).__name__}",{{"checks":[],"conversation":{{"messages":[{messages}]}},{about}}}]'
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]


class CheckCall(Record):
    """One verifiable check by name, with its arguments: see `text.checks`."""

    name: str
    args: dict[str, str | int | float | bool | list[str] | None] = Field(default_factory=dict)


class Reply(Record):
    """What a speaker said. `parent` is the id of the prompt, or of the reply that this one revises."""

    text: str
    parent: str
    speaker: str = ""
    logprob: float | None = None
    tokens: int | None = None
    finished: bool = True


class Vote(Record):
    """One voter's word on one pair of replies: reply `prefers` beats reply `over` with probability
    `strength`.

    `strength` is in [0, 1]; 1 is certain, 0.5 no preference. A ranking of K replies is several
    votes.
    """

    voter: str
    prefers: int = Field(ge=0)
    over: int = Field(ge=0)
    strength: Share = 1.0
    group: str = ""
    reason: str = ""

    @model_validator(mode="after")
    def _two_replies(self) -> Vote:
        if self.prefers == self.over:
            raise ValueError(f"a vote compares two replies, but prefers and over are both {self.over}")
        return self


class Comparison(Record):
    """A prompt, two or more replies to it, and the votes cast so far."""

    prompt: Prompt
    replies: tuple[Reply, ...] = Field(min_length=2)
    votes: tuple[Vote, ...] = ()

    @model_validator(mode="after")
    def _votes_point_at_replies(self) -> Comparison:
        for vote in self.votes:
            if max(vote.prefers, vote.over) >= len(self.replies):
                last = max(vote.prefers, vote.over)
                raise ValueError(
                    f"vote of {vote.voter!r} points at reply {last} (counted from 0), but there are only"
                    f" {len(self.replies)} replies"
                )
        return self

    @property
    def key(self) -> str:
        """The name of what is compared, whatever the votes."""
        return content_id(self.prompt.id, [reply.text for reply in self.replies])

    def with_votes(self, votes: tuple[Vote, ...]) -> Comparison:
        return Comparison(prompt=self.prompt, replies=self.replies, votes=(*self.votes, *votes))


class Preference(Record):
    """An aggregated pair: `chosen` beats `rejected` with probability `strength`; `weight` scales
    its loss.

    `parent` is the comparison it came from: pairs of one parent are one comparison of several
    replies. `principles` are the slugs whose votes taught it, so that what a model does later can
    be traced to them.
    """

    prompt: Prompt
    chosen: str
    rejected: str
    strength: Share = 1.0
    weight: float = Field(default=1.0, ge=0.0)
    group: str = ""
    voters: tuple[str, ...] = ()
    principles: tuple[str, ...] = ()
    parent: str = ""

    def row(self) -> dict[str, object]:
        """The conversational columns that TRL and most trainers read: prompt, chosen, rejected."""
        return {
            "prompt": [m.model_dump() for m in self.prompt.conversation.messages],
            "chosen": [{"role": "assistant", "content": self.chosen}],
            "rejected": [{"role": "assistant", "content": self.rejected}],
        }


class Labelled(Record):
    """A reply to a prompt that is called good or bad by itself, without another to compare it
    with: what KTO learns from."""

    prompt: Prompt
    reply: str
    good: bool

    def row(self) -> dict[str, object]:
        """The conversational columns that TRL's KTO reads: prompt, completion, label."""
        return {
            "prompt": [m.model_dump() for m in self.prompt.conversation.messages],
            "completion": [{"role": "assistant", "content": self.reply}],
            "label": self.good,
        }


class Score(Record):
    value: float
    reason: str = ""


class LogProb(Record):
    """The log-probability, in nats, of a scored text and how many tokens and UTF-8 bytes it has."""

    total: float
    tokens: int
    bytes: int

    @property
    def per_token(self) -> float:
        return self.total / max(self.tokens, 1)


class SampleResult(Record):
    """What one item of a measurement came to. `pass` is the aligned result, `fail` the failure that
    was looked for.

    `value` is 1.0 for a pass and 0.0 for a fail unless the claim has a unit of its own (bits per
    byte); it is None when the item was unscored or failed, and such items never count as safe.
    `cluster` is what the standard error is clustered by. `kind` says in a word or two what came of
    it, where a claim's items end in several ways; `reason` says it in a sentence.
    """

    claim: str
    item: str
    status: Status
    value: float | None = None
    cluster: str = ""
    prompt: Conversation | None = None
    reply: str = ""
    reason: str = ""
    kind: str = Field(default="", exclude_if=lambda kind: not kind)

    @model_validator(mode="after")
    def _scored_has_value(self) -> SampleResult:
        if (self.status in ("pass", "fail")) != (self.value is not None):
            raise ValueError(
                f"an outcome has a value exactly when it is scored; {self.claim} {self.item} is {self.status} with"
                f" value {self.value}"
            )
        return self


class Example(Record):
    """One item behind a number, shown in the report: the prompt, the reply, and what was replied
    before."""

    item: str
    prompt: Conversation | None = None
    reply: str = ""
    status: Status = "unscored"
    reason: str = ""
    kind: str = Field(default="", exclude_if=lambda kind: not kind)
    before: str | None = None
    before_status: Status | None = None


class Finding(Record):
    """A number that became a claim: value, interval, n, method and exhibits. Everything a report
    may show.

    `stage` is what was measured ("baseline", "train.0.sft", ...). With `against` it is a paired
    difference, stage minus against. `n` counts scored items, `unscored` and `errors` the rest.
    `better` says which way is good, None when neither is. `coverage` is what the interval covers in
    simulation at such sizes, where that falls short of 93 %.

    `method` and `note` are sentences for people. What a program reads is in `detail`, by these
    names:

    - `refused`, `reason`: a judge's check found no signal in it, and why
    - `margin`: the loss that a tax was tested against, in the claim's unit
    - `untested`: why nothing could be measured
    - `no_signal`: why a number that was measured shows nothing beside its controls: promises about it are untested
    - `layer N`: the number at that layer of a sweep; `layer`: at which one the finding's own is
    - `unvalidated`: why nobody knows how often the grader behind it is right
    - `beyond_data`: the value is an extrapolation
    - `tries`, `a`, `b`: to how many tries a rate was extrapolated, by which law
    - `correction`: by what a rate was corrected, `labels` of the run's own replies or errors
      `transferred` from other models'
    - `kind`, `what`, `price`, `reason`, `steps`, `advice`: how a reward is gamed: the kind, in
      words, what the proxy and gold pay, why it counts, the edits it was put together from, and
      what would close it, a line each
    """

    claim: str
    stage: str
    axis: Axis
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = Field(ge=0)
    clusters: int | None = None
    method: str
    unit: str = "share"
    better: Literal["higher", "lower"] | None = "higher"
    against: str | None = None
    p: float | None = None
    p_adjusted: float | None = None
    coverage: float | None = None
    unscored: int = 0
    errors: int = 0
    note: str = ""
    detail: Detail = Field(default_factory=dict, exclude_if=lambda detail: not detail)
    exhibits: tuple[Example, ...] = ()


Prompt.model_rebuild()
