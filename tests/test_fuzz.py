"""Do the doors hold against what others may have written? 300 generated cases each;
`benchmarks/fuzz.py` tries ten thousand."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from fuzzing import mutations, trials

from alignwright.files.errors import SpecError

CASES = 300


@pytest.mark.parametrize("door", trials.DOORS)
def test_a_door_holds(door: str) -> None:
    tally = trials.run(door, CASES)
    assert tally.cases == CASES
    assert tally.faults == []
    accepted = sum(count for ended, count in tally.ended.items() if ended.startswith("accepted"))
    assert accepted > CASES / 20  # cases that all end at the first look try nothing
    assert tally.ended["refused"] > CASES / 20


class _Bad:
    """A door that does at its turn what no door may do."""

    def __init__(self, folder: Path) -> None:
        self.number = -1

    def attempt(self, rng: random.Random) -> str:
        self.number += 1
        if self.number == 0:
            return "accepted"  # the first is tried before memory is measured
        match rng.choice(("accepted", "traceback", "hang", "growth", "lost", "end")):
            case "traceback":
                raise KeyError("nobody caught me")
            case "hang":
                while True:
                    pass
            case "growth":
                len(b"x" * (100 * 2**20))
            case "lost":
                raise trials.Fault("lost", "a row")
            case "end":
                import os

                os.abort()
        return "accepted"


def test_what_no_door_may_do_is_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The control: a door that raises, hangs, grows, loses a row and dies; each is seen, with
    its number, and the rest is tried all the same."""
    (tmp_path / "fuzzing").mkdir()
    package = Path(trials.__file__).parent
    for path in package.glob("*.py"):
        (tmp_path / "fuzzing" / path.name).write_text(
            path.read_text().replace("WAIT = 5, 500, 120", "WAIT = 1, 50, 120")
        )
    (tmp_path / "fuzzing" / "bad_door.py").write_text("from fuzzing import trials\n" + _source())
    monkeypatch.syspath_prepend(str(tmp_path))
    tally = trials.run("bad", 20)
    kinds = [fault["kind"] for fault in tally.faults]
    assert tally.cases == 20
    assert set(kinds) == {"traceback", "hang", "growth", "lost"}
    assert tally.ended["accepted"] + len(kinds) == 20
    words = " ".join(fault["words"] for fault in tally.faults)
    for said in (
        "KeyError: \"'nobody caught me'\" at bad_door.py",
        "not done after",
        "megabytes",
        "a row",
        "the process ended with -6",
    ):
        assert said in words
    again = [(fault["case"], fault["kind"]) for fault in trials.run("bad", 4).faults]  # megabytes differ by one or two
    assert again == [(fault["case"], fault["kind"]) for fault in tally.faults if fault["case"] < 4]


def _source() -> str:
    import inspect

    return "import random\nfrom pathlib import Path\n\n\n" + inspect.getsource(_Bad).replace(
        "class _Bad", "class Opened"
    )


def test_a_case_is_made_from_its_number_alone() -> None:
    row = {"prompt": "Is rain wet?", "messages": [{"role": "user", "content": "x"}]}
    made = [
        mutations.as_json(rng, mutations.mutated(rng, row, 2))
        for _ in range(2)
        for rng in (trials.seeded("rows", 3, n) for n in range(50))
    ]
    assert made[:50] == made[50:]
    assert len(set(made)) > 40
    assert row == {"prompt": "Is rain wet?", "messages": [{"role": "user", "content": "x"}]}


def test_a_refusal_has_a_place_and_is_fit_for_a_terminal() -> None:
    assert trials.refusal(SpecError(["x.yaml:1: wrong \x1b[31m"]), "x.yaml") == "refused"
    for error in (SpecError(["somewhere"]), SpecError([]), SpecError([" "])):
        with pytest.raises(trials.Fault, match=r"no place in|nothing is said"):
            trials.refusal(error, "x.yaml")
    for error in (KeyError("x.yaml"), TypeError("x.yaml"), ValueError("x.yaml")):
        with pytest.raises(type(error)):
            trials.refusal(error, "x.yaml")
    with pytest.raises(trials.Fault, match="reaches the terminal"):
        trials.acting("\x1b[31mred")
