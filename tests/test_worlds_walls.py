"""Does a wall stand where it can, hold what the hook cannot, and is nothing run where there is
none?"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from alignwright.worlds import walls
from alignwright.worlds.sandbox import Limits, run

BUILT = [built for built in (walls._BWRAP, walls._NAMESPACES) if walls.stands(built)]


@pytest.fixture(params=[walls._BWRAP, walls._NAMESPACES], ids=lambda built: built.name)
def built(request, monkeypatch) -> walls.Wall:
    if request.param not in BUILT:
        pytest.skip(f"no wall of {request.param.name} can be made on this machine")
    monkeypatch.setattr(walls, "wall", lambda: request.param)
    return request.param


@pytest.fixture
def without_hook(monkeypatch):
    """The guard without its hook: what holds now is outside the process."""
    from alignwright.worlds import sandbox

    monkeypatch.setattr(sandbox, "_GUARD", sandbox._GUARD.replace("sys.addaudithook(armed())", ""))


@pytest.mark.parametrize(
    ("program", "answer"),
    [
        ("import os; answer(sorted(os.listdir('.')))", ["solution.py"]),
        ("import os; answer(os.path.exists(arguments[0]))", False),
        ("import os; answer(os.path.exists('/proc/self') or os.path.exists('/etc/passwd'))", False),
        ("import os; answer(os.getppid() <= 2)", True),
        (
            "import os\ntry:\n    open('/outside', 'w')\nexcept OSError as error:\n    answer(type(error).__name__)",
            "OSError",
        ),
        ("import os\ntry:\n    open(os.__file__, 'a')\nexcept OSError as error:\n    answer(error.errno)", 30),
        (
            (
                "import os\ntry:\n    os.mknod('x', 0o20666, os.makedev(1, 3))\nexcept OSError as error:\n   "
                " answer(error.errno)"
            ),
            1,
        ),
        (
            (
                "import socket\ntry:\n    socket.create_connection(('127.0.0.1', 9), 1)\nexcept OSError as error:\n   "
                " answer('no network')"
            ),
            "no network",
        ),
        ("import os\ntry:\n    os.chroot('.')\nexcept OSError as error:\n    answer(error.errno)", 1),
    ],
)
def test_the_wall_holds_without_the_hook(built, without_hook, tmp_path: Path, program: str, answer: object) -> None:
    (tmp_path / "secret").touch()
    ran = run({"solution.py": ""}, program, str(tmp_path / "secret"))
    assert (ran.how, ran.answer) == ("ended", answer), ran.output


def test_the_folder_has_a_size(built, without_hook) -> None:
    program = """
n = 0
try:
    while True:
        open(f"f{n}", "wb").write(bytes(900_000))
        n += 1
except OSError as error:
    answer([n, error.errno])
"""
    ran = run({}, program, limits=Limits(wall=20))
    assert ran.how == "ended", ran.output
    assert ran.answer[0] <= 10
    assert ran.answer[1] == 28  # no space left


@pytest.mark.parametrize("named", [None, "0", "yes"])
def test_without_a_wall_nothing_is_run_unless_it_is_said(monkeypatch, tmp_path: Path, named: str | None) -> None:
    """No bwrap and no unshare on the path, or both there and of no use."""
    for tool in ("bwrap", "unshare"):
        (tmp_path / tool).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / tool).chmod(0o755)
    for path in (str(tmp_path), str(tmp_path / "nowhere")):
        monkeypatch.setenv("PATH", path)
        assert not any(walls.stands(built) for built in (walls._BWRAP, walls._NAMESPACES))
    monkeypatch.setattr(walls, "wall", lambda: None)
    if named is None:
        monkeypatch.delenv(walls.WITHOUT, raising=False)
    else:
        monkeypatch.setenv(walls.WITHOUT, named)
    with pytest.raises(walls.NoWall, match=r"install bubblewrap .* or set ALIGNWRIGHT_RUN_WITHOUT_WALL=1"):
        run({}, "answer(1)")
    monkeypatch.setenv(walls.WITHOUT, "1")
    assert run({}, "answer(1)").answer == 1
    assert run({}, "open('/etc/passwd')").how == "refused"  # the hook goes on to detect


def test_a_wall_that_does_not_hold_is_none() -> None:
    """The control of the probe: a command that walls nothing in does not pass for a wall."""
    assert os.path.exists("/")
    assert not walls.stands(walls.Wall("open", lambda root: ("env", "--chdir", str(root))))
