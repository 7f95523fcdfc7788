"""Is a missed target a miss, is a peer that is not there no success, and does the attack on a server that is killed
lose and double nothing?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import attack
import attack_endpoint

PARTS: dict[str, attack.Part] = {
    "fast": lambda options: {"steps": options.steps, "targets": {"speed": [6.0, 5.0, True]}},
    "slow": lambda _: {"targets": {"loop": [3.0, 4.0, False]}},
}


def test_one_line_holds_all_targets_and_a_miss_is_an_exit_code(capsys: pytest.CaptureFixture[str]):
    assert attack.main(["--steps", "3"], PARTS) == 1
    (line,) = capsys.readouterr().out.splitlines()
    targets = {"speed": [6.0, 5.0, True], "loop": [3.0, 4.0, False]}
    assert json.loads(line) == {"instructions": "all", "fast": {"steps": 3}, "slow": {}, "targets": targets}
    assert attack.main(["fast"], PARTS) == 0
    with pytest.raises(SystemExit):
        attack.main(["nothing"], PARTS)


def measured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    """What the part about GCG says where ours takes 1 CPU-second a step and nanogcg 6, which falls more slowly."""

    def asked(_: str, code: str, at: dict[str, Any]) -> Any:
        if code == attack.LOSS:
            return [1.0, 1.5][: len(at["words"])]
        each = 1.0 if code == attack.OURS else 6.0
        losses = [3.0 - (0.5 if code == attack.OURS else 0.25) * i for i in range(at["steps"])]
        return {"seconds": each * at["steps"], "losses": losses, "words": "x"}

    monkeypatch.setattr(attack, "asked", asked)
    monkeypatch.setattr(attack, "model", lambda: "folder")
    attack.main(["gcg", "--steps", "4", "--dtypes", "bfloat16", "--seeds", "1", *options])
    return json.loads(capsys.readouterr().out)


def test_steps_are_compared_and_losses_are_those_of_typed_words(monkeypatch, capsys):
    line = measured(monkeypatch, capsys, "--peer", "python")
    assert line["targets"] == {"gcg_bfloat16": [6.0, 5.0, True], "gcg_bfloat16_loss_above": [-0.5, 0.0, True]}
    (turn,) = line["gcg"]["bfloat16"]
    assert (turn["our_steps_to_its_loss"], turn["to_its_loss"]) == (3, 8.0)  # 24 CPU-seconds beside 3


def test_without_the_peer_there_is_no_target(monkeypatch, capsys):
    monkeypatch.setattr(attack.importlib.util, "find_spec", lambda _: None)
    line = measured(monkeypatch, capsys)
    assert line["targets"] == {}
    assert "nanogcg is not here" in line["gcg"]["skipped"]


def test_an_attack_loses_and_doubles_nothing_when_the_server_is_killed():
    result = attack_endpoint.rough(60, at_once=20)
    assert (result["kills"], result["sent_by_a_second_run"], result["wrong"]) == (1, 0, 0)
    assert attack_endpoint._twice(["a", "b", "a", "c", "a"]) == ["a", "a"], "what is doubled would be seen"
