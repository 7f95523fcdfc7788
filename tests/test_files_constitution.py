"""Does a constitution say in records what it says in Markdown?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from real_data import real
from spec_case import CONSTITUTION

from alignwright.core.constitution import Constitution, Principle, PrincipleExample
from alignwright.core.records import Conversation, Message
from alignwright.experiment.load import SpecError
from alignwright.files.constitution import pairs, parse, read, render

GOVERNED = """\
# Ours

A preamble for people.

## A section {#part}

### Be plain {#be_plain authority=user}

Use short words[^a1]. Not `[^a1]`.

!!! meta "Commentary"
    Why we say so.

```
## not a heading
```

**Example**: in two steps

~~~xml
<developer>
Say &lt;b&gt; & <i>.
</developer>
<user>Hi?</user>
<comparison>
<assistant> <!-- GOOD -->
One.
</assistant>
<assistant> <!-- BAD[#part]: long -->
One, that is to say one.
</assistant>
<assistant> <!-- OK -->
Uno.
</assistant>
</comparison>
[... later ...]
<user>
More.
</user>
<comparison>
<assistant recipient="x"> <!-- GOOD -->
Two [...]
</assistant>
<assistant> <!-- BAD -->
Three.
</assistant>
</comparison>
~~~

After the example.

### Free {#free authority=none}

No authority.
"""


def wrong(text: str) -> str:
    with pytest.raises(SpecError) as caught:
        parse(text, "c.md")
    return str(caught.value)


def test_the_friendly_form() -> None:
    held = parse(CONSTITUTION, "c.md")
    assert (held.title, [p.slug for p in held.principles]) == ("What we mean", ["do_not_lie", "be_kind"])
    example = held["do_not_lie"].examples[0]
    assert example == PrincipleExample(
        conversation=Conversation.user("Is the moon made of cheese?"),
        good=("No, of rock.",),
        bad=("Yes, of cheese.",),
        note="a plain question",
    )
    assert parse(render(held), "other.md") == held


def test_the_model_spec_dialect() -> None:
    held = parse(GOVERNED, "c.md")
    assert [(p.slug, p.authority) for p in held.principles] == [("be_plain", "user"), ("free", None)]
    assert held["be_plain"].text == "Use short words. Not `[^a1]`.\n\n```\n## not a heading\n```\n\nAfter the example."
    first, second = held["be_plain"].examples
    assert first.conversation.messages == (
        Message(role="developer", content="Say <b> & <i>."),
        Message(role="user", content="Hi?"),
    )
    assert (first.good, first.bad) == (("One.",), ("One, that is to say one.",))
    assert [m.content for m in second.conversation.messages][2:] == [
        "One.",
        "More.",
    ]  # the conversation goes on with the good reply
    assert parse(render(held), "x") == held
    found, abridged = pairs(held)
    assert ([c.replies[0].text for c in found], abridged) == (["One."], 1)
    assert found[0].prompt.principle == "be_plain"
    assert found[0].replies[0].speaker == "written:good"


def test_hard_contents_survive_the_round_trip() -> None:
    content = "~~~\n<user>\n</assistant>\n&lt; <!-- GOOD -->\n~~~~\n## x"
    example = PrincipleExample(conversation=Conversation.user(content), good=(content + "a",), bad=("b", "  c"))
    principle = Principle(slug="s", title="S {x}", text="- a\n\n```\n# b\n```", authority="root", examples=(example,))
    held = Constitution(title="T", principles=(principle,))
    assert parse(render(held), "x") == held


def test_what_cannot_be_written_is_refused() -> None:
    held = Constitution(title="T", principles=(Principle(slug="s", title="S", text="a\n\n## Another heading\n\nb"),))
    with pytest.raises(ValueError, match="cannot be written"):
        render(held)


@pytest.mark.parametrize(
    ("old", "new", "where", "message"),
    [
        (
            "{#free authority=none}",
            "{#be_plain authority=none}",
            "### Free",
            "the slug 'be_plain' is already that of the principle on line 7",
        ),
        ("authority=user", "authority=usr", "### Be plain", "unknown authority 'usr'; did you mean 'user'?"),
        ("{#free authority=none}", "{authority=none}", "### Free", "needs a slug: {#free authority=none}"),
        (
            "### Free {#free authority=none}",
            "## Free",
            "## Free",
            "other headings here have an authority, this one does not",
        ),
        ("<!-- BAD -->", "", "<assistant> ", "this reply is not marked"),
        ("</developer>", "", "<developer>", "<developer> is never closed"),
        ("Three.\n</assistant>\n</comparison>", "Three.\n</assistant>", "<comparison>", "<comparison> is never closed"),
        ("After the example.", "~~~xml\n<user>\nLast\n</user>\n~~~", "<user>", "this example has no <comparison>"),
        ("```\n\n**E", "\n\n**E", "```", "this ``` block is never closed"),
        ("<user>\nMore.\n</user>\n", "", "<comparison>", "two comparisons follow one another"),
        ("No authority.\n", "", "### Free", "the principle 'free' has no text"),
    ],
)
def test_an_error_names_file_and_line(old: str, new: str, where: str, message: str) -> None:
    assert old in GOVERNED
    text = GOVERNED.replace(old, new)
    # the last line that begins so is where the fault is
    line = max(number for number, line in enumerate(text.split("\n"), 1) if line.startswith(where))
    assert f"c.md:{line}: " in wrong(text)
    assert message in wrong(text)


def test_no_principles_is_an_error() -> None:
    assert "no principles" in wrong("# Only a title\n\nAnd prose.\n")


@pytest.mark.data
def test_the_real_model_spec() -> None:
    held = read(real("openai_model_spec/model_spec.md"))
    examples = [example for principle in held.principles for example in principle.examples]
    # 59 headings have an authority; one of them is of the under-18 principles
    assert (len(held.principles), len(examples)) == (59, 189)
    assert (sum(len(e.good) for e in examples), sum(len(e.bad) for e in examples)) == (193, 196)
    assert len(pairs(held)[0]) + pairs(held)[1] == sum(len(e.good) * len(e.bad) for e in examples) == 199
    assert {p.authority for p in held.principles} == {"root", "system", "developer", "user", "guideline"}
    assert parse(render(held), "again") == held


EXAMPLE_HEAD = "## a\n\nText.\n\n~~~xml\n<user>\nq\n</user>\n<comparison>\n"
HOSTILE = {
    "a heading of spaces": "## a" + " " * 400_000 + "{#x" + " " * 400_000 + "b",
    "a heading of hashes": "## " + "# " * 400_000,
    "a heading of braces": "## a" + " {" * 400_000,
    "many headings": "## a {#a}\nText.\n" + "# b\n" * 200_000,
    "a fence of spaces": "~~~" + " " * 900_000 + "!",
    "fences": "~~~\n" * 200_001,
    "an unclosed comment": EXAMPLE_HEAD + "<assistant> <!--" + " " * 900_000 + "GOOD",
    "an unclosed attribute": EXAMPLE_HEAD + '<assistant a="b"' + ' a="b"' * 100_000,
    "a tag of spaces": EXAMPLE_HEAD + " " * 400_000 + "<assistant" + " " * 400_000,
    "back ticks": "## a\n" + "`[^" * 300_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_long_line_costs_no_more_than_its_length(tmp_path: Path, name: str) -> None:
    """Matching that goes back and forth would take from minutes to years here; the limit is on
    the hang alone."""
    (tmp_path / "c.md").write_text(HOSTILE[name])
    code = (
        "from pathlib import Path; from alignwright.files import constitution as c, errors\ntry:"
        f" c.read(Path({str(tmp_path / 'c.md')!r}))\n"
    )
    code += "except errors.SpecError as error: print(len(error.problems))"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True)


def test_a_heading_in_another_script_needs_a_slug_of_its_own() -> None:
    """It would be the principle "", which no claim, file or spec can name."""
    said = "# x\n\n## 嘘をつかない\n\nText.\n\n## 親切\n\nText.\n"
    assert wrong(said).count("no slug can be made of '") == 2
    assert (
        "c.md:3: no slug can be made of '嘘をつかない', without a letter from a to z; write {#slug} behind it"
        in wrong(said)
    )
    honest, kind = parse(said.replace("い\n", "い {#honest}\n").replace("切\n", "切 {#kind}\n"), "c.md").principles
    assert (honest.slug, honest.title, kind.slug) == ("honest", "嘘をつかない", "kind")
