"""How is an untrusted program run, perhaps written in bad faith? In a sandbox.

Inside a wall (`walls`): nothing of this machine but Python and its libraries, which cannot be
written, no network, no other process, a folder in memory. Inside that `python -I -S` without an
environment, with limits on processor time, memory, size of files, open files and processes, and a
clock that ends it with all it started. Without a wall nothing is run, unless the user says so.

An audit hook (PEP 578), set before the program's first line, is a detector and no wall, since it
runs inside the program that it watches: it ends the program at once, and says why, when it opens a
file outside its folder (Python's own library may be read), makes a link, a socket or a process,
loads ctypes or another module that reaches past Python, looks into the collector or the frames of
other threads, or sends a signal.

It needs a POSIX system with Python's `resource`; Linux is where it is tested.

What it protects from: the cheating that models are known for (reading the grader's files, patching
the runner, calling out, running for ever, filling memory or disk). What it does NOT protect from: a
fault in the kernel. A program that deceives the hook is still inside the wall; where there is none
it is out. Whoever runs as root is not held by the limit on processes. For code from a determined
attacker use a container or a virtual machine around the whole. A program's answer is its own word:
it is compared outside, never believed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from alignwright.worlds import walls

REFUSED = 77
"""The exit code of a program that was ended by the hook."""
MOST_OUTPUT = 100_000


@dataclass(frozen=True)
class Limits:
    """What a program may use up. `wall` and `cpu` are seconds."""

    wall: float = 10.0
    cpu: int = 4
    memory: int = 512 << 20
    file: int = 1 << 20
    processes: int = 16
    open_files: int = 32


@dataclass(frozen=True)
class ProcessResult:
    """How a program ended. `answer` is what it returned: the JSON of its last line, None unless
    `how` is "ended"."""

    how: Literal["ended", "failed", "refused", "too long"]
    answer: object
    output: str


def run(files: Mapping[str, str], program: str, *arguments: object, limits: Limits | None = None) -> ProcessResult:
    """Run `program` in a folder holding `files`; it reads `arguments` (JSON-able) and calls
    `answer(value)` to hand a value back."""
    allowed = limits or Limits()
    # 1. A folder of its own, one level down: what the program writes lies in it, its output beside it.
    with tempfile.TemporaryDirectory(prefix="alignwright-", ignore_cleanup_errors=True) as place:
        inside = Path(os.path.realpath(place)) / "work"
        inside.mkdir()
        for name in files:
            if name != os.path.basename(name) or name in ("", ".", ".."):
                raise ValueError(f"a file in the sandbox has a plain name, not {name!r}")
        # 2. The wall first, then the limits and the audit hook inside it: the hook may be deceived.
        barrier = walls.require_wall()
        limited = [allowed.cpu, allowed.memory, allowed.file, allowed.processes, allowed.open_files]
        # 3. Program, files and limits go in through standard input: nothing of them is in the arguments.
        settings = json.dumps({"program": program, "arguments": arguments, "limits": limited, "files": dict(files)})
        how, output = _start(
            [*(barrier.command(inside) if barrier else ()), walls.PYTHON, "-I", "-S", "-B", "-X", "utf8", "-c", _GUARD],
            inside,
            settings,
            allowed.wall,
        )
    # 4. What comes back is text of a stranger: read strictly, and compared outside.
    return _parse_result(how, output)


def has_wall() -> bool:
    """Is there a wall for programs, or does the hook alone watch them?"""
    return walls.wall() is not None


def _start(command: Sequence[str], folder: Path, settings: str, wall: float) -> tuple[int | None, str]:
    """The exit code (None: it ran too long) and the end of what was written; output goes to a
    file, which the limit on files holds too."""
    with (folder.parent / "output").open("w+b") as log:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter with our own guard
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={},
            start_new_session=True,
            close_fds=True,
        )
        try:
            process.communicate(settings.encode(), timeout=wall)
        except subprocess.TimeoutExpired:
            process.returncode = None
        finally:
            exit_code = process.returncode
            _kill(process.pid)
            process.wait()
        log.seek(max(0, log.seek(0, os.SEEK_END) - MOST_OUTPUT))
        return exit_code, log.read().decode("utf-8", "replace")


def _kill(group: int) -> None:
    """End whatever is left of the program's session."""
    try:
        os.killpg(group, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _parse_result(exit_code: int | None, output: str) -> ProcessResult:
    # 1. How it ended: by the clock, by the hook, or on its own.
    if exit_code is None:
        return ProcessResult("too long", None, f"{output}\nended: it ran too long".strip())
    if exit_code == REFUSED:
        return ProcessResult("refused", None, output.strip())
    # 2. An answer is the last line and a clean exit, else the run has failed, whatever was printed before.
    body, _, last = output.rstrip("\n").rpartition("\n")
    if exit_code != 0 or not last.startswith(_MARK):
        return ProcessResult("failed", None, output.strip())
    try:
        answer = cast("object", json.loads(last.removeprefix(_MARK)))
    except (ValueError, RecursionError):  # a program may write its answer itself, nested as deep as it likes
        return ProcessResult("failed", None, output.strip())
    return ProcessResult("ended", answer, body.strip())


_MARK = "answer:"
_GUARD = """
import json, os, resource, sys

if os.getpid() == 1:  # the first process of a namespace is not ended by the kernel's limits: let a child do the work
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os._exit(code if code >= 0 else 1)
settings = json.loads(sys.stdin.buffer.read())
cpu, memory, size, processes, files = settings["limits"]
for kind, limit in (
    (resource.RLIMIT_CPU, cpu), (resource.RLIMIT_AS, memory), (resource.RLIMIT_FSIZE, size),
    (resource.RLIMIT_NPROC, processes), (resource.RLIMIT_NOFILE, files), (resource.RLIMIT_CORE, 0),
):
    hard = resource.getrlimit(kind)[1]
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(kind, (limit, limit))
os.umask(0o077)
for name, text in settings["files"].items():
    with open(name, "w", encoding="utf-8") as file:
        file.write(text)
here, library = os.getcwd(), tuple(os.path.realpath(p) for p in sys.path if os.path.isdir(p))
sys.path[:] = [here, *library]


def armed(here=here, library=library):
    real, write, leave, sep, isdir, kinds = os.path.realpath, os.write, os._exit, os.sep, os.path.isdir, (str, bytes)
    as_text, as_type, number, find = os.fsdecode, type, int, str.startswith
    reading = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    quiet = ("compile", "exec", "import", "marshal.loads", "marshal.dumps", "marshal.load", "code.__new__",
             "builtins.id", "sys._getframe", "object.__getattr__", "object.__setattr__", "object.__delattr__", "open",
             "os.listdir", "os.scandir", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate", "os.walk",
             "os.fwalk", "glob.glob", "glob.glob/2", "pathlib.Path.glob", "pathlib.Path.rglob", "tempfile.mkstemp",
             "tempfile.mkdtemp", "shutil.rmtree", "mmap.__new__", "array.__new__", "time.sleep", "builtins.input",
             "builtins.input/result", "sys.excepthook", "sys.unraisablehook", "os.putenv", "os.unsetenv",
             "_thread.start_new_thread", "_thread.start_joinable_thread", "sys.set_asyncgen_hooks_firstiter",
             "sys.set_asyncgen_hooks_finalizer", "cpython._PySys_ClearAuditHooks", "cpython.PyInterpreterState_Clear")
    modules = ("ctypes", "_ctypes", "_posixsubprocess", "_socket", "socket", "_multiprocessing", "multiprocessing",
               "subprocess", "_testcapi", "_testinternalcapi", "_xxsubinterpreters", "_interpreters", "_posixshmem",
               "resource", "fcntl", "termios", "pty", "_ctypes_test")
    on_paths = ("open", "os.listdir", "os.scandir", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.truncate")

    def hook(event, args):
        why = ""
        if event not in quiet:
            why = event
        elif event == "import":
            if args[0] in modules:
                why = "import of " + args[0]
        elif event in ("object.__setattr__", "object.__delattr__"):
            if args[1] == "__code__":
                why = "change of a function's code"
        elif event in on_paths:
            paths = args[:2] if event == "os.rename" else args[:1]
            for path in paths:
                if as_type(path) is number:
                    if event != "open":
                        why = event + " by number"
                    continue
                if path is None:
                    path = "."
                if as_type(path) not in kinds:
                    why = event + " of an odd path"
                    break
                place = real(as_text(path))
                if place == here or find(place, here + sep):
                    continue
                reads = event == "open" and not (args[2] & reading) and not isdir(place)
                if (reads or event in ("os.listdir", "os.scandir")) and "site-packages" not in place:
                    held = False
                    for root in library:
                        if place == root or find(place, root + sep):
                            held = True
                    if held:
                        continue
                why = event + " of " + place
                break
        if why:
            write(2, ("\\nrefused: " + why + "\\n").encode("utf-8", "replace"))
            leave(77)

    return hook


import types  # what the hook must not meet for the first time while it works
out, write = os.dup(1), os.write
os.dup2(2, 1)


def answer(value, dumps=json.dumps, write=write, out=out):
    text = dumps(value, allow_nan=False)
    sys.stdout.flush()
    sys.stderr.flush()
    write(out, ("\\nanswer:" + text + "\\n").encode())


space = {"__name__": "__main__", "answer": answer, "arguments": settings["arguments"]}
code = compile(settings["program"], "<program>", "exec")
for name in ("_posixsubprocess", "_ctypes", "ctypes", "_socket", "socket", "resource", "subprocess", "fcntl"):
    sys.modules.pop(name, None)
sys.addaudithook(armed())
del armed, settings, resource
exec(code, space)
"""
