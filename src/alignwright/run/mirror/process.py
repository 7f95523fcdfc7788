"""How does a mirror keep up with a run, in a process of its own?

`python -m alignwright.run.mirror.process RUN MIRROR PROJECT` looks every second what the training
stages have logged, sends what it has not sent before, and ends when its input ends and all is sent.
Whatever a tool does (a network that hangs, a login that is missing, threads, words on the screen)
happens here, beside the run and never in it. How far each stage was sent lies in the mirror's folder,
by the key of the stage's cache: a stage that is resumed writes the last few steps again, with the
same values, and they are not sent again; one that is trained anew gets a curve of its own. Its last
word is one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from alignwright.job.ledger import json_of, run_lock, write_json
from alignwright.run.mirror.curves import StageFolder, stage_folders, steps_of
from alignwright.run.mirror.tools import Curves, open_curves

LOOKS_EVERY = 1.0  # seconds
PATIENCE = 30.0  # seconds for which the mirror of an earlier try may still be sending


class Sender:
    """What one mirror has of a run, and how it gets the rest."""

    def __init__(self, run: Path, mirror: str, project: str, folder: Path) -> None:
        self.run, self.mirror, self.project, self.folder = run, mirror, project, folder
        self.path = folder / "sent.json"
        state: Any = json_of(self.path)
        self.sent: dict[str, int] = state if isinstance(state, dict) else {}
        """The steps of each curve that were sent: all before this one."""
        self._open: tuple[str, Curves] | None = None

    def send_new(self) -> None:
        """Send every step that is logged and not sent."""
        for stage in stage_folders(self.run):
            first = self.sent.get(stage.curve_id, 0)
            new = [(step, values) for step, values in steps_of(stage) if step >= first]
            if not new:
                continue
            curves = self._curves(stage, first)
            for step, values in new:
                curves.add(step, values)
            curves.flush()
            self.sent[stage.curve_id] = new[-1][0] + 1
            write_json(self.path, self.sent)

    def close(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def _curves(self, stage: StageFolder, first: int) -> Curves:
        if self._open is None or self._open[0] != stage.curve_id:
            self.close()
            curves = open_curves(
                self.mirror, stage, first, project=self.project, run=self.run.resolve(), folder=self.folder
            )
            self._open = (stage.curve_id, curves)
        return self._open[1]


def main(run: Path, mirror: str, project: str) -> None:
    """Follow a run until the input ends."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a tool prints goes to the mirror's log
    run_ended = threading.Event()
    threading.Thread(target=_wait_for_end, args=(run_ended,), daemon=True).start()
    folder = run / "mirrors" / mirror
    try:
        with ExitStack() as stack:
            _lock(folder, stack)
            sender = Sender(run, mirror, project, folder)
            is_last = False
            while not is_last:
                is_last = run_ended.wait(LOOKS_EVERY)
                sender.send_new()
            sender.close()
    except (Exception, SystemExit) as error:
        answer.write(json.dumps({"failure": f"{type(error).__name__}: {error}"}) + "\n")
        answer.flush()
        raise
    answer.write(json.dumps({"steps": sum(sender.sent.values())}) + "\n")
    answer.flush()


def _wait_for_end(run_ended: threading.Event) -> None:
    sys.stdin.read()
    run_ended.set()


def _lock(folder: Path, stack: ExitStack) -> None:
    """Take the mirror's folder, once the mirror of an earlier try has let it go."""
    folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            stack.enter_context(run_lock(folder))
            return
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
