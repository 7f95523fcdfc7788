"""Are records that are constructed from a row the very ones that validating each field makes?"""

from __future__ import annotations

import gc
import json
import random
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from alignwright.core.records import (
    CheckCall,
    Comparison,
    Conversation,
    Labelled,
    Message,
    Prompt,
    Record,
    Reply,
    content_id,
)
from alignwright.files import collector, construct
from alignwright.files.reading import FileRows
from alignwright.files.sources import read_conversations, read_judged, read_pairs, read_prompts

ODD = ("plain", 'q"uo\\te', "tab\tand\nline", "\u2028 \u0085 \x01", "Zoë 🦉 中文", "\u200b", " ", "", "a" * 50)
WRONG = (None, 3, 2.5, True, [], {}, ["x"], {"role": "user"}, [{"role": "nobody", "content": "x"}], [[]], " ")


def _text(draw: random.Random) -> str:
    return draw.choice(("", f"{draw.random()} ")) + draw.choice(ODD)


def _message(draw: random.Random, role: str) -> dict[str, Any]:
    names = draw.choice((("role", "content"), ("from", "value")))
    said: Any = _text(draw) if draw.random() < 0.9 else draw.choice((None, 3, [{"type": "text", "text": "part"}], [4]))
    about = draw.choice(({}, {}, {}, {"weight": draw.choice((0, 1, 2, "1"))}, {"tool_calls": [1]}, {"mood": 1}))
    return {names[0]: draw.choice((role, role, role, "human", "gpt", "nobody", ["user"])), names[1]: said, **about}


def _messages(draw: random.Random, *roles: str) -> list[dict[str, Any]]:
    return [_message(draw, role) for role in roles]


def _value(draw: random.Random, *roles: str) -> Any:
    """A text, a transcript or messages of these speakers, or something else altogether."""
    spoken = "".join(f"\n\n{'Human' if role == 'user' else 'Assistant'}: {_text(draw)}" for role in roles)
    return draw.choices((_text(draw), spoken, _messages(draw, *roles), draw.choice(WRONG)), (4, 3, 4, 1))[0]


def _row(draw: random.Random) -> dict[str, Any]:
    ways = draw.choice(("pair", "pair", "dialogues", "label", "conversation", "instruction"))
    about: dict[str, Any] = {
        "topic": draw.choice(("t", "t", 3, "", None, [], 2.5)),
        "principle": draw.choice(("p", None)),
    }
    about |= draw.choice(({}, {}, {"system": draw.choice(("Be kind.", " ", 3))}))
    about |= draw.choice(
        ({}, {}, {"checks": draw.choice(([], [{"name": "max_words", "args": {"count": 3}}], "x", [3]))})
    )
    asked, replies = _value(draw, *draw.choice((("user",), ("system", "user"), ("user", "assistant", "user")))), {}
    match ways:
        case "pair":
            replies = {name: _value(draw, "assistant") for name in ("chosen", "rejected")}
        case "dialogues":
            head = _messages(draw, "user")
            spoken = f"\n\nHuman: {_text(draw)}\n\nAssistant:"
            sides = (
                [[*head, _message(draw, "assistant")] for _ in range(2)],
                [f"{spoken} {_text(draw)}" for _ in range(2)],
            )
            chosen, rejected = draw.choice(sides)
            return {"chosen": chosen, "rejected": rejected, **about}
        case "label":
            replies = {"completion": _value(draw, "assistant"), "label": draw.choice((True, False, "true", 3))}
        case "conversation":
            return {"messages": _value(draw, "user", "assistant"), **about}
        case _:
            return {"instruction": _value(draw), "input": _text(draw), "output": _text(draw), **about}
    return {"prompt": asked, **replies, **about}


def _files(folder: Path) -> list[Path]:
    draw = random.Random(3)
    rows = [_row(draw) for _ in range(1200)]
    found: list[Path] = []
    for name in ("chosen", "messages", "completion", "prompt", "instruction"):
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows if name in row))
        found.append(path)
    return found


def _all(paths: list[Path]) -> list[FileRows[Any]]:
    reads: list[FileRows[Any]] = []
    for path in paths:
        if path.stem in ("chosen", "completion"):
            reads.append(read_judged(path, bad_rows=1.0))
        if path.stem in ("messages", "completion", "instruction"):
            reads.append(read_conversations(path, bad_rows=1.0))
        if path.stem in ("prompt", "instruction"):
            reads.append(read_prompts(path, bad_rows=1.0, keep=frozenset({"label", "chosen"})))
            reads.append(read_prompts(path, bad_rows=1.0))
    return reads


def _exact(value: Any) -> Any:
    """A record with the type of every value in it."""
    if isinstance(value, Record):
        return type(value), [(name, _exact(paused)) for name, paused in vars(value).items() if name != "id"]
    if isinstance(value, tuple | list):
        return type(value), [_exact(one) for one in value]  # pyright: ignore[reportUnknownVariableType]
    return type(value), value


def _validate(patch: pytest.MonkeyPatch) -> None:
    """Every record is made by its validator, and named by its canonical JSON."""

    def message(role: Any, content: str, trained: bool | None = None) -> Message:
        return Message(role=role, content=content, **({} if trained is None else {"trained": trained}))

    def prompt(asked: Any, topic: Any = None, principle: Any = None, checks: Any = (), columns: Any = None) -> Prompt:
        about = {"topic": topic, "principle": principle, "columns": columns}
        said = {name: value for name, value in about.items() if value is not None}
        return Prompt(conversation=asked, checks=checks, **said)

    patch.setattr(construct, "message", message)
    patch.setattr(construct, "conversation", lambda messages: Conversation(messages=messages))
    patch.setattr(construct, "prompt", prompt)
    patch.setattr(construct, "reply", lambda text, parent, speaker: Reply(text=text, parent=parent, speaker=speaker))
    patch.setattr(construct, "comparison", lambda asked, replies: Comparison(prompt=asked, replies=replies))
    patch.setattr(Prompt, "id", property(lambda self: content_id("Prompt", self.model_dump(mode="json"))))


def test_rows_are_the_records_that_validating_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = _files(tmp_path)
    found = _all(paths)
    ids = [[row.id for row in read.rows] for read in found]
    with monkeypatch.context() as patch:
        _validate(patch)
        wanted = _all(paths)
        assert [[row.id for row in read.rows] for read in wanted] == ids
    assert found == wanted  # rows, their numbers, bad rows with their reasons, notes
    assert [[_exact(row) for row in read.rows] for read in found] == [
        [_exact(row) for row in read.rows] for read in wanted
    ]
    assert [[row.model_fields_set for row in read.rows] for read in found] == [
        [row.model_fields_set for row in read.rows] for read in wanted
    ]
    assert all(type(row).model_validate_json(row.model_dump_json()) == row for read in found for row in read.rows)
    good, bad = [sum(map(len, rows)) for rows in zip(*((read.rows, read.rejected) for read in found), strict=True)]
    assert min(good, bad) > 500
    kinds = {type(row) for read in found for row in read.rows}
    assert kinds == {Comparison, Labelled, Conversation, Prompt}
    assert len({bad.reason for read in found for bad in read.rejected}) > 25


@pytest.mark.parametrize(
    "way",
    [
        lambda: construct.message("nobody", "x"),  # pyright: ignore[reportArgumentType]
        lambda: construct.message(["user"], "x"),  # pyright: ignore[reportArgumentType]
        lambda: construct.message("user", 3),  # pyright: ignore[reportArgumentType]
        lambda: construct.message("user", None),  # pyright: ignore[reportArgumentType]
        lambda: construct.message("user", "x", 1),  # pyright: ignore[reportArgumentType]
        lambda: construct.conversation(()),
        lambda: construct.conversation([Message(role="user", content="x")]),  # pyright: ignore[reportArgumentType]
        lambda: construct.conversation(("x",)),  # pyright: ignore[reportArgumentType]
        lambda: construct.prompt("x"),  # pyright: ignore[reportArgumentType]
        lambda: construct.prompt(Conversation.user("x"), topic=3),  # pyright: ignore[reportArgumentType]
        lambda: construct.prompt(Conversation.user("x"), principle=[]),  # pyright: ignore[reportArgumentType]
        lambda: construct.prompt(Conversation.user("x"), checks=[]),  # pyright: ignore[reportArgumentType]
        lambda: construct.prompt(Conversation.user("x"), checks=({"name": 3},)),  # pyright: ignore[reportArgumentType]
        lambda: construct.prompt(Conversation.user("x"), columns=(("a", 3),)),  # pyright: ignore[reportArgumentType]
        lambda: construct.reply(None, "p", "s"),  # pyright: ignore[reportArgumentType]
        lambda: construct.reply("x", 3, "s"),  # pyright: ignore[reportArgumentType]
        lambda: construct.reply("x", "p", None),  # pyright: ignore[reportArgumentType]
        lambda: construct.comparison(Conversation.user("x"), (_reply(), _reply())),  # pyright: ignore[reportArgumentType]
        lambda: construct.comparison(_prompt(), (_reply(), "x")),  # pyright: ignore[reportArgumentType]
    ],
)
def test_what_a_record_cannot_hold_is_refused_as_by_its_validator(way: Any) -> None:
    with pytest.raises(ValidationError):
        way()


def _prompt() -> Prompt:
    return construct.prompt(Conversation.user("x"))


def _reply() -> Reply:
    return construct.reply("x", "p", "s")


def test_texts_of_a_kind_of_their_own_become_plain_ones() -> None:
    class Own(str):
        pass

    assert type(construct.message("user", Own("x")).content) is str
    assert type(construct.reply(Own("x"), "p", "s").text) is str


def test_constructed_records_are_frozen_and_share_nothing_that_a_copy_could_change() -> None:
    first, second = construct.message("user", "x"), construct.message("user", "y")
    with pytest.raises(ValidationError, match="frozen"):
        first.content = "z"
    copy = first.model_copy(update={"trained": False})
    assert copy.model_fields_set == {"role", "content", "trained"}
    assert second.model_fields_set == construct.message("user", "z").model_fields_set == {"role", "content"}
    assert copy != first
    assert second.trained


@pytest.mark.parametrize("text", ODD)
def test_a_prompts_name_is_that_of_its_canonical_json(text: str) -> None:
    read = Message(role="assistant", content=text, trained=False)
    turns = (Message(role="system", content=text), Message(role="user", content="x"), read)
    plain = Prompt(conversation=Conversation(messages=turns), topic=text, principle=text)
    checks = (CheckCall(name="max_words", args={"count": 3}),)
    for prompt in (plain, Prompt(conversation=plain.conversation, checks=checks), _with_columns(plain, text)):
        assert prompt.id == content_id("Prompt", prompt.model_dump(mode="json"))


def _with_columns(prompt: Prompt, text: str) -> Prompt:
    return Prompt(conversation=prompt.conversation, columns=(("answer", json.dumps(text)),))


def test_a_prompts_name_stays_what_it_was() -> None:
    assert Prompt(conversation=Conversation.user("Hi", system="Be kind."), topic="t").id == "25a136b2a98bd614"


def test_the_collector_is_on_again_and_leaves_what_the_caller_has_frozen() -> None:
    with collector.paused():
        assert not gc.isenabled()
    assert (gc.isenabled(), gc.get_freeze_count()) == (True, 0)
    kept = [[] for _ in range(1000)]  # frozen objects may go by their count of references at any moment: not these
    gc.freeze()
    try:
        with collector.paused():
            pass
        assert gc.get_freeze_count() >= len(kept)
    finally:
        gc.unfreeze()


def test_what_is_set_aside_is_not_looked_through_and_what_comes_later_is() -> None:
    class Ring:
        def __init__(self) -> None:
            self.itself = self

    def ring() -> weakref.ref[Ring]:
        return weakref.ref(Ring())

    gc.disable()
    try:
        before = ring()
        assert before() is not None, "a ring goes by a collection alone"
        with collector.set_aside():
            assert before() is None, "what was garbage is not kept to the end"
            count = gc.get_freeze_count()
            assert count > 10_000
            assert len(gc.get_objects()) < count / 10
            later = ring()
            with collector.set_aside():
                assert gc.get_freeze_count() <= count
            gc.collect()
            assert later() is None
        assert gc.get_freeze_count() == 0
    finally:
        gc.enable()


def test_at_exit_nothing_is_looked_through_and_all_that_is_registered_runs() -> None:
    program = (
        "import atexit, gc\n"
        "from alignwright.files.collector import nothing_at_exit\n"
        "atexit.register(lambda: print('last', gc.get_freeze_count() > 1000))\n"
        "nothing_at_exit()\n"
        "print('main', gc.get_freeze_count())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["main", "0", "last", "True"]


def test_pairs_of_either_shape_are_the_same_pairs(tmp_path: Path) -> None:
    """A question and two answers, as texts, as messages and as two whole dialogues."""
    texts = {"prompt": "What is it?", "chosen": "A river.", "rejected": "A road.", "topic": "t"}
    replies = {name: [{"role": "assistant", "content": texts[name]}] for name in ("chosen", "rejected")}
    asked = [{"role": "user", "content": texts["prompt"]}]
    whole = {name: f"\n\nHuman: {texts['prompt']}\n\nAssistant: {texts[name]}" for name in ("chosen", "rejected")}
    rows: tuple[dict[str, Any], ...] = (
        texts,
        {"prompt": asked, **replies, "topic": "t"},
        {**whole, "topic": "t"},
        {name: [*asked, *replies[name]] for name in ("chosen", "rejected")} | {"topic": "t"},
    )
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_pairs(path).rows
    assert [row.id for row in found] == [found[0].id] * 4
    assert found[0].replies[0].parent == found[0].prompt.id
