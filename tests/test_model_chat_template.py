"""A chat template writes what transformers would have it write, on the day it is told, and
within bounds of time, memory and length."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from tiny import TEMPLATE, make_tokenizer

from alignwright.core.records import TODAY, Conversation
from alignwright.model import chat_template as rendering
from alignwright.model.chat_template import Template, TemplateOverBound, TemplateRefusal
from alignwright.model.tokens import Chat

TALK = [
    {"role": "system", "content": "Be <b>brief</b>."},
    {"role": "user", "content": "Hi\n"},
    {"role": "assistant", "content": "Grüße 🙂"},
]
LOOPS = (
    "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}"
)
DATED = "{{ strftime_now('%d %b %Y') }}" + TEMPLATE
WAYS = """{%- macro shown(m) %}{{ m.role | upper }}: {{ m['content'] | trim }}{% endmacro -%}
{% set ns = namespace(count=0) %}
  {% for m in messages %}
    {%- if m.role == 'nobody' %}{% continue %}{% endif %}
    {%- set ns.count = ns.count + 1 %}
    {% generation %}{{ shown(m) }}{% endgeneration %}
{{ m | tojson }} {{ m.content.split(' ')[-1] }} {{ loop.index0 }} {{ bos_token }} {{ dict(a=1).items() | list }}
  {% endfor %}
{%- if add_generation_prompt %}{{ 'assistant ' ~ ns.count }}{% endif %}\
{% if tools is not none %}tools{% endif %}{{ documents is defined }}
"""


def made(source: str, **bounds: Any) -> Template:
    return Template(source, {"bos_token": "<|im_start|>"}, TODAY, **bounds)


@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("source", [TEMPLATE, WAYS])
def test_it_writes_what_transformers_writes(source: str, header: bool) -> None:
    tokenizer = make_tokenizer(source)
    theirs = tokenizer.apply_chat_template(TALK, tokenize=False, add_generation_prompt=header)
    assert made(source).render(TALK, add_generation_prompt=header) == theirs
    assert "Gr" in theirs


def test_today_is_the_day_that_was_given_whatever_the_clock_says() -> None:
    assert made("{{ strftime_now('%d %b %Y %H:%M') }}").render([]) == "26 Jul 2024 12:00"
    assert Template("{{ strftime_now('%A') }}", {}, "2026-11-29").render([]) == "Sunday"
    tokenizer, talk = make_tokenizer(DATED), Conversation.user("Hi")
    assert (
        Chat(tokenizer).prompt(talk)
        == Chat(tokenizer, date=TODAY).prompt(talk)
        != Chat(tokenizer, date="2024-07-27").prompt(talk)
    )


def test_what_is_drawn_at_random_is_drawn_alike_each_time() -> None:
    source = "{{ range(10000) | random }} {{ lipsum(n=1) }}"
    first = made(source).render([])
    rendering._child.end()
    assert made(source).render([]) == first


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (LOOPS, "not done after 1 seconds"),
        ("{{ (7 ** 40000000) % 3 }}", "not done after 1 seconds"),
        ("{% for i in range(9999) %}{{ 'a' * 9 }}{% endfor %}", "more than 5,000 characters"),
        ("{{ 'a' * 10 ** 9 }}", "MiB of memory"),
        (
            "{% set ns = namespace(x='aa') %}{% for i in range(64) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
            "MiB of memory",
        ),
    ],
)
def test_a_template_without_end_is_stopped_and_the_next_is_written(source: str, words: str) -> None:
    with pytest.raises(TemplateOverBound, match=words):
        made(source, seconds=1, most=5_000).render([])
    assert made(TEMPLATE).render(TALK).startswith("<|im_start|>system")


@pytest.mark.parametrize("polls", [True, False])
def test_a_template_is_waited_for_so_long_also_where_pipes_cannot_be_polled(
    polls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not polls:  # as on Windows
        monkeypatch.delattr(rendering.select, "poll")
    assert made(TEMPLATE).render(TALK).startswith("<|im_start|>system")
    monkeypatch.setattr(rendering, "WAIT", 0.3)
    with pytest.raises(TemplateOverBound, match="not done after 0 seconds"):
        made(LOOPS, seconds=60).render([])
    monkeypatch.setattr(rendering, "WAIT", 120.0)
    assert made(TEMPLATE).render(TALK).startswith("<|im_start|>system")


def test_a_child_that_was_killed_is_made_anew() -> None:
    made(TEMPLATE).render(TALK)
    assert rendering._child.process is not None
    os.kill(rendering._child.process.pid, signal.SIGKILL)
    rendering._child.process.wait()
    assert made(TEMPLATE).render(TALK).startswith("<|im_start|>system")


def test_the_length_that_is_allowed_grows_with_the_conversation() -> None:
    long = [{"role": "user", "content": "x" * 3_000}]
    assert len(made("{{ messages[0].content * 3 }}", most=100).render(long)) == 9_000
    with pytest.raises(TemplateOverBound):
        made("{{ messages[0].content * 5 }}", most=100).render(long)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{{ raise_exception('only pictures') }}", "only pictures"),
        ("{{ ''.__class__.__mro__ }}{{ messages.append(1) }}", "unsafe|access"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recursion"),
        ("{% for %}", "(?i)expected|unexpected"),
        ("{% set ns = namespace(_x=1) %}", "_x"),
    ],
)
def test_what_a_template_refuses_is_said(source: str, words: str) -> None:
    with pytest.raises(TemplateRefusal, match=words):
        made(source).render(TALK)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of processes are of Unix")
def test_a_limit_of_processor_time_from_outside_is_kept_and_no_fault_of_the_template() -> None:
    """`ulimit -t`, as login nodes set it: the template's own process cannot raise it."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_CPU, (40, 40))\n"
        "from alignwright.model.chat_template import Template\n"
        "print(Template('{{ messages[0].content }}', {}, '2026-01-01').render([{'role': 'user', 'content': 'Hi'}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "Hi", done.stderr
