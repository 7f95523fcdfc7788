"""Does a server answer, and with log-probabilities? One question is put to it, of sixteen tokens at most.

The key is neither shown nor kept: what is said is whether one is set, and every message of the client has
it cut out.
"""

from __future__ import annotations

import os
import time

from alignwright.core.records import Conversation
from alignwright.files.server import KEY, hide_secrets, why_no_server, without_secrets
from alignwright.run.machine.machine_part import MachinePart

SECONDS = 30.0
QUESTION = "Answer with one letter, A or B: which comes first in the alphabet?"


def server(name: str) -> MachinePart:
    """What comes of one short question to a server."""
    part, shown = "endpoint", hide_secrets(name)
    if why := why_no_server(name):
        return MachinePart(part=part, state="fault", seen=why, cure="give it as http://host:port/v1#name")
    from alignwright.model.endpoint import Endpoint

    key = f"a key in {KEY}" if os.environ.get(KEY) else f"no key in {KEY}"
    began = time.perf_counter()
    try:
        endpoint = Endpoint(name, retries=0, timeout=SECONDS)
        ((_, outcome),) = endpoint.letters([(Conversation.user(QUESTION), ("A", "B"))])
    except (ValueError, OSError) as error:
        return MachinePart(
            part=part, state="fault", seen=f"{shown}: {without_secrets(str(error))}", cure=f"set {KEY} again"
        )
    if outcome.value is None:
        cure = f"start the server, or look at its address, its model's name and {KEY}"
        return MachinePart(part=part, state="fault", seen=f"{shown} ({key}): {outcome.error}", cure=cure)
    took = f"{time.perf_counter() - began:.1f} s"
    if outcome.value.logprobs is None:
        less = "it gives no log-probabilities, so judges vote by their words alone"
        return MachinePart(part=part, state="note", seen=f"{shown} ({key}): answers in {took}; {less}")
    return MachinePart(part=part, state="ok", seen=f"{shown} ({key}): answers in {took}, with log-probabilities")
