"""How is a Modelfile written that Ollama's parser reads as it was meant?

An instruction a line, values of several lines between three quotes (github.com/ollama/ollama,
docs/modelfile.mdx and parser/parser.go). The parser drops characters that do not print and has no
escape for three quotes, so in a template both are written as Go strings, as are braces that Go would
read. The template itself is Go's `text/template` over `.Messages`, without trim marks: every line
break in it is one that the chat template writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from alignwright.run.export.turn_form import Around, TurnForm

PLAIN = "{{ .Prompt }}"
"""The template of a model that reads plain text alone."""
_ODD = re.compile(r'(?:\{|"{3,}|[^\n\t\x20-\x7e])+')


def go_template(form: TurnForm) -> str:
    """A form as a Go template that ranges over the messages."""
    roles = [("user", form.user), ("assistant", form.assistant)]
    if form.system is not None:
        roles.insert(0, ("system", form.system))
    branches = [f'if eq .Role "{role}" }}}}{_turn(role, around, form)}' for role, around in roles]
    unasked = (
        f'{{{{ if and (eq $i 0) (ne .Role "system") }}}}{_text(form.unasked)}{{{{ end }}}}' if form.unasked else ""
    )
    last = ('{{ $last := "" }}', "{{ $last = .Role }}") if form.within else ("", "")
    turns = f"{{{{ {'{{ else '.join(branches)}{{{{ end }}}}"
    return (
        f"{_text(form.start)}{last[0]}{{{{ range $i, $m := .Messages }}}}{unasked}{turns}{last[1]}{{{{ end }}}}"
        f"{_text(form.header)}"
    )


def _turn(role: str, around: Around, form: TurnForm) -> str:
    before = _text(around.before)
    if form.within and role == "user" and before:
        before = f'{{{{ if ne $last "system" }}}}{before}{{{{ end }}}}'
    return f"{before}{{{{ .Content }}}}{_text(around.after)}"


def _text(words: str) -> str:
    """Words as a template has them; what Go or the parser would read otherwise, as a Go string."""
    return _ODD.sub(lambda odd: odd[0] if _prints(odd[0]) else f"{{{{ {_go_string(odd[0])} }}}}", words)


def _prints(text: str) -> bool:
    """Whether Ollama's parser keeps a text as it is, and Go reads nothing in it."""
    return text.isprintable() and "{" not in text and '"""' not in text


def _go_string(text: str) -> str:
    """A string of Go's, in letters of ASCII."""
    return "".join(json.dumps(c)[1:-1] if c.isascii() and c.isprintable() else f"\\U{ord(c):08x}" for c in text).join(
        '""'
    )


def modelfile(
    gguf: str, *, template: str | None, parameters: Sequence[tuple[str, str]], licences: Sequence[str]
) -> str:
    """The text of a Modelfile over a GGUF file beside it. Raises ValueError for a text that it cannot
    hold."""
    lines = [f"FROM ./{gguf}"]
    if template is not None:
        lines.append(f"TEMPLATE {_quoted(template)}")
    lines += [f"PARAMETER {name} {value}" for name, value in parameters]
    return "\n".join([*lines, *(f"LICENSE {_quoted(text)}" for text in licences)]) + "\n"


def stop(text: str) -> tuple[str, str]:
    """The parameter that ends a reply at a text."""
    if not text.isprintable():
        raise ValueError(f"a Modelfile cannot name {text!r}, at which the model stops: it does not print")
    return "stop", f'"{text}"'


def _quoted(text: str) -> str:
    if '"""' in text:
        raise ValueError(f"a Modelfile cannot hold three quotes in a row: {text[:80]!r}")
    return f'"""{text}"""'
