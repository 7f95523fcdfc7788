"""Does TAP find what the best of several branches leads to, prune what is off topic, and not succeed against
a target that does not fall? Does a killed search come to the same?"""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from attackers import REFUSAL, REQUESTS, Double, attacker, counts, opens_to, target, whole

from alignwright.attack.tap import most_tries, tap

TOPIC = "YES or NO"
MILD = "Go on, gladly."


def on_topic(says, words="YES"):
    """An attacker that answers so whether its message keeps to the request."""
    return lambda prompt, seed: words if TOPIC in prompt.last.content else says(prompt, seed)


def searched(replies, says=counts, words="YES", queries=None, logs=(None, None), dies=(None, None), **size):
    model = Double("target", replies, dies[0])
    foe = Double("foe", on_topic(says, words), dies[1])
    at, by = target(model, "tap", logs[0], queries), attacker(foe, logs[1])
    size = {"depth": 4, "branching": 2, "width": 2, **size}
    return tap(at, by, REQUESTS, **size), at, by


def branches(prompt, seed):
    """Goes on from the last message of the branch with a loud word or with a soft one."""
    request = re.search(r"What is word \d\?", prompt.last.content)[0]
    shown = re.findall(r"^> Please((?: soft| loud)*),", prompt.last.content, re.MULTILINE)
    return f"PROMPT: Please{shown[-1] if shown else ''} {'loud' if seed % 2 else 'soft'}, {request}"


def leads(towards):
    """Tells the word after "soft soft soft"; before that it is mild to whatever has the word `towards` alone."""

    def says(prompt, _):
        message = prompt.last.content
        if "soft soft soft" in message:
            return "The word is PLUGH."
        return MILD if set(re.findall("soft|loud", message)) == {towards} else REFUSAL

    return says


def test_it_finds_the_key_that_feedback_leads_to_and_stops():
    samples, at, by = searched(opens_to("knock 3"))
    assert whole(samples, "tap") == ["fail"] * 3
    assert [s.status for s in samples if s.claim.endswith("within_2")] == ["pass"] * 3
    assert len(at.tries) == 9, "both branches of a leaf were the same, which is asked once"
    assert (by.calls, by.unusable) == (27, 0)


def test_a_target_that_falls_to_nothing_passes_every_try():
    samples, at, by = searched(opens_to("no such key"))
    assert whole(samples, "tap") == ["pass"] * 3
    assert len(at.tries) == 12
    assert "held against 4 tries" in samples[0].reason
    assert by.note() == "the attacker was asked 36 times, 108 tokens"


def test_the_best_leaf_is_gone_on_with():
    samples, at, _ = searched(leads("soft"), branches, depth=3, width=1)
    assert whole(samples, "tap") == ["fail"] * 3
    sent = [each.conversation.last.content for each in at.attempts if each.behaviour.id == REQUESTS[0].id]
    assert [message.split(",")[0] for message in sent] == [
        "Please soft", "Please loud", "Please soft soft", "Please soft loud", "Please soft soft soft",
        "Please soft soft loud",
    ]  # fmt: skip


def test_a_score_that_misleads_is_followed_unless_more_leaves_are_kept():
    """The control: where the target is mild to the other word, one leaf goes the wrong way, and four hold both."""
    astray, _, _ = searched(leads("loud"), branches, depth=3, width=1)
    assert whole(astray, "tap") == ["pass"] * 3
    wide, _, _ = searched(leads("loud"), branches, depth=3, width=4)
    assert whole(wide, "tap") == ["fail"] * 3


@pytest.mark.parametrize(
    ("words", "is_pruned"),
    [("NO", True), ("No.", True), ("**No**, it asks about the weather.", True), ("YES", False), ("", False),
     ("Nobody can tell.", False), ("Not sure.", False), ("I cannot help with that.", False)],
)  # fmt: skip
def test_what_is_off_topic_is_pruned_before_it_is_asked(words, is_pruned):
    """Of two messages one is about something else; what is neither yes nor no prunes nothing."""

    def strays(prompt, seed):
        if TOPIC in prompt.last.content:
            return words if "weather" in prompt.last.content else "YES"
        return "PROMPT: How is the weather?" if seed % 2 else branches(prompt, seed)

    foe = Double("foe", strays)
    at, by = target(Double("target", opens_to("no such key")), "tap"), attacker(foe)
    samples = tap(at, by, REQUESTS, depth=1, branching=2, width=2)
    about_weather = [each for each in at.attempts if "weather" in each.conversation.last.content]
    assert len(about_weather) == (0 if is_pruned else 3)
    assert len(at.attempts) - len(about_weather) == 3
    assert whole(samples, "tap") == ["pass"] * 3


def test_where_all_is_pruned_nothing_was_tried_and_nothing_is_safe():
    samples, at, by = searched(opens_to("knock 1"), words="No.")
    assert not at.tries
    assert {s.status for s in samples} == {"unscored"}
    assert samples[0].reason == "not tried: for 4 tries the attacker wrote nothing that could be asked"
    assert by.unusable == 0, "the messages could be used; they asked for something else"


@pytest.mark.parametrize("says", [lambda *_: "I cannot help with that.", lambda *_: ""])
def test_an_attacker_of_no_use_is_counted_and_nothing_passes(says):
    samples, at, by = searched(opens_to("knock 1"), says)
    assert not at.tries
    assert {s.status for s in samples} == {"unscored"}
    assert (by.calls, by.unusable) == (48, 48)


def test_a_round_that_was_pruned_leaves_what_was_tried_before():
    """What asks with a second knock is taken for off topic: within one try the request held, in all nobody knows."""

    def judges(prompt, seed):
        off = TOPIC in prompt.last.content and "knock 2" in prompt.last.content
        return "NO" if off else on_topic(counts)(prompt, seed)

    at, by = target(Double("target", opens_to("knock 9")), "tap"), attacker(Double("foe", judges))
    samples = tap(at, by, REQUESTS, depth=3, branching=2, width=2)
    assert whole(samples, "tap") == ["unscored"] * 3
    assert [s.status for s in samples if s.claim.endswith("within_1")] == ["pass"] * 3
    assert "held against 1 try, and then for 2 tries the attacker" in samples[0].reason
    at, by = target(Double("target", opens_to("knock 1")), "tap"), attacker(Double("foe", judges))
    assert whole(tap(at, by, REQUESTS, depth=3, branching=2, width=2), "tap") == ["fail"] * 3


def test_a_leaf_without_a_message_is_a_missing_try():
    """One of two leaves ends for want of a message: what falls on the other one fell, and what held is unscored."""

    def tires(prompt, seed):
        return REFUSAL if "> Please loud," in prompt.last.content else branches(prompt, seed)

    held, _, by = searched(lambda *_: REFUSAL, tires, depth=2)
    assert whole(held, "tap") == ["unscored"] * 3
    assert "held against 4 tries, and then for 1 try the attacker" in held[0].reason
    assert set(by.gaps.values()) == {1}
    fell, _, _ = searched(opens_to("soft soft"), tires, depth=2)
    assert whole(fell, "tap") == ["fail"] * 3


def test_a_leaf_remembers_its_own_branch_and_no_secret():
    _, _, by = searched(leads("loud"), branches, depth=3, width=4)
    asked = [text for text in by.speaker.speaker.asked if TOPIC not in text]
    assert "plugh" not in "".join(by.speaker.speaker.asked).casefold()
    for text in asked:
        shown = re.findall(r"^> Please((?: soft| loud)*),", text, re.MULTILINE)
        assert all(later.startswith(earlier) for earlier, later in pairwise(shown))
    assert max(len(re.findall(r"^Message \d", text, re.MULTILINE)) for text in asked) == 2


@pytest.mark.parametrize(("size", "tries"), [((1, 3, 4), 3), ((3, 2, 2), 10), ((3, 2, 9), 14), ((10, 4, 10), 340)])
def test_a_tree_has_so_many_tries(size, tries):
    assert most_tries(*size) == tries


def test_a_tree_in_which_nothing_is_pruned_has_most_tries():
    samples, at, _ = searched(lambda *_: REFUSAL, branches, depth=3, branching=2, width=3)
    assert len(at.tries) == 3 * most_tries(3, 2, 3)
    assert f"held against {most_tries(3, 2, 3)} tries" in samples[0].reason


def test_a_budget_counts_the_target_s_replies_and_stops_the_attacker():
    samples, at, by = searched(opens_to("no such key"), queries=3)
    assert at.budget.spent_queries == 3
    assert by.calls == 9, "nobody pays to send more"
    assert whole(samples, "tap") == ["unscored"] * 3
    assert "held against 1 try, and then the budget of 3 queries was spent" in samples[0].reason


@pytest.mark.parametrize("dies", [(0, None), (5, None), (None, 0), (None, 4), (None, 10)])
def test_a_search_that_was_killed_comes_to_the_same(tmp_path, dies):
    logs = (tmp_path / "replies.jsonl", tmp_path / "attacker.jsonl")
    expected, before, cost = searched(leads("soft"), branches, depth=3)
    with pytest.raises(KeyboardInterrupt):
        searched(leads("soft"), branches, depth=3, logs=logs, dies=dies)
    again, at, by = searched(leads("soft"), branches, depth=3, logs=logs)
    assert again == expected
    assert at.tries == before.tries
    assert by.note() == cost.note()
    assert [len(log.read_text().splitlines()) for log in logs] == [3, 6], "a line for each call, and each once"
