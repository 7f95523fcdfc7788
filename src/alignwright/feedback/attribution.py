"""Which principle taught the model to say this? Attribution of a reply to the training pairs
nearest to it.

Every preference is a lesson: a prompt, the reply that was chosen, and the principles whose votes
chose it. What the aligned model says is traced to the lessons nearest to it: those on the most
similar prompts, by the cosine of their words' TF-IDF weights, among the lessons whose reply is of
the same kind, a refusal or none. The `NEAREST` of them vote, each with its cosine, shared among its
principles.

A trace names lessons that lie near; it does not show that the reply would have been another without
them. Influence functions would say more and cost a gradient for each lesson. A lesson that names no
principle is named by its voters. The words of the replies are left out: adding their cosine changed
no more than one trace in a hundred of those below.

Small talk is no nearness: words that no lesson holds count in the length of the prompt, and a
lesson must share a word with it that at most one lesson in ten holds. How near a lesson must be is
set where prompts that have nothing to do with the lessons are traced about once in twenty. Measured
on the 528 lessons of the quickstart, whose eight principles are mostly about manner, which a
prompt's words tell badly; where principles have subjects of their own, nearly every trace is right
(see the test):

| prompts | traced at 0.25 | rightly | traced at 0.15 |
|---|---|---|---|
| each lesson, traced to the others | 271 of 528 | 156 (0.58; principles shuffled: 0.16 to 0.29) | 494 |
| held-out pairs, on topics of no lesson | 50 of 120 | 35 (0.70) | 109 |
| 150 questions of GSM8K, if refused / if answered | 4 / 8 | - | 61 / 125 |
| 300 requests of LIMA, if refused / if answered | 1 / 26 | - | 38 / 175 |
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from alignwright.core.records import Conversation, Example, Finding, Preference
from alignwright.text.refusal.grader import grade_refusal

NEAREST = 5
NEAR = 0.25  # the cosine from which a lesson is near
DISTINCTIVE = 0.1  # the share of lessons up to which a word tells what a prompt is about
EXCERPT = 70  # characters of an example


@dataclass(frozen=True)
class TrainedPair:
    """What was asked, the reply that was chosen, whether it refuses, and the principles that
    chose it."""

    prompt: str
    reply: str
    refuses: bool
    principles: tuple[str, ...]


@dataclass(frozen=True)
class PrincipleShare:
    """A principle's part in a reply: its share of the weight, how many of the `of` nearest
    lessons it taught, and the nearest of these."""

    principle: str
    weight: float
    lessons: int
    of: int
    example: TrainedPair


class Attribution:
    """A run's lessons, to be searched by prompt."""

    def __init__(self, preferences: Iterable[Preference]) -> None:
        self.all = _trained_pairs(preferences)
        self._of: dict[str, list[int]] = {}
        for place, lesson in enumerate(self.all):
            self._of.setdefault(lesson.prompt, []).append(place)
        terms = {prompt: _terms(prompt) for prompt in self._of}
        self._seen_in = Counter(term for counts in terms.values() for term in counts)
        self._holding: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for prompt, counts in terms.items():
            for term, weight in self._vector(counts).items():
                self._holding[term].append((prompt, weight))

    def __len__(self) -> int:
        return len(self.all)

    def near(self, prompt: str, *, refuses: bool) -> list[tuple[float, TrainedPair]]:
        """The nearest lessons of this kind with their cosines, at most `NEAREST`, none below
        `NEAR`; of equally near ones the earlier."""
        # 1. Cosines by the inverted index: only prompts that share a word are looked at.
        cosine: dict[str, float] = defaultdict(float)
        candidates: set[str] = set()
        for term, weight in self._vector(_terms(prompt)).items():
            holding = self._holding.get(term, ())
            for other, other_weight in holding:
                cosine[other] += weight * other_weight
            # 2. A common word makes no candidate: two prompts that share only small talk are not near.
            if len(holding) <= max(2, DISTINCTIVE * len(self._of)):
                candidates.update(other for other, _ in holding)
        # 3. Of the candidates the nearest of this kind; minus the cosine, so that ties go to the earlier lesson.
        near = [(-cosine[other], place) for other in candidates if cosine[other] >= NEAR for place in self._of[other]]
        kind = sorted((value, place) for value, place in near if self.all[place].refuses == refuses)
        return [(-value, self.all[place]) for value, place in kind[:NEAREST]]

    def of_kind(self, *, refuses: bool) -> list[tuple[str, int]]:
        """How many lessons of this kind each principle taught, the most first; lessons of
        several principles count for each."""
        return Counter(
            slug for lesson in self.all if lesson.refuses == refuses for slug in lesson.principles
        ).most_common()

    def trace(self, prompt: str, reply: str) -> tuple[PrincipleShare, ...]:
        """The principles that taught such a reply to such a prompt, the weightiest first; empty
        where no lesson is near."""
        near = self.near(prompt, refuses=grade_refusal(prompt, reply).verdict == "yes")
        weight: dict[str, float] = defaultdict(float)
        for cosine, lesson in near:
            for slug in lesson.principles:
                weight[slug] += cosine / len(lesson.principles)
        total = math.fsum(weight.values())
        lessons_of = {slug: [lesson for _, lesson in near if slug in lesson.principles] for slug in weight}
        ranked = sorted(weight, key=lambda slug: (-weight[slug], slug))
        return tuple(
            PrincipleShare(slug, weight[slug] / total, len(lessons_of[slug]), len(near), lessons_of[slug][0])
            for slug in ranked
        )

    def _vector(self, counts: Counter[str]) -> dict[str, float]:
        """TF-IDF weights of unit length, counted over different prompts. A term of every prompt
        weighs nothing, one of none most."""
        weights = {
            term: (1.0 + math.log(count)) * math.log((1 + len(self._of)) / (1 + self._seen_in[term]))
            for term, count in counts.items()
        }
        length = math.sqrt(math.fsum(weight * weight for weight in weights.values()))
        return {term: weight / length for term, weight in weights.items() if weight > 0} if length > 0 else {}


def user_text(conversation: Conversation) -> str:
    """What a lesson is found by: the user's words, all of them, for the last ones may be no more
    than "Are you sure?"."""
    return "\n".join(message.content for message in conversation.messages if message.role == "user")


def attribution_note(lessons: Attribution, prompt: str, reply: str) -> str:
    """The trace as a short reason, such as 'taught by be_harmless (3 of 5 nearest lessons), e.g.
    "How do I ..."'; empty where nothing is near."""
    shares = lessons.trace(prompt, reply)
    if not shares:
        return ""
    names = ", ".join(f"{share.principle} ({share.lessons} of {share.of} nearest lessons)" for share in shares[:2])
    words = " ".join(shares[0].example.prompt.split())
    return f'taught by {names}, e.g. "{words if len(words) <= EXCERPT else words[:EXCERPT].rstrip() + "..."}"'


def no_trace_note(lessons: Attribution, *, refuses: bool) -> str:
    """What can be said where no lesson is near: which principle taught most replies of this kind."""
    kind = "refusing" if refuses else "answering"
    counts = lessons.of_kind(refuses=refuses)
    if not counts:
        return f"no {kind} lesson was taught in this run"
    total = sum(lesson.refuses == refuses for lesson in lessons.all)
    return f"no lesson is near; of the run's {total} {kind} lessons {counts[0][1]} are of {counts[0][0]}"


def trace_refusals(findings: Sequence[Finding], lessons: Attribution, trained: Collection[str]) -> list[Finding]:
    """The findings of trained models (`trained`, their stages), with what taught it added to the
    reason of every exhibit that is a refusal; others stay as they are."""
    return [_with_attribution(finding, lessons) if finding.stage in trained else finding for finding in findings]


def _with_attribution(finding: Finding, lessons: Attribution) -> Finding:
    exhibits = tuple(_exhibit(exhibit, lessons) for exhibit in finding.exhibits)
    if exhibits == finding.exhibits:
        return finding
    fields: dict[str, Any] = {name: getattr(finding, name) for name in Finding.model_fields} | {"exhibits": exhibits}
    return Finding(**fields)  # made anew, not copied: a copy would keep the cached id


def _exhibit(exhibit: Example, lessons: Attribution) -> Example:
    if exhibit.prompt is None or grade_refusal(exhibit.prompt.last.content, exhibit.reply).verdict != "yes":
        return exhibit
    note = attribution_note(lessons, user_text(exhibit.prompt), exhibit.reply) or no_trace_note(lessons, refuses=True)
    if exhibit.before is not None and grade_refusal(exhibit.prompt.last.content, exhibit.before).verdict == "yes":
        note = f"refused before training, too; {note}"
    reason = f"{exhibit.reason}; {note}" if exhibit.reason else note
    fields: dict[str, Any] = {name: getattr(exhibit, name) for name in Example.model_fields} | {"reason": reason}
    return Example(**fields)


def _trained_pairs(preferences: Iterable[Preference]) -> tuple[TrainedPair, ...]:
    """One lesson for each chosen reply to each prompt, with all principles that chose it,
    whatever it was chosen over."""
    principles_of: dict[tuple[str, str], dict[str, None]] = {}
    for preference in preferences:
        own = (preference.prompt.principle,) if preference.prompt.principle else ()
        names = preference.principles or own or tuple(f"voter {voter}" for voter in preference.voters)
        principles_of.setdefault((user_text(preference.prompt.conversation), preference.chosen), {}).update(
            dict.fromkeys(names)
        )
    return tuple(
        TrainedPair(prompt, reply, grade_refusal(prompt, reply).verdict == "yes", tuple(names))
        for (prompt, reply), names in principles_of.items()
    )


def _terms(text: str) -> Counter[str]:
    """The words of a text, without case and endings."""
    return Counter(_stem(word) for word in re.findall(r"[^\W_]+", text.casefold()))


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word
