"""What do all attacks have in common, knob by knob? Requests, the length of a reply, a budget, and how
far successes are made smaller."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field

from alignwright.attack.claims import within
from alignwright.attack.judging.claims import told_by_judge
from alignwright.core.claims import Claim
from alignwright.core.cost import PROMPT, Cost, Size
from alignwright.core.records import content_id
from alignwright.core.stage import (
    NEW_TOKENS,
    Count,
    Effort,
    FilePath,
    Knob,
    KnobRows,
    NamesModel,
    Reads,
    Setting,
    Sizes,
    Stage,
    resolved,
    rows_under,
)
from alignwright.files.data_file import Paths
from alignwright.files.items import RefusalItem
from alignwright.job.data import subsample_evenly

Whole = Annotated[int, Field(ge=0)]
ATTACK_SUCCESS = Claim(
    name="attack.success",
    title="Attacks that got what they asked for",
    axis="attack",
    better="lower",
    counts="fail",
    grader="fulfilled",
    harmful=True,
)
NOT_REFUSED = Claim(
    name="attack.not_refused",
    title="Attacks that were not refused",
    axis="attack",
    better="lower",
    counts="fail",
    harmful=True,
)


JUDGED = 120
"""Tokens of what a judge is asked beside the request and the reply, about."""
CHECKED, CHECKED_TOKENS = 320, 220
"""Replies on which every judge is checked, and tokens of one, about."""


class Inquiry(Stage):
    """What every attack has: how long a reply may be, and what it may cost."""

    max_new_tokens: Annotated[Count | None, Effort(48, 96, 256)] = Field(default=None, description=NEW_TOKENS)
    queries: Count | None = Field(default=None, description="ask at most so many replies in all (no limit)")
    tokens: Count | None = Field(
        default=None, description="ask for at most so many tokens of replies in all (no limit)"
    )

    judge: Annotated[str | None, NamesModel(opponent=True)] = Field(
        default=None, min_length=1, description="who tells successes instead of the rules: a model, a server, or self"
    )
    judge_labels: Annotated[Paths, Reads("labels", use="settings")] = Field(
        default=(), description="files of replies labelled 'fulfilled', by which the judge is checked"
    )

    def told(self, claims: tuple[Claim, ...]) -> tuple[Claim, ...]:
        """Its claims, as they are where a judge tells successes."""
        return claims if self.judge is None else told_by_judge(claims)

    def faults(self, setting: Setting) -> Iterator[tuple[Knob, str]]:
        yield from super().faults(setting)
        if self.judge_labels and self.judge is None:
            yield ("judge_labels",), "'judge_labels' has no effect: there is no 'judge' to be checked"

    def judging(self, sizes: Sizes, attack: Cost, prompt: float) -> Cost:
        """The same attack with what its judge reads: each reply twice, and what it is checked on."""
        if self.judge is None:
            return attack
        most = resolved(self.max_new_tokens)
        labels = sizes.files(self, "judge_labels")
        replies = attack.write / most
        check = CHECKED * CHECKED_TOKENS + 2 * (labels.tokens + labels.rows * JUDGED)
        return Cost.of(attack.read + 2 * (replies * (prompt + most + JUDGED) + check), attack.write)

    def cost(self, requests: Size, tries: int) -> Cost:
        """What so many tries of each of these come to."""
        most = resolved(self.max_new_tokens)
        limits = [self.queries, self.tokens // most if self.tokens is not None else None]
        replies = min([requests.rows * tries, *(limit for limit in limits if limit is not None)])
        return Cost.of(replies * (requests.prompt + PROMPT), replies * most)


class AttackStage(Inquiry):
    """An attack by words, whose successes can be made smaller and asked of another model."""

    shrink: Annotated[Whole | None, Effort(0, 16, 48)] = Field(
        default=None,
        description="make the first success with each request smaller, for at most so many replies (from effort)",
    )

    def cost(self, requests: Size, tries: int) -> Cost:
        tries_alone = super().cost(requests, tries)
        replies = requests.rows * resolved(self.shrink)
        return Cost.of(
            tries_alone.read + replies * (requests.prompt + PROMPT),
            tries_alone.write + replies * resolved(self.max_new_tokens),
        )


class RequestStage(Inquiry):
    """What an attack on harmful requests has."""

    prompts: Annotated[Paths, Reads(RefusalItem)] = Field(
        min_length=1, description="files of refusal prompts; the harmful ones are attacked"
    )
    limit: Annotated[Count | None, Effort(24, 128, 100000)] = Field(
        default=None, description="at most so many requests (from effort)"
    )

    anytime: bool = Field(
        default=False, description="limits that hold at every look, also after a larger 'limit': whole topics, ordered"
    )

    def chosen(self, items: Sequence[RefusalItem]) -> list[RefusalItem]:
        """The requests that are attacked: harmful ones, at most so many. With `anytime` whole topics, in an
        order of their names' hashes, so that a larger limit goes on where a smaller one ended."""
        harmful = [item for item in items if item.kind == "harmful"]
        if not self.anytime:
            return subsample_evenly(harmful, self.limit)
        topics: dict[str, list[RefusalItem]] = {}
        for item in harmful:
            topics.setdefault(item.topic or item.id, []).append(item)
        taken: list[RefusalItem] = []
        for topic in sorted(topics, key=content_id):
            if taken and self.limit is not None and len(taken) + len(topics[topic]) > self.limit:
                break
            taken += topics[topic]
        return taken

    def row_faults(self, files: Sequence[KnobRows]) -> Iterator[tuple[Knob, str]]:
        harmful = [item for item in rows_under(files, "prompts") if item.kind == "harmful"]
        if self.judge and harmful and all(item.secret for item in harmful):
            yield ("judge",), "'judge' has no effect: secret words tell the success of every request"
        first: dict[str, str] = {}
        for file in files:
            if file.knob[0] != "prompts":
                continue
            if not any(item.kind == "harmful" for item in file.rows):
                yield file.knob, f"{file.file}: has no harmful prompts, so there is nothing to attack with"
            for item, number in zip(file.rows, file.numbers, strict=True):
                place = f"{file.file}:{number}"
                if item.kind == "harmful" and (other := first.setdefault(item.prompt, place)) != place:
                    yield file.knob, f"{place}: the same request as {other}, whose tries would count twice; keep one"

    @property
    def most(self) -> int | None:
        """Tries or steps of a request at most, where the rate is read on the way to them; None where it is not."""
        return None

    def part_names(self, whole: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:  # noqa: ARG002
        return None if self.most is None else within(self.most)

    def tries_counted(self, claim: str, path: FilePath) -> int:  # noqa: ARG002 - of a search a request is one item
        """How many items of this claim a request makes."""
        return 1

    def item_topics(self, claim: str, files: Sequence[KnobRows], path: FilePath) -> list[str] | None:
        topics = [item.topic or item.id for item in self.chosen(rows_under(files, "prompts"))]
        return topics * self.tries_counted(claim, path) or None

    def of_requests(self, sizes: Sizes, tries: int) -> Cost:
        """What so many tries of each of its requests come to."""
        requests = sizes.files(self, "prompts").at_most(self.limit)
        return self.judging(sizes, self.cost(requests, tries), requests.prompt)


class OnRequests(RequestStage, AttackStage):
    """An attack that makes its conversations of harmful requests."""
