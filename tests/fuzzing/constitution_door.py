"""Constitutions: Markdown with headings, attributes, examples and comments, made wrong or
composed of what is odd, read and written back."""

from __future__ import annotations

import random
from pathlib import Path

import spec_case

from alignwright.files import constitution
from alignwright.files.errors import SpecError
from fuzzing import mutations
from fuzzing.trials import Fault, refusal

EXAMPLES = Path(__file__).parents[2] / "examples"
PIECES = (
    *(
        "# ",
        "## ",
        "### ",
        "###### ",
        "####### ",
        "#",
        "##x",
        "Title",
        "## Do not lie {#do_not_lie}",
        "## A {#a authority=root}",
        "## A {#a",
    ),
    *(" {#}", "{.x}"),
    *(
        "===\n",
        "---\n",
        "~~~\n",
        "```xml\n",
        "````\n",
        "~~~xml\n",
        "<user>\n",
        "</user>\n",
        "<assistant>\n",
        "</assistant>\n",
        "<comparison>\n",
    ),
    *("</comparison>\n",),
    *(
        "<!-- GOOD -->",
        "<!-- BAD: no -->",
        "<!--",
        "-->",
        "<assistant> <!-- GOOD",
        "**Example**: ",
        "**Example**:\n",
        "\n\n",
        "\n",
        "    ",
        "\t",
    ),
    *("> ", "- "),
    *(
        "<developer>",
        "<tool>",
        "<system>",
        "</",
        "<",
        "&lt;",
        "&#0;",
        "\\",
        "[x]: y",
        "|a|b|",
        "a <b> c",
        "authority=user",
        "text of a principle.",
    ),
    *(
        " " * 5000,
        "#" * 3000,
        "<!-- " * 2000,
        "~" * 3000,
        "{" * 2000,
        "{#a " * 500,
        "**" * 2000,
        "<comparison>\n" * 300,
        "\u2028",
        "\x0c",
    ),
    *("\x1b[2J", "\r"),
)


class Opened:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "c.md"
        self.texts = [spec_case.CONSTITUTION, (EXAMPLES / "quickstart" / "constitution.md").read_text(encoding="utf-8")]

    def attempt(self, rng: random.Random) -> str:
        if rng.random() < 0.4:
            said = "".join(
                rng.choice(PIECES) + rng.choice(("", "\n", "\n", " ")) for _ in range(rng.randrange(1, 60))
            ).encode()
        else:
            text = rng.choice(self.texts)
            for _ in range(rng.choice((0, 1, 2, 8))):
                lines = text.split("\n")
                lines.insert(rng.randrange(len(lines) + 1), rng.choice(PIECES))
                text = "\n".join(lines)
            said = mutations.data(rng, text.encode(), rng.choice((0, 1, 1, 3)))
        self.path.write_bytes(said)
        try:
            held = constitution.read(self.path)
        except SpecError as error:
            return refusal(error, str(self.path))
        try:
            written = constitution.render(held)
        except ValueError:
            return (  # which it says by itself: a text holds what Markdown would take for a heading or a fence
                "accepted, not rendered"
            )
        try:
            again = constitution.parse(written, self.path)
        except SpecError as error:
            raise Fault("lost", f"what was read cannot be read again: {error}") from None
        if again != held:
            raise Fault("lost", f"read, written and read again it is another one: {held!r:.600} {again!r:.600}")
        return "accepted"
