"""What does a chat template write? This program is a process of its own: its memory and its time
are bounded from outside the template.

It reads requests on standard input, each its length in eight bytes and then JSON, and answers in
the same form. A template sees what transformers shows it: Jinja in a sandbox, loop controls, `{%
generation %}`, `tojson`, `raise_exception`, `strftime_now`. Unlike there, today is the date that
was asked for, and what Jinja draws at random is the same each time. Only the standard library and
Jinja are imported.
"""

from __future__ import annotations

import contextlib
import json
import random
import signal
import sys
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from jinja2 import Template, TemplateError, nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

try:
    import resource
except ImportError:  # not a POSIX system: the parent's clock is the only bound
    resource = None  # type: ignore[assignment]

MEMORY = 512 * 2**20
"""Bytes of address space, of which Python and Jinja take a tenth."""
_MESSAGE = 2_000  # characters that are kept of an error's words


class _Generation(Extension):
    """`{% generation %}`: around what the assistant says. Here it is only written."""

    tags = {"generation"}  # noqa: RUF012 - jinja's own form

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_render_block"), [], [], body).set_lineno(line)

    def _render_block(self, caller: Macro) -> str:
        return caller()


class _Namespace(Namespace):
    """Jinja's namespace without names that reach into Python."""

    def __init__(*args: Any, **values: Any) -> None:  # so that a template may set `self`
        self, *rest = args
        for name in dict(*rest, **values):
            _check_name(name)
        Namespace.__init__(self, *rest, **values)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: object) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace has no name {name!r} here")


def _refuse(message: object) -> None:
    raise TemplateError(str(message))


def _tojson(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


@lru_cache(maxsize=8)
def _compiled(source: str, today: str) -> Template:
    noon = datetime.combine(date.fromisoformat(today), datetime.min.time().replace(hour=12))
    world = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
    world.filters["tojson"] = _tojson
    world.globals |= {"raise_exception": _refuse, "strftime_now": noon.strftime, "namespace": _Namespace}
    return world.from_string(source)


def _answer(request: dict[str, Any]) -> dict[str, str]:
    """The text, or why there is none: `refused` by the template itself, or `beyond` its bounds."""
    _allow(request["seconds"])
    random.seed(0)
    length, most = 0, request["most"]
    pieces: list[str] = []
    try:
        for piece in _compiled(request["source"], request["date"]).generate(**request["values"]):
            length += len(piece)
            if length > most:
                return {"beyond": f"it writes more than {most:,} characters"}
            pieces.append(piece)
        return {"text": "".join(pieces)}
    except MemoryError:
        return {"beyond": f"it takes more than {MEMORY // 2**20} MiB of memory"}
    except Exception as error:  # a template may raise anything: its own refusal, Jinja's errors, Python's
        return {"refused": (str(error) or type(error).__name__)[:_MESSAGE]}


def _allow(seconds: int) -> None:
    """So many more seconds of the processor; then the kernel ends this process, whatever it is
    doing."""
    if resource is not None:
        usage, hard = resource.getrusage(resource.RUSAGE_SELF), resource.getrlimit(resource.RLIMIT_CPU)[1]
        soft = int(usage.ru_utime + usage.ru_stime) + 1 + seconds
        soft = soft if hard == resource.RLIM_INFINITY else min(soft, hard)  # `ulimit -t`: a limit of somebody else's
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def main() -> None:
    """Answer until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt at the terminal is the parent's
    if resource is not None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        with contextlib.suppress(OSError, ValueError):  # macOS maps more than this before Python begins, and refuses
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while len(head := source.read(8)) == 8:
        answer = json.dumps(_answer(json.loads(source.read(int.from_bytes(head, "big"))))).encode()
        sink.write(len(answer).to_bytes(8, "big") + answer)
        sink.flush()


if __name__ == "__main__":
    main()
