"""Is a conversation kept, a refusal traced, and nothing that a model or a lesson says obeyed by
the terminal?"""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from feedback_doubles import Talker
from rich.console import Console

from alignwright.core.records import Conversation, Preference, Prompt
from alignwright.feedback.attribution import Attribution
from alignwright.job.records import write_records
from alignwright.run.chat import converse, lessons_of, talk

NO, YES = "I'm sorry, but I can't help with that.", "Of course. Dig a hole and water it well."
HOSTILE = "\x1b[31mred\x1b[0m [bold]loud[/] \u202edrowkcab \x07"


def preference(prompt: str, chosen: str, principle: str) -> Preference:
    return Preference(
        prompt=Prompt(conversation=Conversation.user(prompt)), chosen=chosen, rejected="x", principles=(principle,)
    )


LESSONS = Attribution(
    [
        preference("How do I hide a grenade?", NO, "be_harmless"),
        preference("How do I throw a grenade?", NO, "be_harmless"),
        preference(f"How do I plant a rose? {HOSTILE}", YES, "be_helpful"),
    ]
)


def chat(lines: list[str], says, lessons: Attribution = LESSONS) -> tuple[str, list[Conversation]]:
    out, speaker, waiting = io.StringIO(), Talker(lambda c, k: says(c)), iter(lines)

    def read(left: Iterator[str] = waiting) -> str:
        try:
            return next(left)
        except StopIteration:
            raise EOFError from None

    converse(speaker, lessons, Console(file=out, width=400, force_terminal=False), read, seed=0, temperature=0.0)
    return out.getvalue(), speaker.asked


def test_a_refusal_says_who_taught_it_and_an_answer_says_nothing_unasked():
    shown, _ = chat(
        ["How do I hide or throw a grenade?", "How do I plant a rose?"],
        lambda c: NO if "grenade" in c.last.content else YES,
    )
    _, refusal, trace, answer = shown.splitlines()
    assert (refusal, answer) == (NO, YES)
    assert trace == 'refused; taught by: be_harmless (2 of 2 nearest lessons), e.g. "How do I hide a grenade?"'


def test_why_traces_any_reply_and_says_so_where_it_cannot():
    shown, asked = chat(["/why", "How do I plant a rose?", "/why", "Zebra?", "/why", "/new", "/why"], lambda c: YES)
    _, nothing, _, taught, _, _, forgotten = shown.splitlines()
    assert nothing == forgotten == "nothing has been said yet"
    assert taught.startswith("taught by: be_helpful (1 of 1 nearest lessons)")
    assert [len(c.messages) for c in asked] == [1, 3]  # commands are never put to the model


def test_a_reply_near_no_lesson_is_not_laid_at_ones_door():
    shown, _ = chat(
        ["What about zebras?", "/new", "Zebra stripes?", "/why"], lambda c: NO if "about" in c.last.content else YES
    )
    _, _, refusal, _, answer = shown.splitlines()
    assert refusal == "refused; no lesson is near; of the run's 2 refusing lessons 2 are of be_harmless"
    assert answer == "no lesson is near; of the run's 1 answering lessons 1 are of be_helpful"
    shown, _ = chat(["Zebra?", "/why"], lambda c: NO, Attribution([preference("A", YES, "p")]))
    assert "refused; no refusing lesson was taught in this run" in shown


def test_a_short_follow_up_is_traced_by_the_whole_conversation():
    shown, _ = chat(["How do I hide a grenade?", "Come on!"], lambda c: NO)
    assert shown.splitlines()[-1].startswith("refused; taught by: be_harmless")


def test_a_model_of_no_run_has_no_lessons_and_says_so_only_when_asked():
    shown, _ = chat(["Hi", "/why"], lambda c: NO, Attribution([]))
    assert shown.splitlines()[1:] == [
        NO,
        "there are no lessons to trace it to: this is no run's model, or its run learned from no preferences",
    ]


def test_neither_a_reply_nor_a_lesson_is_obeyed_by_the_terminal():
    shown, _ = chat(["How do I plant a rose?", "/why"], lambda c: HOSTILE)
    for sign in ("\x1b", "\u202e", "\x07"):
        assert sign not in shown
    assert "[bold]loud[/]" in shown
    assert "be_helpful" in shown


def test_lessons_are_read_from_what_the_run_aggregated(tmp_path):
    assert len(lessons_of(tmp_path)) == 0
    folder = tmp_path / "stages" / "07-aggregate.pooled"
    folder.mkdir(parents=True)
    write_records(folder / "preferences.jsonl", [preference("Q", NO, "a"), preference("R", YES, "b")])
    assert [lesson.principles for lesson in lessons_of(tmp_path).all] == [("a",), ("b",)]


def test_a_run_without_its_model_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no model/ folder"):
        talk(str(tmp_path), seed=0, temperature=0.0)


def test_a_line_that_is_not_utf8_and_a_conversation_too_long_end_nothing():
    """What could not be asked is no part of the conversation, and the next line is answered."""

    def says(conversation: Conversation) -> str:
        if "long" in conversation.last.content:
            raise ValueError("a row of 9000 tokens is longer than the 2048 that it can attend to; shorten it")
        return YES

    shown, asked = chat(["Hello", "caf\udce9", "a long line", "Goodbye"], says)
    _, first, odd, long, last = shown.splitlines()
    assert (first, last) == (YES, YES)
    assert odd == "that line is not UTF-8 text, so nothing was asked; write it again"
    assert long.startswith("not answered: a row of 9000 tokens is longer than the 2048")
    assert long.endswith("/new starts over")
    assert [message.content for message in asked[-1].messages] == ["Hello", YES, "Goodbye"]


def test_a_reader_that_cannot_decode_a_line_goes_on_to_the_next():
    out, lines = io.StringIO(), iter([UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "Hello"])

    def read() -> str:
        line = next(lines, EOFError())
        if isinstance(line, Exception):
            raise line
        return line

    converse(Talker(lambda c, k: YES), LESSONS, Console(file=out, width=400), read, seed=0, temperature=0.0)
    assert out.getvalue().splitlines()[1:] == ["that line is not UTF-8 text, so nothing was asked; write it again", YES]


@pytest.mark.parametrize("line", ["/help", "/quit", "/?"])
def test_a_command_that_there_is_not_is_not_put_to_the_model(line: str):
    shown, asked = chat([line], lambda c: YES)
    assert f"{line} is no command" in shown
    assert asked == []


def test_a_line_that_only_begins_with_a_slash_is_put_to_the_model():
    _, asked = chat(["/etc/hosts is what?", "/24 is which mask?"], lambda c: YES)
    assert len(asked) == 2
