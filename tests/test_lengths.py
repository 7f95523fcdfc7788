"""Is every file read in one sitting, and every function on one screen?"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SRC = Path(__file__).parents[1] / "src"
LINES, FUNCTION = 350, 60


def long_functions(code: str) -> Iterator[tuple[str, int]]:
    """Functions of more than `FUNCTION` lines, with their lengths."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION:
                yield node.name, length


def test_no_file_has_more_than_350_lines() -> None:
    lengths = {str(path.relative_to(SRC)): len(path.read_text("utf-8").splitlines()) for path in SRC.rglob("*.py")}
    assert len(lengths) > 200
    assert {name: length for name, length in lengths.items() if length > LINES} == {}


def test_no_function_has_more_than_60_lines() -> None:
    found = [
        (str(path.relative_to(SRC)), *each)
        for path in SRC.rglob("*.py")
        for each in long_functions(path.read_text("utf-8"))
    ]
    assert found == []


def test_a_function_that_is_too_long_is_seen() -> None:
    body = "\n".join(f"    x = {i}" for i in range(FUNCTION))
    assert list(long_functions(f"class A:\n  async def f(self):\n{body}\n")) == [("f", FUNCTION + 1)]
    assert not list(long_functions("def f():\n" + "\n".join(body.splitlines()[1:]) + "\n"))
