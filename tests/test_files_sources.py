"""Do public formats become the records that they mean, and is every bad row named, counted and
kept?"""

from __future__ import annotations

import csv
import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from real_data import real
from spec_case import jsonl

from alignwright.core.records import Conversation, Message, Vote
from alignwright.experiment.load import SpecError
from alignwright.files.items import ChoiceItem, MeantItem, OpinionItem, PushbackItem, RefusalItem, TextItem
from alignwright.files.rows import Raw
from alignwright.files.sources import (
    duplicates,
    read_conversations,
    read_items,
    read_judged,
    read_pairs,
    read_prompts,
    read_votes,
    write_rejected,
)

Q, GOOD, BAD = "Is rain wet, or is it dry?", "It is wet.", "It is dry."
HH = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: " + Q + "\n\nAssistant: "


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


PAIRS = {
    "plain": [{"prompt": Q, "chosen": GOOD, "rejected": BAD}],
    "messages": [{"prompt": [user(Q)], "chosen": [assistant(GOOD)], "rejected": [assistant(BAD)]}],
    "whole": [{"chosen": [user(Q), assistant(GOOD)], "rejected": [user(Q), assistant(BAD)]}],
    "transcript": [
        {"chosen": f"\n\nHuman: {Q}\n\nAssistant: {GOOD}", "rejected": f"\n\nHuman: {Q}\n\nAssistant: {BAD}"}
    ],
    "scored": [
        {"text": [f"\n\nHuman: {Q}\n\nAssistant: {BAD}", f"\n\nHuman: {Q}\n\nAssistant: {GOOD}"], "score": [0, 1]}
    ],
    "sharegpt": [
        {
            "conversations": [{"from": "human", "value": Q}],
            "chosen": {"from": "gpt", "value": GOOD},
            "rejected": {"from": "gpt", "value": BAD},
        }
    ],
    "kto": [{"prompt": Q, "completion": GOOD, "label": True}, {"prompt": Q, "completion": BAD, "label": False}],
    "alpaca": [{"instruction": Q, "chosen": GOOD, "rejected": BAD}],
}


@pytest.mark.parametrize("name", PAIRS)
def test_every_pair_format_means_the_same(tmp_path: Path, name: str) -> None:
    (pair,) = read_pairs(jsonl(tmp_path / "p.jsonl", *PAIRS[name])).rows
    assert pair.prompt.conversation == Conversation.user(Q)
    assert [(reply.text, reply.speaker, reply.parent) for reply in pair.replies] == [
        (GOOD, "written:good", pair.prompt.id),
        (BAD, "written:bad", pair.prompt.id),
    ]
    assert pair.votes == ()


def test_every_kind_of_file_means_the_same(tmp_path: Path) -> None:
    row = PAIRS["plain"][0] | {"topic": "weather"}
    lines = json.dumps(row) + "\n"
    (tmp_path / "a.jsonl").write_text("\ufeff" + lines + "\n", encoding="utf-8")
    (tmp_path / "b.json").write_text(json.dumps([row]))
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    with (tmp_path / "d.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)
    found = {read_pairs(tmp_path / name).rows for name in ("a.jsonl", "b.json", "c.jsonl.gz", "d.csv")}
    assert len(found) == 1


@pytest.mark.filterwarnings("ignore")
def test_parquet_means_the_same(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(PAIRS["messages"]), tmp_path / "a.parquet")
    assert read_pairs(tmp_path / "a.parquet").rows == read_pairs(jsonl(tmp_path / "a.jsonl", *PAIRS["plain"])).rows
    (tmp_path / "b.parquet").write_bytes(b"no")
    with pytest.raises(SpecError, match="not a Parquet file"):
        read_pairs(tmp_path / "b.parquet")


def test_a_file_of_bad_rows_is_read_no_further_than_it_takes_to_refuse_it(tmp_path: Path) -> None:
    """Ten thousand bad rows: the first thousand are enough where none is allowed; where some
    are, all are counted."""
    read = 0

    def rows(good: int) -> Iterator[Raw]:
        nonlocal read
        for number in range(1, 10_001):
            read = number
            yield Raw(number, {"text": "x"} if number <= good else {"text": 5}, "", "")

    for good in (0, 3):
        with pytest.raises(SpecError) as caught:
            read_items("big.parquet", TextItem, rows=rows(good))
        assert read == 1000 + good
        bad = f"big.parquet:{good + 1}: text: wanted text, saw the number 5 (1,000 rows: {good + 1}, {good + 2}, "
        assert caught.value.problems[0].startswith(bad)
        assert f"1000 of the first {1000 + good} rows cannot be used" in caught.value.problems[-1]
    with pytest.raises(SpecError, match="9,997 of 10,000 rows cannot be used"):
        read_items("big.parquet", TextItem, rows=rows(3), bad_rows=0.5)
    assert len(read_items("big.parquet", TextItem, rows=rows(9_500), bad_rows=0.5).rejected) == 500
    (tmp_path / "t.jsonl").write_text('{"txet": 1}\n' * 2000)
    with pytest.raises(SpecError, match=r"no column .txet. is known; did you mean .text."):
        read_items(tmp_path / "t.jsonl", TextItem)  # what every row lacks is still told as such


def test_the_shared_prefix_of_a_transcript_is_the_prompt(tmp_path: Path) -> None:
    (pair,) = read_pairs(jsonl(tmp_path / "p.jsonl", {"chosen": HH + GOOD, "rejected": HH + BAD})).rows
    assert [m.content for m in pair.prompt.conversation.messages] == ["Hi", "Hello", Q]


BAD_ROWS = [
    ({"prompt": Q, "chosen": GOOD}, "no column 'rejected'"),
    ({"prompt": Q, "chosen": GOOD, "rejected": " "}, "'rejected' is empty"),
    ({"prompt": Q, "chosen": GOOD, "rejected": GOOD + " "}, "chosen and rejected are the same"),
    ({"prompt": Q, "chosen": 3, "rejected": BAD}, "'chosen' should be text, saw the number 3"),
    ({"prompt": Q, "chosen": f"{Q} {GOOD}", "rejected": BAD}, "the prompt is repeated at the head of 'chosen'"),
    ({"prompt": [assistant("x")], "chosen": GOOD, "rejected": BAD}, "a prompt ends with the user's turn"),
    ({"prompt": [{"role": "usr", "content": "x"}], "chosen": GOOD, "rejected": BAD}, "did you mean 'user'"),
    ({"text": ["a", "b"], "score": ["1", 0]}, "the scores should be numbers"),
    ({"chosen": HH + GOOD, "rejected": "\n\nHuman: Other\n\nAssistant: x"}, "part before the last turn"),
    ({"prompt": Q, "chosen": GOOD, "rejected": BAD, "checks": [{"name": "no_such_check"}]}, "no check is called"),
]


@pytest.mark.parametrize(("row", "reason"), BAD_ROWS)
def test_a_bad_row_is_named_counted_and_kept(tmp_path: Path, row: dict[str, object], reason: str) -> None:
    path = jsonl(tmp_path / "p.jsonl", PAIRS["plain"][0], row)
    with pytest.raises(SpecError) as caught:
        read_pairs(path)
    assert caught.value.problems[0].startswith(f"{path}:2: ")
    assert reason in caught.value.problems[0]
    assert "1 of 2 rows cannot be used (50.0%)" in caught.value.problems[-1]
    with pytest.raises(SpecError):
        read_pairs(path, bad_rows=0.49)
    read = read_pairs(path, bad_rows=0.5)
    assert (len(read.rows), read.numbers) == (1, (1,))
    write_rejected(tmp_path / "rejected.jsonl", read.rejected)
    kept = json.loads((tmp_path / "rejected.jsonl").read_text())
    assert (kept["row"], json.loads(kept["text"])) == (2, row)


def test_what_is_wrong_with_many_rows_alike_is_said_once(tmp_path: Path) -> None:
    good, empty = PAIRS["plain"][0], {"prompt": Q, "chosen": GOOD, "rejected": " "}
    path = jsonl(tmp_path / "p.jsonl", good, *[empty] * 8, BAD_ROWS[2][0], *[empty] * 2)
    with pytest.raises(SpecError) as caught:
        read_pairs(path)
    first, second, count = caught.value.problems
    assert first == f"{path}:2: 'rejected' is empty (10 rows: 2, 3, 4, 5, 6, ...)"
    assert second.startswith(f"{path}:10: chosen and rejected are the same")
    assert "rows" not in second
    assert "11 of 12 rows cannot be used" in count
    rows = [{**good, "checks": [{"name": f"no_{i}"}]} for i in range(12)]
    with pytest.raises(SpecError) as caught:
        read_pairs(jsonl(tmp_path / "q.jsonl", good, *rows))
    assert len(caught.value.problems) == 12, "ten reasons, and how many more there are, and the share"
    assert caught.value.problems[-2] == f"{tmp_path / 'q.jsonl'}: and 2 more"


def test_bytes_that_are_no_text_and_text_that_is_no_json(tmp_path: Path) -> None:
    good = json.dumps(PAIRS["plain"][0]).encode()
    surrogate = b'{"prompt": "\\ud800", "chosen": "a", "rejected": "b"}'
    (tmp_path / "p.jsonl").write_bytes(
        b"\n".join([good, b'{"prompt": "\xff"}', b"{", b"[1]", b'{"prompt": NaN}', surrogate])
    )
    read = read_pairs(tmp_path / "p.jsonl", bad_rows=0.9)
    assert [row.row for row in read.rejected] == [2, 3, 4, 5, 6]
    words = ["not UTF-8", "not valid JSON", "a row is an object", "NaN is not a number", "surrogate"]
    assert all(word in row.reason for word, row in zip(words, read.rejected, strict=True))
    write_rejected(tmp_path / "rejected.jsonl", read.rejected)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "p.jsonl",
            b'{"query": "x", "answer": "y"}\n',
            "cannot tell the format from the columns query, answer; known: chosen",
        ),
        ("p.jsonl", b"", "has no rows"),
        ("p.json", b'{"a": 1}', "a list of objects, saw a mapping"),
        ("p.csv", b'prompt,chosen\n"a', "not valid CSV"),
        ("p.jsonl.gz", b"no", "cannot be read"),
        ("p.xls", b"", "cannot tell the kind of file"),
        (
            "p.jsonl",
            b'{"prompt": "x", "chosen": "a", "rejected": "b", "topik": "t"}',
            "no column 'topik' is known; did you mean 'topic'",
        ),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SpecError, match=words):
        read_pairs(tmp_path / name, bad_rows=1.0)


def test_many_ballots_on_few_replies(tmp_path: Path) -> None:
    """Each rater once on each pair of replies, in either order shown; prompts that differ in a
    column are not one."""
    same = {"a": "yes", "b": "no", "group": "g"}
    rows = [
        {"prompt": f"Q{n % 3}", "topic": f"t{n % 2}", "choice": "ab"[n % 2], "rater": n // 6} | same
        for n in range(3000)
    ]
    rows += [
        {"prompt": "Q0", "topic": "t0", "a": "no", "b": "yes", "choice": "a", "rater": 7, "group": "g"}
    ]  # 7 has voted
    rows += [
        {
            "prompt": [{"role": "user", "content": "Q0"}],
            "topic": "t0",
            "a": "no",
            "b": "yes",
            "choice": "a",
            "rater": "new",
        }
    ]
    read = read_votes(jsonl(tmp_path / "votes.jsonl", *rows), bad_rows=0.01)
    assert [len(comparison.votes) for comparison in read.rows] == [501, 500, 500, 500, 500, 500]
    assert {vote.prefers for vote in read.rows[0].votes[:500]} == {0}
    assert read.rows[0].votes[-1] == Vote(voter="new", prefers=1, over=0)
    assert [(bad.row, bad.reason) for bad in read.rejected] == [
        (3001, "rater '7' has already voted on these replies, and otherwise")
    ]


def test_votes_merge_whatever_the_order_shown(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "v.jsonl",
        {"prompt": Q, "a": GOOD, "b": BAD, "choice": "a", "rater": "r1", "group": "east"},
        {"prompt": Q, "a": BAD, "b": GOOD, "choice": "a", "rater": "r2", "group": "west"},
        {"prompt": Q, "replies": [GOOD, BAD], "choice": "tie", "rater": "r3"},
        {"prompt": Q, "a": GOOD, "b": "Other.", "choice": 1, "rater": "r1"},
        {"prompt": Q, "a": GOOD, "b": BAD, "choice": "b", "rater": "r1"},
        {"prompt": Q, "a": GOOD, "b": BAD, "choice": "c", "rater": "r4"},
        {"prompt": Q, "a": GOOD, "b": BAD, "choice": "a"},
    )
    read = read_votes(path, bad_rows=0.6)
    first, second = read.rows
    assert [(v.voter, v.group, v.prefers, v.over, v.strength) for v in first.votes] == [
        ("r1", "east", 0, 1, 1.0),
        ("r2", "west", 1, 0, 1.0),
        ("r3", "", 0, 1, 0.5),
    ]
    assert [(v.prefers, v.over) for v in second.votes] == [(1, 0)]
    assert [(row.row, row.reason.split(" ")[0]) for row in read.rejected] == [(5, "rater"), (6, "'choice'"), (7, "no")]


def test_labelled_replies_pair_up_where_they_can(tmp_path: Path) -> None:
    rows = [
        {"prompt": p, "completion": c, "label": c < "c"} for p, c in [("1", "a"), ("1", "b"), ("1", "c"), ("2", "d")]
    ]
    path = jsonl(tmp_path / "k.jsonl", *rows)
    read = read_pairs(path)
    assert [(r.replies[0].text, r.replies[1].text) for r in read.rows] == [("a", "c"), ("b", "c")]
    assert read.notes == ("1 labelled replies have no counterpart under the same prompt to be compared with",)
    learned = read_conversations(path)
    assert [c.last.content for c in learned.rows] == ["a", "b"]
    assert learned.notes == ("2 rows labelled false are not learned from",)
    with pytest.raises(SpecError, match="nothing can be compared"):
        read_pairs(jsonl(tmp_path / "k.jsonl", rows[0]))


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [user(Q), assistant(GOOD)]},
        {"conversations": [{"from": "human", "value": Q}, {"from": "gpt", "value": GOOD}]},
        {"prompt": Q, "completion": GOOD},
        {"prompt": [user(Q)], "completion": [assistant(GOOD)]},
        {"instruction": Q, "input": "", "output": GOOD},
    ],
)
def test_every_conversation_format_means_the_same(tmp_path: Path, row: dict[str, object]) -> None:
    (found,) = read_conversations(jsonl(tmp_path / "c.jsonl", row)).rows
    assert found == Conversation.user(Q).then("assistant", GOOD)


@pytest.mark.parametrize(
    ("row", "column"), [({"prompt": "a"}, "completion"), ({"instruction": "a"}, "output"), ({"topic": "a"}, "messages")]
)
def test_half_a_row_is_told_by_the_column_that_it_lacks(tmp_path: Path, row: dict[str, str], column: str) -> None:
    whole = {"prompt": "a", "completion": "b"} if "prompt" in row else {"instruction": "a", "output": "b"}
    with pytest.raises(SpecError, match=rf"c.jsonl:2: no column '{column}'"):
        read_conversations(jsonl(tmp_path / "c.jsonl", whole, row))


def test_prompts_carry_topic_principle_and_checks(tmp_path: Path) -> None:
    row = {
        "prompt": Q,
        "system": "Be dry.",
        "topic": "t",
        "principle": "p",
        "checks": [{"name": "punctuation:no_comma", "args": {}}],
    }
    read = read_prompts(jsonl(tmp_path / "p.jsonl", row, row))
    prompt = read.rows[0]
    assert prompt.conversation.messages[0] == Message(role="system", content="Be dry.")
    assert (prompt.topic, prompt.principle, prompt.checks[0].name) == ("t", "p", "punctuation:no_comma")
    assert duplicates(read.rows) == 1


def test_items_are_strict(tmp_path: Path) -> None:
    def reasons(model: type, *rows: object) -> list[str]:
        rejected = read_items(jsonl(tmp_path / "i.jsonl", *rows), model, bad_rows=0.99).rejected
        return [row.reason for row in rejected]

    push = {
        "question": "2+2?",
        "answer": ["4", "four"],
        "reply": "4.",
        "wrong": "5",
        "pushback": "No, 5.",
        "topic": "sums",
    }
    assert "also among the accepted" in reasons(PushbackItem, push, push | {"wrong": "Four"})[0]
    opinion = {"question": "q", "right": "a", "wrong": "b", "opinion": "I say b."}
    assert "the same answer" in reasons(OpinionItem, opinion, opinion | {"wrong": "A"})[0]
    meant = {"prompt": "p", "meant": "m", "literal": "l"}
    assert reasons(MeantItem, meant, meant | {"literal": "m"}) == ["meant and literal are the same reply"]
    with pytest.raises(SpecError, match="no column 'meent' is known; did you mean 'meant'"):
        reasons(MeantItem, meant, {"prompt": "p", "meent": "m", "literal": "l"})
    read = read_items(jsonl(tmp_path / "i.jsonl", meant | {"meent": "x", "source": "y"}), MeantItem)
    assert (len(read.rows), read.notes) == (1, ("columns not read: meent, source",))
    choice = {"question": "q", "choices": ["a", "b"], "answer": 1}
    wrongs: list[dict[str, object]] = [
        {"answer": 2},
        {"answer": -1},
        {"answer": True},
        {"choices": ["a", "a"]},
        {"choices": ["a"]},
    ]
    assert len(reasons(ChoiceItem, choice, *(choice | wrong for wrong in wrongs))) == len(wrongs)
    assert (
        len(
            reasons(
                RefusalItem,
                {"prompt": "p", "kind": "harmful"},
                {"prompt": "p", "kind": "bad"},
                {"prompt": " ", "kind": "harmful"},
            )
        )
        == 2
    )
    (tmp_path / "c.csv").write_text('question,choices,answer\nq,"[""a"", ""b""]",1\n')
    assert read_items(tmp_path / "c.csv", ChoiceItem).rows == (ChoiceItem(question="q", choices=("a", "b"), answer=1),)
    (tmp_path / "t.txt").write_text("One\ntwo.\n\n\nThree.")
    texts = read_items(tmp_path / "t.txt", TextItem)
    assert ([item.text for item in texts.rows], texts.numbers) == (["One\ntwo.", "Three."], (1, 5))


def test_an_unknown_hub_data_set_is_a_clear_error_offline(tmp_path: Path) -> None:
    code = (
        "from alignwright.files.sources import read_pairs\n"
        "try: read_pairs('hf://nobody-at-all/nothing')\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    offline = {"HF_HUB_OFFLINE": "1", "PATH": "", "HF_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=offline)
    assert done.stdout.startswith("SpecError hf://nobody-at-all/nothing: cannot be loaded"), done.stdout + done.stderr
    with pytest.raises(SpecError, match="owner/name"):
        read_pairs("hf://nobody")


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("hh_rlhf_harmless/test.jsonl.gz", 2303, 9),  # 5 dialogues part early, 4 have an empty turn
        ("dsp_preferences/helpful.test.json", 2339, 13),
        ("ultrafeedback_1k/clean.jsonl", 994, 6),  # 4 equal replies, 2 empty ones
        ("llamafactory_demo/dpo_en_demo.json", 300, 0),
    ],
)
def test_real_preferences(name: str, good: int, bad: int) -> None:
    read = read_pairs(real(name), bad_rows=0.01)
    assert (len(read.rows), len(read.rejected)) == (good, bad)


@pytest.mark.data
def test_real_lengths_reproduce_the_published_floor() -> None:
    """'The longer reply is better' is right on 44.3 % of HH harmless: a number of the whole
    file, so close on the good rows."""
    read = read_pairs(real("hh_rlhf_harmless/test.jsonl.gz"), bad_rows=0.01)
    longer = sum(len(row.replies[0].text) > len(row.replies[1].text) for row in read.rows)
    assert longer / len(read.rows) == pytest.approx(0.443, abs=0.005)


@pytest.mark.data
def test_ifevals_own_file_is_prompts_with_checks() -> None:
    read = read_prompts(real("ifeval/input_data.jsonl"))
    assert (len(read.rows), len(read.rejected)) == (541, 0)
    assert sum(len(prompt.checks) for prompt in read.rows) == 834


def test_a_reply_that_is_labelled_both_ways_is_left_out_and_told(tmp_path: Path) -> None:
    """Two rows went without a word; beside other replies the same text was learnt from both ways."""

    def rows(*said: tuple[str, bool]) -> Path:
        return jsonl(
            tmp_path / "l.jsonl", *({"prompt": "1", "completion": text, "label": label} for text, label in said)
        )

    both = "2 rows left out, whose reply is labelled both good and bad under one prompt"
    read = read_judged(rows(("a", True), ("a ", False), ("b", True), ("c", False)))
    assert [[reply.text for reply in row.replies] for row in read.rows] == [["b", "c"]]
    assert read.notes == (both,)
    (alone,) = read_judged(rows(("a", True), ("a", False), ("b", True))).rows
    assert alone.reply == "b"
    assert read_pairs(rows(("a", True), ("b", True), ("c", False))).notes == ()  # the control
    with pytest.raises(SpecError, match=f"no row is left: {both}"):
        read_judged(rows(("a", True), ("a", False)))
