"""Are people asked blind, balanced and never twice, is no answer lost, and do their votes reach
aggregation?"""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from spec_case import jsonl, write

from alignwright.aggregate.pooled import pooled
from alignwright.core.records import Comparison, Conversation, Prompt, Reply, Vote
from alignwright.experiment.check import check
from alignwright.files.sources import read_votes
from alignwright.job.ledger import Ledger
from alignwright.job.records import write_records
from alignwright.run.rating.pairs import RatedPair, pairs_of, showings
from alignwright.run.rating.ratings import Ratings, answers_file, described
from alignwright.run.rating.terminal import rate

HOSTILE = (
    "\x1b[31mred\x1b[0m [bold]loud[/] \u202edrowkcab \x07 </script><script>alert(1)</script>\n--- reply 2 ---\n> 1"
)


def pairs_file(folder: Path, n: int = 40) -> Path:
    """Pairs of which the chosen reply says so, for raters who can read it."""
    return jsonl(
        folder / "pairs.jsonl",
        *({"prompt": f"Question {i}?", "chosen": f"good {i}", "rejected": f"poor {i}", "topic": "t"} for i in range(n)),
    )


class Person:
    """A rater at a console: `says` gives the line for the two replies that are shown."""

    def __init__(self, says: Callable[[str, str], str], stop_after: int | None = None) -> None:
        self.screen, self.says, self.left = io.StringIO(), says, stop_after
        self.console = Console(file=self.screen, width=300, force_terminal=False)
        self.shown: list[tuple[str, str]] = []

    def line(self) -> str:
        if self.left is not None and len(self.shown) == self.left:
            raise EOFError
        text = self.screen.getvalue().rpartition("\n--- reply 1 ---\n")[2]
        one, _, two = text.partition("\n--- reply 2 ---\n")
        self.shown.append((one.strip(), two.strip()))
        return self.says(*self.shown[-1])

    def rate(self, source: Path, out: Path, rater: str = "ann", **options) -> Ratings:
        return rate(pairs_of(source), out, self.console, self.line, rater=rater, **options)


def consistent(one: str, two: str) -> str:
    return "1 it is true" if one.startswith("good") else "2 it is true"


def test_the_better_reply_wins_whatever_its_side_and_the_sides_are_balanced(tmp_path):
    person = Person(consistent)
    ratings = person.rate(pairs_file(tmp_path), tmp_path / "votes.jsonl", group="g")
    assert len(person.shown) == 42  # 40 pairs, and one of every twenty again
    fresh = [row for row in ratings.rows if not row.again]
    assert sum(row.a.startswith("good") for row in fresh) == 20
    assert all(row.preferred.startswith("reply good") and row.reason == "it is true" for row in ratings.rows)
    rows = read_votes(tmp_path / "votes.jsonl").rows
    assert len(rows) == 40
    assert all(len(row.votes) == 1 for row in rows)
    assert all(row.replies[row.votes[0].prefers].text.startswith("good") for row in rows)
    assert {(row.votes[0].voter, row.votes[0].group) for row in rows} == {("ann", "g")}


def test_order_differs_between_raters_is_the_same_for_one_and_says_no_name(tmp_path):
    file = pairs_file(tmp_path)
    first, again, other = (Person(consistent) for _ in range(3))
    first.rate(file, tmp_path / "1.jsonl")
    again.rate(file, tmp_path / "2.jsonl")
    other.rate(file, tmp_path / "3.jsonl", rater="bob")
    assert first.shown == again.shown != other.shown
    assert {frozenset(pair) for pair in first.shown} == {frozenset(pair) for pair in other.shown}
    assert not any(word in first.screen.getvalue() for word in ("chosen", "rejected", "written"))


def test_any_prefix_of_the_questions_is_balanced_and_a_repeat_has_its_sides_swapped():
    pairs = [_pair(i) for i in range(101)]
    asked = showings(pairs, rater="ann", seed=3)
    fresh = [showing for showing in asked if not showing.again]
    assert all(abs(2 * sum(s.left for s in fresh[:k]) - k) <= 1 for k in range(1, 102))
    repeats = [(place, showing) for place, showing in enumerate(asked) if showing.again]
    assert len(fresh) == 101
    assert len(repeats) == 6
    for place, repeat in repeats:
        (first,) = [p for p, s in enumerate(asked) if s.pair == repeat.pair and not s.again]
        assert first < place
        assert asked[first].left == 1 - repeat.left


def test_where_voters_disagree_is_asked_first_and_the_rest_in_random_order(tmp_path):
    ballots = [
        {"prompt": f"Q{i}", "a": "x", "b": "y", "choice": choice, "rater": rater}
        for i in range(6)
        for rater, choice in (("r1", "a"), ("r2", "b" if i in (2, 4) else "a"))
    ]
    order = showings(pairs_of(jsonl(tmp_path / "v.jsonl", *ballots)), rater="ann", seed=0)
    assert {s.pair.prompt.conversation.last.content for s in order[:2]} == {"Q2", "Q4"}
    assert [s.pair.entropy for s in order[:6]] == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]


def test_pairs_that_nobody_judged_are_read_and_a_pair_of_equal_replies_is_not_asked(tmp_path):
    rows = [
        {"prompt": "Q", "response_a": "x", "response_b": "y"},
        {"prompt": "Q", "response_a": "z", "response_b": "z"},
    ]
    assert [pair.replies for pair in pairs_of(jsonl(tmp_path / "p.jsonl", *rows))] == [("x", "y")]
    with pytest.raises(ValueError, match="nothing can be compared"):
        pairs_of(jsonl(tmp_path / "same.jsonl", rows[1]))


def test_a_rater_who_stops_goes_on_and_is_asked_nothing_twice(tmp_path):
    file, out = pairs_file(tmp_path), tmp_path / "votes.jsonl"
    first = Person(consistent, stop_after=17)
    first.rate(file, out)
    rest = Person(consistent)
    ratings = rest.rate(file, out)
    whole = Person(consistent)
    whole.rate(file, tmp_path / "whole.jsonl")
    assert first.shown + rest.shown == whole.shown
    assert len(answers_file(out).read_text().splitlines()) == 42 == len(ratings.answered("ann"))
    assert len(read_votes(out).rows) == 40
    done = Person(consistent)
    done.rate(file, out)
    assert done.shown == []


def test_a_killed_process_loses_no_answer_and_a_torn_line_is_asked_again(tmp_path):
    file, out = pairs_file(tmp_path), tmp_path / "votes.jsonl"
    script = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom rich.console import Console\n"
        "from alignwright.run.rating.terminal import rate\nfrom alignwright.run.rating.pairs import pairs_of\n"
        "lines = iter(['1', '2', 't', 'c'])\n"
        "def line():\n    answer = next(lines, None)\n"
        "    if answer is None: os.kill(os.getpid(), signal.SIGKILL)\n    return answer\n"
        "rate(pairs_of(Path(sys.argv[1])), Path(sys.argv[2]), Console(), line, rater='ann')\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(file), str(out)], capture_output=True, env=os.environ)
    assert killed.returncode == -9
    answers = answers_file(out)
    assert [json.loads(line)["choice"] for line in answers.read_text().splitlines()] == ["a", "b", "tie", "cannot say"]
    with answers.open("ab") as torn:
        torn.write('{"pair": "é'.encode()[:-1])  # the power went within a letter
    assert len(Person(consistent).rate(file, out).rows) == 42
    assert len(read_votes(out).rows) == 39  # "cannot say" is no vote


def test_a_damaged_answer_is_named_by_its_line_and_votes_of_others_are_not_overwritten(tmp_path):
    file, out = pairs_file(tmp_path), tmp_path / "votes.jsonl"
    out.write_text("{}\n")
    with pytest.raises(ValueError, match="name another with --out"):
        Person(consistent).rate(file, out)
    assert out.read_text() == "{}\n"
    answers_file(out).write_text('{"pair": 3}\n')
    with pytest.raises(ValueError, match=r"votes\.answers\.jsonl:1: this is no answer"):
        Person(consistent).rate(file, out)


def test_self_agreement_is_one_for_a_consistent_rater_chance_for_a_random_one_and_none_for_one_who_goes_by_side(
    tmp_path,
):
    file = pairs_file(tmp_path, 1200)
    draw = random.Random(5)
    people = {
        "steady": consistent,
        "dice": lambda one, two: draw.choice("12"),
        "left": lambda one, two: "1",
        "silent": lambda one, two: "c",
    }
    agreements = {
        name: Person(says).rate(file, tmp_path / f"{name}.jsonl", rater=name).agreement(name)
        for name, says in people.items()
    }
    assert (agreements["steady"].same, agreements["steady"].n) == (60, 60)
    assert agreements["dice"].n == 60
    assert 15 <= agreements["dice"].same <= 45
    assert (agreements["left"].same, agreements["left"].n, agreements["left"].first, agreements["left"].sided) == (
        0,
        60,
        1260,
        1260,
    )
    assert (agreements["silent"].n, agreements["silent"].unsaid) == (0, 60)
    assert described(agreements["steady"])[0].startswith(
        "agreement with yourself: 100% [94%, 100%] of 60 repeated pairs"
    )
    assert described(agreements["silent"])[0].startswith("agreement with yourself: unknown")


def test_several_raters_fill_one_file_and_their_votes_are_aggregated(tmp_path):
    spec = write(tmp_path)
    file, out = pairs_file(tmp_path, 6), tmp_path / "people.jsonl"
    Person(consistent).rate(file, out, "ann", group="north")
    Person(consistent).rate(file, out, "bob", group="south")
    Person(lambda one, two: "t").rate(file, out, "cyd")
    spec.write_text(
        spec.read_text().replace("  pairs: [pairs.jsonl]\n", "  pairs: [pairs.jsonl]\n  people: people.jsonl\n")
    )
    assert any("people.jsonl" in line for line in check(spec).lines)
    rows = read_votes(out).rows
    assert [len(row.votes) for row in rows] == [3] * 6
    preferences = pooled(rows)
    assert len(preferences) == 6
    assert all(p.chosen.startswith("good") for p in preferences)


def test_what_is_rated_is_shown_as_text_and_comes_back_to_the_letter(tmp_path):
    source = jsonl(tmp_path / "p.jsonl", {"prompt": f"Ask {HOSTILE}", "chosen": HOSTILE, "rejected": "plain"})
    person = Person(lambda one, two: "1" if "loud" in one else "2")
    person.rate(source, tmp_path / "v.jsonl")
    screen = person.screen.getvalue()
    assert not set("\x1b\u202e\x07") & set(screen)
    assert "[bold]loud[/]" in screen
    assert "⟨U+202E⟩" in screen
    assert [line.strip() for line in screen.splitlines()].count("--- reply 2 ---") == 6  # with the four planted
    assert screen.splitlines().count("--- reply 2 ---") == 1 + 1  # ours, of the question and of its repetition
    (row,) = read_votes(tmp_path / "v.jsonl").rows
    assert row.replies[row.votes[0].prefers].text == HOSTILE
    assert row.prompt.conversation.last.content == f"Ask {HOSTILE}"


def test_what_is_no_answer_is_asked_again_and_nothing_is_kept_of_it(tmp_path):
    lines = iter(["", "3", "\x1b[2J", "\udcff", "cannot say too long", "q"])
    ratings = Person(lambda one, two: next(lines)).rate(pairs_file(tmp_path, 3), tmp_path / "v.jsonl")
    assert [(row.choice, row.reason) for row in ratings.rows] == [("cannot say", "too long")]
    assert not (tmp_path / "v.jsonl").exists()  # no vote yet


def test_a_prompt_with_turns_topic_and_checks_is_the_same_prompt_when_its_votes_are_read(tmp_path):
    turns = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    checks = [{"name": "punctuation:no_comma", "args": {}}]
    row = {"prompt": turns, "chosen": "x", "rejected": "y", "topic": "t", "principle": "p", "checks": checks}
    source = jsonl(tmp_path / "p.jsonl", row)
    Person(lambda one, two: "t").rate(source, tmp_path / "v.jsonl")
    assert read_votes(tmp_path / "v.jsonl").rows[0].prompt == pairs_of(source)[0].prompt


def test_a_runs_comparisons_are_rated_each_two_replies_of_them_the_disputed_first(tmp_path):
    ledger, prompt = Ledger(tmp_path), Prompt(conversation=Conversation.user("Q"))
    replies = tuple(Reply(text=text, parent=prompt.id) for text in ("x", "y", "z"))
    votes = (
        Vote(voter="r1", prefers=2, over=1),
        Vote(voter="r2", prefers=1, over=2),
        Vote(voter="r1", prefers=0, over=1),
    )
    folder = ledger.folder(1, "aggregate.pooled", "k")
    write_records(folder / "comparisons.jsonl", [Comparison(prompt=prompt, replies=replies, votes=votes)])
    ledger.finish("aggregate.pooled", "k", folder, 0.0)
    asked = showings(pairs_of(tmp_path), rater="ann", seed=0)
    assert set(asked[0].pair.replies) == {"y", "z"}
    assert len([s for s in asked if not s.again]) == 3
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no replies were compared in it"):
        pairs_of(tmp_path / "empty")


def _pair(i: int) -> RatedPair:
    return RatedPair(f"{i:03d}", Prompt(conversation=Conversation.user(f"Q{i}")), ("x", "y"))
