"""Is a program in the sandbox kept in it, and is an honest one left alone? Each refusal has a
twin that is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from alignwright.worlds.sandbox import Limits, run

DEEP = "import os; os.write(answer.__defaults__[2], b'\\nanswer:' + b'[' * 50_000 + b']' * 49_000 + b'\\n')"
QUICK = Limits(wall=10, cpu=1, memory=256 << 20, file=100_000)


def test_an_honest_program_hands_back_its_answer():
    files = {"solution.py": "def double(x):\n    print('working')\n    return 2 * x\n"}
    ran = run(files, "import solution\nanswer(solution.double(arguments[0]))", 21)
    assert (ran.how, ran.answer, ran.output) == ("ended", 42, "working")


def test_the_library_is_there_and_the_folder_may_be_written():
    program = """
import collections, dataclasses, decimal, functools, itertools, json, math, random, re, string
import traceback, typing, unittest
Point = collections.namedtuple("Point", "x y", defaults=(1,))
open("note", "w").write("kept")
try:
    1 / 0
except ZeroDivisionError:
    traceback.print_exc()
answer([open("note").read(), Point(2).y])
"""
    assert run({}, program).answer == ["kept", 1]


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("open('/etc/passwd')", "open of /etc/passwd"),
        ("import os; os.open('..', os.O_RDONLY)", "open of"),
        ("open('../elsewhere', 'w')", "open of"),
        ("import os; open(os.__file__, 'a')", "open of"),
        ("import os; os.open(os.path.dirname(os.__file__), os.O_RDONLY)", "open of"),
        ("import os; os.listdir('/')", "os.listdir"),
        ("import os; os.mkdir('a'); os.rename('a', '../a')", "os.rename"),
        ("import os; os.symlink('/etc', 'etc')", "os.symlink"),
        ("import os; os.chdir('..')", "os.chdir"),
        ("import os; os.system('true')", "os.system"),
        ("import os; os.fork()", "os.fork"),
        ("import os; os.execv('/bin/sh', ['sh'])", "os.exec"),
        ("import os; os.kill(os.getppid(), 9)", "os.kill"),
        ("import socket", "import of socket"),
        ("import subprocess", "import of subprocess"),
        ("import ctypes", "import of ctypes"),
        ("import importlib; importlib.import_module('_posixsubprocess')", "_posixsubprocess"),
        ("import gc; gc.get_objects()", "gc.get_objects"),
        ("import sys; sys._current_frames()", "sys._current_frames"),
        ("import sys; sys.settrace(print)", "sys.settrace"),
        ("import sys; sys.addaudithook(print)", "sys.addaudithook"),
        ("def f(): pass\nf.__code__ = (lambda: 1).__code__", "function's code"),
    ],
)
def test_what_reaches_out_is_ended_at_once(program, why):
    ran = run({}, f"try:\n    exec({program!r})\nexcept BaseException:\n    pass\nanswer('still here')")
    assert (ran.how, ran.answer) == ("refused", None)
    assert f"refused: {ran.output.rpartition('refused: ')[2]}" in ran.output
    assert why in ran.output


@pytest.mark.parametrize(
    ("program", "seen"),
    [
        ("while True: pass", ""),
        ("bytearray(10**9)", "MemoryError"),
        ("open('x', 'w').write('a' * 10**6)", "too large"),
        ("print('x' * 10**6)", ""),
    ],
)
def test_what_uses_too_much_fails(program, seen):
    ran = run({}, program, limits=QUICK)
    assert (ran.how, ran.answer) == ("failed", None)
    assert seen in ran.output
    assert len(ran.output) <= 100_000


def test_what_never_ends_is_ended():
    assert run({}, "import time; time.sleep(60)", limits=Limits(wall=0.5)).how == "too long"


def test_nothing_of_outside_is_seen(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "sesame")
    seen = run({}, "import os; print(dict(os.environ)); answer(sorted(os.listdir('.')))")
    assert seen.answer == []
    assert "sesame" not in seen.output


@pytest.mark.parametrize(
    "program",
    [
        "import os; os.write(2, b'answer:oops'); os._exit(0)",
        "answer(float('nan'))",
        "import sys; sys.exit(0)",
        "1 +",
        DEEP,
    ],
)
def test_what_gives_no_answer_has_failed(program):
    assert (run({}, program).how, run({}, program).answer) == ("failed", None)


def test_a_file_cannot_be_put_elsewhere(tmp_path: Path):
    with pytest.raises(ValueError, match="plain name"):
        run({"../evil.py": ""}, "answer(1)")
