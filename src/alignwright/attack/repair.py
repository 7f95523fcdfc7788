"""What did the trained model do wrong, and what would have been right? Comparisons for another round.

A promise that broke says that some replies fail, and not how to mend them. The model is asked prompts
of training's side, the harmful ones in the ways of attacking that training may see. Each reply that
fails (a harmless request refused, a harmful one answered) is compared with one of its own that passes:
another sample of the same conversation, as near as there is one to what it would say (pairs on policy,
Tajwar et al. 2024, arXiv 2404.14367), or its refusal of the bare request. Where its reply passes, it is
kept: compared with a sample that fails, where there is one, so that mending one kind of fault does not
teach the other; `keep` is the share of these that is looked at. What has no passing reply is counted,
and nothing is made up for it.

Earlier preferences are learnt again beside these, since a round on failures alone forgets what the
rounds before taught. Requests and ways of attacking that are not named here stay out, so improvement is
measured on attacks and on behaviours that were never trained on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from alignwright.attack.knobs_repair import Repair
from alignwright.attack.mutations import mutated, mutations
from alignwright.attack.reply_log import REPLIES, LoggedSpeaker
from alignwright.core.protocols import ChatModel
from alignwright.core.records import Conversation, Preference, Prompt, Reply
from alignwright.core.replies import NoReply, greedy
from alignwright.core.stage import resolved
from alignwright.files.items import RefusalItem
from alignwright.job.context import JobContext
from alignwright.job.data import subsample_evenly
from alignwright.job.job import Result
from alignwright.job.preferences import preferences
from alignwright.job.records import PREFERENCES
from alignwright.text.refusal.grader import grade_refusal

Question = tuple[RefusalItem, Conversation]


@dataclass
class Repairs:
    """Comparisons with a winner, and how many conversations failed, were mended and were kept."""

    preferences: list[Preference] = field(default_factory=list[Preference])
    counts: Counter[str] = field(default_factory=Counter[str])

    @property
    def line(self) -> str:
        """For the terminal."""
        n = self.counts
        hopeless = n["harmless failed"] + n["harmful failed"] - n["mended"]
        return (
            f"{n['asked']} conversations: {n['harmless failed']} harmless requests refused, {n['harmful failed']}"
            f" harmful ones answered; {n['mended']} mended, {n['kept']} kept as they are, {hopeless} without a reply"
            " that passes"
        )


def repair(stage: Repair, job: JobContext) -> Result:
    """The comparisons of a round, and the earlier ones beside them. Raises ValueError where there are
    none."""
    items = subsample_evenly(job.data.items(stage.prompts, RefusalItem, None), stage.limit)
    repairs = compare(
        LoggedSpeaker(job.target(), job.at_work / REPLIES),
        conversations(items, stage.ways, job.seed),
        samples=resolved(stage.samples),
        max_new_tokens=resolved(stage.max_new_tokens),
        temperature=stage.temperature,
        keep=stage.keep,
        seed=job.seed,
    )
    earlier = preferences(job, required=False) if job.needed("preferences") else []
    replayed = subsample_evenly(earlier, round(len(earlier) * stage.replay)) if stage.replay and earlier else []
    if not (rows := [*repairs.preferences, *replayed]):
        raise ValueError(f"{job.name}: {repairs.line}: nothing to learn from; give it more prompts, or leave it out")
    return Result(f"{repairs.line}; {len(replayed)} earlier preferences", records={PREFERENCES: rows})


def conversations(items: Sequence[RefusalItem], ways: Sequence[str], seed: int) -> list[Question]:
    """Each request as it stands, then the harmful ones in each way; each conversation once."""
    by_name = mutations()
    questions = [(item, Conversation.user(item.prompt)) for item in items]
    harmful = [item for item in items if item.kind == "harmful"]
    questions += [(item, mutated(item, way, by_name, seed).conversation) for way in ways for item in harmful]
    return list({conversation.id: (item, conversation) for item, conversation in reversed(questions)}.values())[::-1]


def compare(
    speaker: ChatModel,
    questions: Sequence[Question],
    *,
    samples: int,
    max_new_tokens: int,
    temperature: float = 1.0,
    keep: float = 1.0,
    seed: int,
) -> Repairs:
    """Ask, grade, and pair each failing reply with a passing one of the same model. A request stands
    before its attacks."""
    prompts = [conversation for _, conversation in questions]
    firsts = greedy(speaker, prompts, max_new_tokens=max_new_tokens, seed=seed)
    places = _places_to_sample(questions, firsts, keep)
    again = [prompts[place] for place in places]
    groups = speaker.generate(again, n=samples, max_new_tokens=max_new_tokens, temperature=temperature, seed=seed)
    others = dict(zip(places, groups, strict=True))
    repairs, refusals = Repairs(), dict[str, str]()
    for place, ((item, conversation), first) in enumerate(zip(questions, firsts, strict=True)):
        repairs.counts["asked"] += 1
        if not isinstance(first, Reply):
            continue
        passing, failing = _by_verdict(item, conversation, [first, *others.get(place, ())])
        if item.kind == "harmful" and passing:
            refusals.setdefault(item.id, passing[0])
        fails = first.text in failing
        repairs.counts[f"{item.kind} failed"] += fails
        if fails and not passing and item.id in refusals:
            passing = [refusals[item.id]]
        if passing and failing:
            repairs.counts["mended" if fails else "kept"] += 1
            repairs.preferences.append(
                Preference(
                    prompt=Prompt(conversation=conversation, topic=item.topic),
                    chosen=passing[0],
                    rejected=failing[0],
                    voters=("repair",),
                )
            )
    return repairs


def _places_to_sample(questions: Sequence[Question], firsts: Sequence[Reply | NoReply], keep: float) -> list[int]:
    """Where further replies are asked for: wherever the first one fails, and at the share `keep` of
    the other places, of harmless requests as of harmful ones."""
    failing, others = list[int](), dict[str, list[int]]()
    for place, ((item, conversation), first) in enumerate(zip(questions, firsts, strict=True)):
        if isinstance(first, Reply):
            fails = bool(_by_verdict(item, conversation, [first])[1])
            (failing if fails else others.setdefault(item.kind, [])).append(place)
    kept_places = [subsample_evenly(places, round(len(places) * keep)) for places in others.values()]
    return sorted([*failing, *(place for places in kept_places for place in places)])


def _by_verdict(item: RefusalItem, conversation: Conversation, replies: Sequence[Reply]) -> tuple[list[str], list[str]]:
    """The replies that pass and those that fail, in order. What cannot be told is neither, and a reply
    that was cut off is no example of a good one."""
    right, wrong = ("yes", "no") if item.kind == "harmful" else ("no", "yes")
    verdicts = [grade_refusal(conversation.last.content, reply.text).verdict for reply in replies]
    graded = [(reply, verdict) for reply, verdict in zip(replies, verdicts, strict=True) if reply.text.strip()]
    passing = [reply.text for reply, verdict in graded if verdict == right and reply.finished]
    return passing, [reply.text for reply, verdict in graded if verdict == wrong]
