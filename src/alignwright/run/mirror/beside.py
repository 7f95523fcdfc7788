"""How is a run mirrored while it is at work, and what when a mirror fails?

Each mirror that the spec names is a process beside the run (`run.mirror.process`), which reads what
the run writes. Nothing waits for it but the end of the run, for a minute at most; a mirror that
fails is one line. What it has not sent, the same command sends when it is run again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from alignwright.experiment.experiment import Experiment
from alignwright.report.text import one_line
from alignwright.run.progress import View

PATIENCE = 60.0  # seconds that the end of a run waits for a mirror
COMMAND = (sys.executable, "-m", "alignwright.run.mirror.process")
LONGEST = 300  # characters of a tool's own words


@contextmanager
def mirrors(experiment: Experiment, run: Path, view: View) -> Iterator[None]:
    """While the run is at work, its training curves are sent to the mirrors that its spec names."""
    processes = [MirrorProcess(name, experiment.name, run, view) for name in experiment.mirrors if experiment.train]
    try:
        yield
    except BaseException:
        for process in processes:
            process.end()  # it sends what it has by itself, and nobody waits for that
        raise
    for process in processes:
        with view.job(f"sending curves to {process.name}"):
            process.finish()


class MirrorProcess:
    """A mirror at work beside the run."""

    def __init__(self, name: str, project: str, run: Path, view: View) -> None:
        self.name, self.view = name, view
        self.log = run / "mirrors" / f"{name}.log"
        self.log.parent.mkdir(exist_ok=True)
        self.late = False
        source = str(Path(__file__).parents[3])
        path = os.pathsep.join(part for part in (source, os.environ.get("PYTHONPATH", "")) if part)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own module
                [*COMMAND, str(run), name, project],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,  # Ctrl-C stops the run; the mirror sends what there is
            )
        self.reader = threading.Thread(target=self._read, name=f"mirror {name}", daemon=True)
        self.reader.start()

    def end(self) -> None:
        """Tell it that no more will come."""
        assert self.process.stdin is not None
        with suppress(OSError):  # it has ended before
            self.process.stdin.close()

    def finish(self) -> None:
        """Wait until all is sent, or for as long as one may."""
        self.end()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.late = True
            self.process.kill()
        self.reader.join()

    def _read(self) -> None:
        """Its last word, said as soon as it comes."""
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            words = stdout.read().decode("utf-8", "replace")
        code = self.process.wait()
        answer = _json(words)
        if code == 0 and "steps" in answer:
            return
        if self.late:
            self._say(f"not done {PATIENCE:.0f} s after the run; the same command sends the rest")
            return
        failure = str(answer.get("failure", f"its process ended with code {code}"))[:LONGEST]
        self._say(f"{failure} (more in {self.log}); the run goes on without it")

    def _say(self, words: str) -> None:
        self.view.say(f"mirror {self.name}: {one_line(words)}")


def _json(words: str) -> dict[str, object]:
    try:
        value = json.loads(words)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
