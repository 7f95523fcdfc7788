"""Are the doctor's counts those of the rows, of conversations, of texts and of real data?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from real_data import real
from tiny import make_tokenizer

from alignwright.core.records import Comparison, Conversation, Preference, Prompt
from alignwright.files.sources import read_pairs
from alignwright.model.tokens import Chat, TokenRow
from alignwright.train.data_report import BadTrainingData, diagnose, refuse
from alignwright.train.rows import demonstration_rows, fit_rows, pair_rows, prompt_rows

TALK = (
    Conversation.user("Hi", system="Be brief.")
    .then("assistant", "Hello.")
    .then("user", "Sure?")
    .then("assistant", "Yes!")
)


@pytest.fixture(scope="module")
def chat() -> Chat:
    return Chat(make_tokenizer(), eos_ids={2})


def test_counts_are_those_of_a_small_row(chat: Chat) -> None:
    row = TokenRow((1, 10, 11), ((20, 21, 2), (22, 2)), ((False, True, True), (True, True)))
    found = diagnose([row, TokenRow((1,) * 9, ((20, 2),))], chat, max_tokens=8)
    assert (found.rows, found.left_out, found.left_out_tokens) == (1, 1, 11)
    assert (found.prompt_tokens, found.trained_tokens, found.masked_tokens) == (3, 4, 1)
    assert (found.replies, found.ended) == (2, 2)


def test_every_turn_of_a_conversation_is_counted(chat: Chat) -> None:
    row = chat.conversation(TALK)
    found = diagnose([row], chat, sources=[TALK], max_tokens=512)
    said = sum(len(chat.reply(m.content)) for m in TALK.messages if m.role == "assistant")
    assert found.trained_tokens == said
    assert found.prompt_tokens + found.trained_tokens + found.masked_tokens == len(row)
    assert (found.ended, found.issues) == (1, ())
    assert (found.turns, found.trained_turns) == (2, 2)
    (last,) = demonstration_rows(chat, [TALK], "last")
    assert last == chat.row(Conversation(messages=TALK.messages[:-1]), ["Yes!"])
    found = diagnose([last], chat, sources=[TALK])
    assert (found.trained_tokens, found.turns, found.trained_turns) == (len(chat.reply("Yes!")), 2, 1)


def test_a_prompt_leaves_room_for_its_reply(chat: Chat) -> None:
    prompts = [Prompt(conversation=Conversation.user("word " * n)) for n in (1, 20)]
    rows = prompt_rows(chat, prompts)
    short, long = map(len, rows)
    found = diagnose(rows, chat, sources=prompts, kind="prompts", max_tokens=short + 30, new_tokens=30, allowed=0.5)
    assert (found.rows, found.left_out) == (1, 1)
    assert long > short
    assert "raise max_tokens to " + str(long + 30) in found.issues[0].message
    assert diagnose(rows, chat, sources=prompts, kind="prompts", max_tokens=long + 30, new_tokens=30).issues == ()


def test_plain_text_has_no_turns_to_end(chat: Chat) -> None:
    rows = [chat.text("Once upon a time."), chat.text("The end <|im_end|>.")]
    found = diagnose(rows, chat, sources=["Once upon a time.", "The end <|im_end|>."], kind="text")
    assert [issue.name for issue in found.issues] == ["control_text"]
    assert found.trained_tokens == sum(len(row.replies[0]) for row in rows)


def test_replies_that_share_a_prompt_are_one_row(chat: Chat) -> None:
    prompt = Prompt(conversation=Conversation.user("Which one, please?"))
    pairs = [
        Preference(prompt=prompt, chosen=a, rejected=b)
        for a, b in (("red", "blue"), ("red", "green"), ("blue", "green"))
    ]
    row = chat.row(prompt.conversation, ["red", "blue", "green"])
    assert diagnose([row], chat, sources=pairs).issues == ()
    assert [t.name for t in diagnose([chat.row(prompt.conversation, ["red", "blue"])], chat, sources=pairs).issues] == [
        "template"
    ]


def test_everything_that_is_refused_is_told_at_once(chat: Chat) -> None:
    prompt = Prompt(conversation=Conversation.user("hello?"))
    bad = [Preference(prompt=prompt, chosen="", rejected="x"), Preference(prompt=prompt, chosen="y", rejected="y")]
    found = diagnose(pair_rows(chat, bad), chat, sources=bad)
    with pytest.raises(BadTrainingData) as caught:
        refuse("train.1.dpo", found)
    assert [line.split(": ")[:2] for line in str(caught.value).splitlines()] == [
        ["train.1.dpo", "empty_reply"],
        ["train.1.dpo", "identical_pair"],
    ]


def test_a_demonstration_ends_with_the_assistant(chat: Chat) -> None:
    with pytest.raises(ValueError, match="must end with the assistant's turn"):
        demonstration_rows(chat, [Conversation.user("hi")])


def test_rows_left_out_are_named_and_none_is_cut(chat: Chat, tmp_path: Path) -> None:
    rows = [TokenRow((1,) * n, ((5, 2),)) for n in (3, 30, 4)]
    assert fit_rows(rows, 10, tmp_path, ["a", "b", "c"]) == [0, 2]
    assert json.loads((tmp_path / "too_long.jsonl").read_text()) == {"row": 1, "tokens": 32, "limit": 10, "data": "b"}


def test_the_doctor_needs_no_torch() -> None:
    code = "import sys, alignwright.train.data_report; assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def preferences(pairs: tuple[Comparison, ...]) -> list[Preference]:
    return [
        Preference(prompt=pair.prompt, chosen=pair.replies[0].text, rejected=pair.replies[1].text) for pair in pairs
    ]


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "share", "rows", "as_user"),
    [("dsp_preferences/helpful.test.json", 0.595, 2339, 7), ("hh_rlhf_harmless/test.jsonl.gz", 0.443, 2303, 18)],
)
def test_longer_is_better_in_real_preferences_as_was_counted_before(
    chat: Chat, name: str, share: float, rows: int, as_user: int
) -> None:
    """HH-RLHF: 59.5% of helpful and 44.3% of harmless pairs, over all pairs of the file; a dozen of
    them cannot be compared and are not read.

    And a few of its chosen replies begin with "Human:", the user's own header.
    """
    pairs = preferences(read_pairs(real(name), bad_rows=0.01).rows)
    found = diagnose([], chat, sources=pairs, kind="prompts")  # the texts alone: no row was made of them
    assert found.length is not None
    assert found.length.pairs == rows
    assert found.length.longer == pytest.approx(share, abs=0.0015)
    assert found.length.longer == sum(len(p.chosen) > len(p.rejected) for p in pairs) / rows
    assert found.length.low is not None
    assert found.length.high is not None
    assert found.length.low < found.length.accuracy < found.length.high
    assert (found.length.accuracy > 0.5) == (share > 0.5)
    issues = {issue.name: issue for issue in found.issues}
    assert issues.keys() == {"prompt_repeated", "personal_data"}, "its mail addresses and phone numbers are warned of"
    assert (issues["prompt_repeated"].count, issues["prompt_repeated"].refused) == (as_user, False)
    assert not issues["personal_data"].refused


@pytest.mark.data
def test_real_preferences_are_counted_as_the_template_writes_them(chat: Chat) -> None:
    """Against the tokenizer's own template: every token is a prompt's, a trained one, or the
    line end after the last turn."""
    pairs = [
        p
        for p in preferences(read_pairs(real("ultrafeedback_1k/train_clean.jsonl"), bad_rows=0.01).rows)
        if p.chosen == p.chosen.strip()
    ][:200]
    rows = pair_rows(chat, pairs)
    found = diagnose(rows, chat, sources=pairs)
    assert not found.refused
    assert (found.rows, found.replies, found.ended) == (200, 400, 400)
    whole = 0
    for pair in pairs:
        messages = [m.model_dump() for m in pair.prompt.conversation.then("assistant", pair.chosen).messages]
        whole += len(chat.tokenizer.apply_chat_template(messages, tokenize=True, return_dict=False)) - 1
    chosen = sum(len(row.prompt) + len(row.replies[0]) for row in rows)
    assert chosen == whole
    assert found.prompt_tokens + found.trained_tokens == chosen + sum(len(row.replies[1]) for row in rows)
    short = diagnose(rows, chat, sources=pairs, max_tokens=400)
    assert short.left_out == sum(len(row) > 400 for row in rows) > 40
    assert [issue.name for issue in short.refused] == ["rows_lost"]


@pytest.mark.data
def test_every_turn_of_real_dialogues_ends_and_no_other_is_trained(chat: Chat) -> None:
    pairs = preferences(read_pairs(real("hh_rlhf_harmless/test.jsonl.gz"), bad_rows=0.01).rows)
    talks = [c for c in (p.prompt.conversation.then("assistant", p.chosen) for p in pairs) if len(c.messages) > 3][:100]
    rows = [chat.conversation(talk) for talk in talks]
    found = diagnose(rows, chat, sources=talks)
    assert not found.refused
    assert (found.rows, found.ended) == (100, 100)
    said = [m.content for talk in talks for m in talk.messages if m.role == "assistant"]
    assert found.trained_tokens == sum(len(chat.reply(text)) for text in said)
    assert found.masked_tokens > 0
    unmasked = diagnose([TokenRow(row.prompt, row.replies) for row in rows], chat, sources=talks)
    assert [(t.name, t.count) for t in unmasked.refused] == [("prompt_trained", 100)], (
        "the control: without masks the user's later turns are trained"
    )
