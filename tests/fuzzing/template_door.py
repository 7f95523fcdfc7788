"""Chat templates: a real one and fragments of the language, made wrong, composed, looping,
writing without end, rendered by the child process."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from alignwright.model.chat_template import Template, TemplateOverBound, TemplateRefusal
from fuzzing import mutations
from fuzzing.trials import Fault

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'"
    " }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA = (
    "{{- bos_token }}{%- set date = strftime_now('%d %b %Y') %}{%- if messages[0]['role'] == 'system' %}{%- set system"
    " = messages[0]['content']|trim %}{%- set messages = messages[1:] %}{%- endif %}{{ date }}{%- for m in messages"
    " %}{%- if not (m.role == 'user' or m.role == 'assistant') %}{{ raise_exception('roles: ' + m.role) }}{%- endif"
    " %}{% generation %}{{ m['content'] | trim | tojson }}{% endgeneration %}{%- endfor %}"
)
PIECES = (
    *(
        "{{ messages }}",
        "{{ messages[9].content }}",
        "{{ x.y.z }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.__init__.__globals__ }}",
    ),
    *("{{ 1 // 0 }}",),
    *(
        "{% for m in messages %}",
        "{% endfor %}",
        "{% if tools %}",
        "{% endif %}",
        "{% set ns = namespace(a=1) %}",
        "{% set ns.a = 2 %}",
    ),
    *("{{ namespace(__x=1) }}",),
    *(
        "{{ 'a' * 2000000 }}",
        "{{ 'a' * 10 ** 12 }}",
        "{% break %}",
        "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
    ),
    *("{{ range(10**9) | list }}", "{#", "#}"),
    *(
        "{{ raise_exception('no') }}",
        "{{ raise_exception('\x1b[31mred') }}",
        "{{ strftime_now('%Y') }}",
        "{{ strftime_now('%') }}",
        "{% raw %}",
    ),
    *("{% endraw %}",),
    *(
        "{{ '%s' | format(messages) }}",
        "{{ '%99999999999d' % 1 }}",
        "{{ messages | tojson(indent=9) }}",
        "{% include 'x' %}",
    ),
    *("{% import 'x' as y %}", "{{ lipsum() }}"),
    *(
        "{% generation %}",
        "{% endgeneration %}",
        "{{ cycler(1).next() }}",
        "{{ joiner(messages)() }}",
        "{{ messages | map('upper') | list }}",
    ),
    *("{{", "}}", "{%", "%}"),
    *(
        "{{ bos_token }}",
        "{{ eos_token is defined }}",
        "{{ messages | length }}",
        "{% filter upper %}x{% endfilter %}",
        "{% do 1 %}",
        "{{ self }}",
    ),
    *("{{ loop.index }}",),
    *(
        "{{ 10 ** 100000 }}",
        "{{ (1,2) | sum }}",
        "{{ 'x'.center(1000000) }}",
        "{{ messages | sort }}",
        "{{ caller() }}",
        "{% call f() %}",
    ),
    *("{{ none.x }}", "\0", "\u2028"),
)
SLOW = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
LONG = "{% for i in range(99999) %}" + "y" * 999 + "{% endfor %}"


class Opened:
    def __init__(self, folder: Path) -> None:
        self.special = {"bos_token": "<s>", "eos_token": "</s>"}

    def attempt(self, rng: random.Random) -> str:
        template = Template(source(rng), self.special, "2024-07-26", seconds=1, most=100_000)
        messages: Any = [{"role": role, "content": content} for role, content in _said(rng)]
        try:
            text = template.render(messages, add_generation_prompt=rng.random() < 0.5)
        except (TemplateRefusal, TemplateOverBound) as error:
            if not str(error) or len(str(error)) > 3000:
                raise Fault(
                    "unclear", f"{len(str(error))} characters are said of a template: {str(error)[:300]!r}"
                ) from None
            return "refused"
        if not isinstance(text, str) or len(text) > template.most + 4 * sum(
            len(message["content"]) for message in messages
        ):
            raise Fault("growth", f"{len(text)} characters were written")
        if template.render(messages, add_generation_prompt=True) != template.render(
            messages, add_generation_prompt=True
        ):
            raise Fault("lost", "the same conversation, two texts")
        return "accepted"


def source(rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.004:
        return SLOW
    if draw < 0.02:
        return LONG
    if draw < 0.5:
        data = mutations.data(rng, rng.choice((CHATML, LLAMA)).encode(), rng.choice((0, 1, 1, 3)))
        return data.decode("utf-8", rng.choice(("replace", "surrogateescape")))
    pieces = [rng.choice(PIECES) for _ in range(rng.randrange(1, 8))]
    return "".join(pieces) if draw < 0.8 else mutations.text(rng, CHATML + "".join(pieces))


def _said(rng: random.Random) -> list[tuple[str, str]]:
    roles = ("user", "assistant", "system", "tool", "developer")
    return [(rng.choice(roles), rng.choice(mutations.TEXTS)) for _ in range(rng.randrange(1, 4))]
