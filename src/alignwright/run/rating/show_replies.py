"""How are replies shown to a rater, and how is the rater asked?

Replies are text, indented: nothing in them is obeyed, or looks like ours. What is no answer is asked
again; q and the end of the input stop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from alignwright.report.text import one_line, visible

A = TypeVar("A")


def indented(console: Console, text: str) -> None:
    """Text of others: none of its lines can be taken for one of ours, which begin at the margin."""
    console.print(Padding(Text(visible(text)), (0, 0, 0, 4)))


def dim(console: Console, text: str) -> None:
    """A line of ours beside the question."""
    console.print(text, style="dim", markup=False, highlight=False)


def ask(console: Console, read_line: Callable[[], str], meaning: Callable[[str], A | None], hint: str) -> A | None:
    """What a rater answers; None where they stop. `meaning` is what a line says, None where that is no
    answer; `hint` says what is."""
    while True:
        try:
            line = read_line().strip()
            line.encode()
        except EOFError:
            return None
        except UnicodeError:
            dim(console, "that line is not UTF-8 text, so nothing was kept; write it again")
            continue
        if line.lower() == "q":
            return None
        if (answer := meaning(line)) is not None:
            return answer
        dim(console, f"{one_line(line) or 'nothing'}: not understood. {hint}")
