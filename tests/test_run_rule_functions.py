"""Does a rule that is a Python function get what it asks for, does it depend on what lies beside
it, and is anything that is one number a score?"""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from run_case import make_project

from alignwright.core.records import Comparison, Conversation, Prompt, Reply
from alignwright.experiment.cache_key import cache_keys, files_of
from alignwright.experiment.check import check
from alignwright.feedback.rules import FunctionVoter, RuleError, rules
from alignwright.feedback.scoring import rule_scorer
from alignwright.files.errors import SpecError
from alignwright.files.functions import RuleColumns, columns_of_function, dependencies
from alignwright.files.reading import EVERY
from alignwright.run.align import Request, prepare

ANSWER = "def score(prompt, reply, answer):\n    return float(str(answer) in reply)\n"


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


def rule(spec: Path, text: str, reward: str = "rule.py:score") -> tuple[str, ...]:
    (spec.parent / "rule.py").write_text(text)
    train = (
        f"train=[{{by: rloo, reward: '{reward}', kl_coef: 0, rank: 2, epochs: 1, prompts: 2, samples: 2,"
        " max_new_tokens: 4}]"
    )
    return (
        train,
        "measure=[]",
        "attack=[]",
        "feedback=[]",
        "collect=null",
        "intent.pairs=[]",
        "intent.constitution=null",
        "promises=[]",
    )


def prompts(spec: Path, *rows: dict[str, object]) -> None:
    (spec.parent / "prompts.jsonl").write_text(
        "".join(json.dumps({"prompt": f"say {i}?", **row}) + "\n" for i, row in enumerate(rows))
    )


# ---- columns -------------------------------------------------------------------------------------
def test_the_rows_own_columns_come_by_name(spec: Path) -> None:
    knobs = rule(spec, ANSWER)
    prompts(spec, {"answer": "sun", "other": 1}, {"answer": 7})
    check(spec, knobs)
    experiment, _, _ = prepare(Request(spec, knobs))
    found = experiment.data.prompts(experiment.intent.prompts)
    assert [prompt.columns for prompt in found] == [(("answer", '"sun"'),), (("answer", "7"),)]
    scores = rule_scorer("rule.py:score", experiment.folder)(found, [["the sun", "rain"], ["7", "8"]])
    assert [[score.value for score in group if score] for group in scores] == [[1.0, 0.0], [1.0, 0.0]]


def test_a_row_without_the_column_is_found_by_check_with_its_line(spec: Path) -> None:
    knobs = rule(spec, ANSWER)
    prompts(spec, {"answer": "sun"}, {}, {"answer": "moon"}, {})
    with pytest.raises(
        SpecError,
        match=(
            r"rule\.py:score asks for the column 'answer', which 2 of 4 rows have not; the first is .*prompts\.jsonl:2"
        ),
    ):
        check(spec, knobs)
    check(
        spec, rule(spec, "def score(prompt, reply, answer=None):\n    return 0.0 if answer is None else 1.0\n")
    )  # a default asks for nothing


def test_columns_that_nobody_asks_for_leave_a_prompt_as_it_was(spec: Path) -> None:
    knobs = rule(spec, "def score(prompt, reply):\n    return 1.0\n")
    prompts(spec, {"answer": "sun"})
    experiment, _, _ = prepare(Request(spec, knobs))
    (prompt,) = experiment.data.prompts(experiment.intent.prompts)
    assert prompt.id == Prompt(conversation=Conversation.user("say 0?")).id
    assert "columns" not in prompt.model_dump(mode="json")


def test_every_column_is_handed_to_who_takes_whatever_there_is(spec: Path) -> None:
    knobs = rule(spec, "def score(prompt, reply, **columns):\n    return len(columns)\n")
    prompts(spec, {"answer": "sun", "level": [1, 2], "topic": "t"})
    experiment, _, _ = prepare(Request(spec, knobs))
    assert experiment.data._keep == EVERY
    (prompt,) = experiment.data.prompts(experiment.intent.prompts)
    voter = rules("rule.py:score", experiment.folder)
    assert isinstance(voter, FunctionVoter)
    assert voter.score(prompt, "x") == (2.0, "rule.py:score")  # answer and level; the topic is the statistics' own


def test_a_prompt_of_elsewhere_cannot_be_told_and_two_arguments_are_needed() -> None:
    voter = FunctionVoter(lambda prompt, reply, *, answer: 1.0, "f")
    assert voter.score(Prompt(conversation=Conversation.user("Why?")), "x") is None
    with pytest.raises(RuleError, match="a rule takes the prompt and the reply first"):
        FunctionVoter(lambda reply: 1.0, "f").score(Prompt(conversation=Conversation.user("Why?")), "x")


def test_a_signature_is_read_without_running_the_file(tmp_path: Path) -> None:
    file = tmp_path / "f.py"
    file.write_text("raise SystemExit\ndef f(p, r, a, b=1, *, c, d=2, **more): ...\ndef g(p, r): ...\n")
    assert columns_of_function(file, "f") == RuleColumns(("a", "c"), ("b", "d"), True)
    assert columns_of_function(file, "g") == RuleColumns()
    assert columns_of_function(file, "h") == RuleColumns()


# ---- what lies beside ----------------------------------------------------------------------------
def test_a_module_beside_and_a_file_that_it_names_are_in_the_key(spec: Path) -> None:
    folder = spec.parent
    knobs = rule(
        spec,
        "from helper import words\nfrom pack import part\nimport json\n\ndef score(prompt, reply):\n    return"
        " len(words)\n",
    )
    (folder / "helper.py").write_text(
        "from pathlib import Path\nwords = (Path(__file__).parent / 'words.txt').read_text().split()\n"
    )
    (folder / "words.txt").write_text("one two")
    (folder / "pack").mkdir()
    (folder / "pack" / "__init__.py").write_text("")
    (folder / "pack" / "part.py").write_text("from . import deep\n")
    (folder / "pack" / "deep.py").write_text("")
    (folder / "unread.py").write_text("")
    check(spec, knobs)
    experiment, jobs, _ = prepare(Request(spec, knobs))
    (job,) = [job for job in jobs if job.name == "train.0.rloo"]
    read = {"rule.py", "helper.py", "words.txt", "pack/__init__.py", "pack/part.py", "pack/deep.py"}
    assert {Path(name).name if "/" not in name else name for name in files_of(job.stage, experiment)} >= read
    assert "unread.py" not in files_of(job.stage, experiment)

    def key() -> str:
        experiment, jobs, _ = prepare(Request(spec, knobs))
        return cache_keys(experiment, jobs)["train.0.rloo"]

    before = key()
    (folder / "unread.py").write_text("x = 1")
    assert key() == before, "the control: what is not read changes nothing"
    for name in ("words.txt", "helper.py", "pack/deep.py"):
        (folder / name).write_text((folder / name).read_text() + "\n")
        after = key()
        assert after != before, name
        before = after
    assert (
        rule_scorer("rule.py:score", folder)([Prompt(conversation=Conversation.user("a"))], [["b"]])[0][0].value == 2.0
    )  # type: ignore[union-attr]


def test_an_import_that_is_nowhere_is_found_by_check(spec: Path) -> None:
    knobs = rule(spec, "import no_such_helper\n\ndef score(prompt, reply):\n    return 1.0\n")
    with pytest.raises(SpecError, match="imports 'no_such_helper', which is neither beside it nor installed"):
        check(spec, knobs)
    careful = (
        "try:\n    import no_such_helper\nexcept ImportError:\n    pass\n\ndef score(prompt, reply):\n    return 1.0\n"
    )
    check(spec, rule(spec, careful))


def test_two_folders_may_each_have_a_helper(tmp_path: Path) -> None:
    for name, value in (("one", 1), ("two", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "helper.py").write_text(f"value = {value}\n")
        (tmp_path / name / "rule.py").write_text(
            "from helper import value\n\ndef score(prompt, reply):\n    return value\n"
        )
    prompt = Prompt(conversation=Conversation.user("a"))
    found = [rule_scorer("rule.py:score", tmp_path / name)([prompt], [["b"]])[0][0] for name in ("one", "two")]
    assert [score.value for score in found if score] == [1.0, 2.0]


def test_what_a_module_names_outside_its_folder_is_none_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("x")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "f.py").write_text("a = '../secret.txt'\nb = '/etc/hostname'\nimport f\n")
    assert dependencies(tmp_path / "in" / "f.py") == (tmp_path / "in" / "f.py",)


# ---- numbers -------------------------------------------------------------------------------------
ONE_NUMBER = [
    np.float32(0.5), np.float64(0.5), np.array(0.5), np.array([0.5]),
    torch.tensor(0.5), torch.tensor([0.5]), Fraction(1, 2), Decimal("0.5"), 0.5,
]  # fmt: skip


@pytest.mark.parametrize("given", ONE_NUMBER, ids=repr)
def test_anything_that_is_one_number_is_a_score(given: object) -> None:
    assert FunctionVoter(lambda p, r: given, "f").score(Prompt(conversation=Conversation.user("a")), "b") == (0.5, "f")  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize("given", [np.bool_(True), torch.tensor(True), np.int64(1), True, 1], ids=repr)
def test_a_truth_value_is_one_or_nought(given: object) -> None:
    assert FunctionVoter(lambda p, r: given, "f").score(Prompt(conversation=Conversation.user("a")), "b") == (1.0, "f")  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    "given",
    [np.array([1.0, 2.0]), torch.ones(2), "1", b"1", [1.0], {}, 1j, float("nan"), np.float32("inf"), 10**400],
    ids=repr,
)
def test_what_is_no_number_or_not_finite_is_refused(given: object) -> None:
    with pytest.raises(RuleError, match="a rule returns a finite number"):
        FunctionVoter(lambda p, r: given, "f").score(Prompt(conversation=Conversation.user("a")), "b")  # type: ignore[arg-type, return-value]


def test_a_rule_that_ends_the_program_ends_in_words(tmp_path: Path) -> None:
    """An exit code of the rule's own would be read as a verdict: 0 says that every promise was kept."""
    (tmp_path / "ends.py").write_text("import sys\ndef score(prompt, reply):\n    sys.exit(0)\n")
    (tmp_path / "loads.py").write_text("import sys\nsys.exit(0)\ndef score(prompt, reply):\n    return 1\n")
    rule = rules("ends.py:score", tmp_path)
    assert isinstance(rule, FunctionVoter)
    with pytest.raises(RuleError, match=r"rule ends.py:score at prompt \w+ \('a'\) failed: SystemExit: 0"):
        rule.score(Prompt(conversation=Conversation.user("a")), "b")
    with pytest.raises(RuleError, match=r"loads.py failed when it was loaded: SystemExit: 0"):
        rules("loads.py:score", tmp_path)


def test_what_a_rule_returned_is_shown_in_short() -> None:
    for given in (10**400, 10**9000, ["x" * 5_000]):
        with pytest.raises(RuleError, match="a rule returns a finite number") as error:
            FunctionVoter(lambda p, r, given=given: given, "f").score(Prompt(conversation=Conversation.user("a")), "b")  # type: ignore[arg-type, return-value]
        assert len(str(error.value)) < 300


def test_a_vote_uses_the_columns_too() -> None:
    prompt = Prompt(conversation=Conversation.user("a"), columns=(("answer", '"b"'),))
    replies = tuple(Reply(text=text, parent=prompt.id) for text in ("b", "c"))
    (votes,) = FunctionVoter(lambda p, r, answer: r == answer, "f")([Comparison(prompt=prompt, replies=replies)])
    assert [(vote.prefers, vote.over) for vote in votes] == [(0, 1)]
