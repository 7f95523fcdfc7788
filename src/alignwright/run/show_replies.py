"""How are replies shown to a rater? As text, indented: nothing in them is obeyed, or looks like ours."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from alignwright.report.text import visible


def indented(console: Console, text: str) -> None:
    """Text of others: none of its lines can be taken for one of ours, which begin at the margin."""
    console.print(Padding(Text(visible(text)), (0, 0, 0, 4)))


def dim(console: Console, text: str) -> None:
    """A line of ours beside the question."""
    console.print(text, style="dim", markup=False, highlight=False)
