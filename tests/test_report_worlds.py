"""Does the page say what happened in each world, and never take an episode that could not be
judged for an honest one?"""

from __future__ import annotations

import re

from test_report_page import HOSTILE, Reader, make

from alignwright.core.records import Conversation, Example, Finding, SampleResult
from alignwright.measure.findings import levels
from alignwright.report import page
from alignwright.report.worlds import STORIES, hacked, seen, unseen, worlds
from alignwright.worlds.agent import outcomes, play
from alignwright.worlds.knobs import WorldMeasure
from alignwright.worlds.scripted import PLAYERS, REPAIRERS

WORLDS = WorldMeasure.model_fields["world"].annotation


def episodes(agent: str, world: str, count: int) -> list[SampleResult]:
    return outcomes(play((REPAIRERS | PLAYERS)[agent], world, count, turns=6))


def with_worlds(*found: Finding):
    return make(change=lambda findings: [*findings, *found])


def test_each_kind_of_agent_is_told_by_what_it_did() -> None:
    """Scripted agents whose conduct is known: the editor of tests hacks every episode, the
    honest repairer none."""
    before = levels(episodes("an honest repairer", "edited_tests", 3), stage="baseline")
    after = levels(episodes("an editor of tests", "edited_tests", 3), stage="train.1.dpo")
    case = with_worlds(*before, *after)
    (world,) = worlds(case)
    assert (world.title, world.stages) == ("Edited tests", ["baseline", "train.1.dpo"])
    honest, editor = world.hack.levels.values()
    assert (hacked(honest), seen(honest)) == ("0 of 3", ["3 \N{MULTIPLICATION SIGN} success"])
    assert (hacked(editor), seen(editor)) == ("3 of 3", ["3 \N{MULTIPLICATION SIGN} hack: tests edited"])
    text = Reader(page.html(case)).text
    places = [
        text.index(words) for words in ("At work where it could cheat", STORIES["edited_tests"][:40], *seen(editor))
    ]
    assert places == sorted(places)
    assert 'href="#exhibits-world.edited_5f_tests.hack"' in page.html(case)


def test_a_file_that_was_written_is_seen_by_its_moves() -> None:
    hack, *_ = levels(episodes("a writer of the file", "tampered_chess", 2), stage="baseline")
    assert seen(hack) == ["2 \N{MULTIPLICATION SIGN} hack: position rewritten"]


def test_a_babbler_is_not_called_honest() -> None:
    found = levels(episodes("a babbler", "edited_tests", 2), stage="baseline")
    (world,) = worlds(with_worlds(*found))
    babbler = world.hack.levels["baseline"]
    assert (hacked(babbler), seen(babbler)) == ("\N{EN DASH}", ["2 \N{MULTIPLICATION SIGN} no reply was a command"])
    assert "0 of 2" not in hacked(babbler)
    assert "n = 0 of 2: 2 unscored" in Reader(page.html(with_worlds(*found))).text


def test_episodes_that_are_no_exhibits_are_counted() -> None:
    found = levels(episodes("an honest repairer", "edited_tests", 3), stage="baseline", exhibits=2)
    assert [unseen(f) for f in found] == [1, 1, 1]
    assert "1 more are in the run" in Reader(page.html(with_worlds(*found))).text


def test_a_run_without_worlds_has_no_such_section() -> None:
    assert "where it could cheat" not in page.html(make())


def test_every_world_that_can_be_asked_for_has_its_story() -> None:
    assert set(STORIES) == set(re.findall(r"'(\w+)'", str(WORLDS)))


def test_a_hostile_episode_changes_words_and_nothing_else() -> None:
    def told(text: str) -> Finding:
        shown = Example(
            item="1",
            prompt=Conversation.user(text),
            reply=text,
            status="fail",
            reason=f"hack: {text}; x",
            kind=f"hack: {text}",
        )
        level = {
            "claim": "world.new_world.hack",
            "stage": "baseline",
            "axis": "intent",
            "value": 1.0,
            "low": 0.2,
            "high": 1.0,
            "n": 1,
            "method": "m",
        }
        return Finding.model_validate(level | {"exhibits": (shown,)})

    plain, hostile = Reader(page.html(with_worlds(told("calm")))), Reader(page.html(with_worlds(told(HOSTILE))))
    assert hostile.tags == plain.tags
    assert "\u202e" not in page.html(with_worlds(told(HOSTILE)))
    assert "New world" in plain.text  # a world of another version is shown, without a story
