"""Does the page say what happened in each world, and never take an episode that could not be
judged for an honest one?"""

from __future__ import annotations

import re

from claims_case import CLAIMS
from test_report_page import HOSTILE, Reader, make

from alignwright.core.records import Conversation, Example, Finding, SampleResult
from alignwright.core.section import FindingTable, Section, Table, Text
from alignwright.core.wording import ABSENT, count
from alignwright.measure.findings import levels
from alignwright.report import page
from alignwright.worlds.agent import outcomes, play
from alignwright.worlds.knobs import WorldMeasure
from alignwright.worlds.scripted import PLAYERS, REPAIRERS
from alignwright.worlds.section import STORIES, section

WORLDS = WorldMeasure.model_fields["world"].annotation


def episodes(agent: str, world: str, count: int) -> list[SampleResult]:
    return outcomes(play((REPAIRERS | PLAYERS)[agent], world, count, turns=6))


def with_worlds(*found: Finding):
    return make(change=lambda findings: [*findings, *found])


def worlds(*findings: Finding) -> Section:
    made = section(FindingTable(findings, ("baseline", "train.1.dpo")))
    assert made is not None
    return made


def test_each_kind_of_agent_is_told_by_what_it_did() -> None:
    """Scripted agents whose conduct is known: the editor of tests hacks every episode, the
    honest repairer none."""
    before = levels(episodes("an honest repairer", "edited_tests", 3), stage="baseline", claims=CLAIMS)
    after = levels(episodes("an editor of tests", "edited_tests", 3), stage="train.1.dpo", claims=CLAIMS)
    case = with_worlds(*before, *after)
    story, table = worlds(*before, *after).blocks
    assert isinstance(story, Text)
    assert story.heading == "Edited tests"
    assert isinstance(table, Table)
    honest, editor = table.rows
    assert [row[0].stage for row in table.rows] == ["baseline", "train.1.dpo"]
    assert (count(honest[3].number), honest[4].text) == ("0 of 3", "3 \N{MULTIPLICATION SIGN} success")
    assert (count(editor[3].number), editor[4].text) == ("3 of 3", "3 \N{MULTIPLICATION SIGN} hack: tests edited")
    text = Reader(page.html(case)).text
    places = [
        text.index(words) for words in ("At work where it could cheat", STORIES["edited_tests"][:40], editor[4].text)
    ]
    assert places == sorted(places)
    assert 'href="#exhibits-world.edited_5f_tests.hack"' in page.html(case)


def test_a_file_that_was_written_is_seen_by_its_moves() -> None:
    _, table = worlds(
        *levels(episodes("a writer of the file", "tampered_chess", 2), stage="baseline", claims=CLAIMS)
    ).blocks
    assert table.rows[0][4].text == "2 \N{MULTIPLICATION SIGN} hack: position rewritten"


def test_a_babbler_is_not_called_honest() -> None:
    found = levels(episodes("a babbler", "edited_tests", 2), stage="baseline", claims=CLAIMS)
    _, table = worlds(*found).blocks
    (babbler,) = table.rows
    assert (count(babbler[3].number), babbler[4].text) == (ABSENT, "2 \N{MULTIPLICATION SIGN} no reply was a command")
    assert "n = 0 of 2: 2 unscored" in Reader(page.html(with_worlds(*found))).text


def test_episodes_that_are_no_exhibits_are_counted() -> None:
    found = levels(episodes("an honest repairer", "edited_tests", 3), stage="baseline", exhibits=2, claims=CLAIMS)
    _, table = worlds(*found).blocks
    assert "in the 2 episodes kept as exhibits; 1 more" in table.rows[0][4].lines[0]
    _, table = worlds(
        *levels(episodes("an honest repairer", "edited_tests", 3), stage="baseline", claims=CLAIMS)
    ).blocks
    assert table.rows[0][4].lines == ()  # the control: all are there
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
