"""What has this stage asked already? A speaker whose replies are kept as they come, so that a search
that was killed goes on where it was.

A search is a function of the replies that it gets: with the same replies it asks the same. So nothing
of its state is kept but these: the stage is begun anew, what was asked before is answered from the
file, and only what comes after is asked. Questions go out in parts of `PART`, always the same ones; a
part is one line of the file, written whole when all of it is answered, so that a part that was
interrupted is asked again as it was, with the same neighbours and the same draws. Equal questions are
asked once. A reply that is missing (a server withheld it) is not kept, and asked for again.

It is for any speaker: the model that is attacked, and one that attacks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from alignwright.core.protocols import ChatModel
from alignwright.core.records import Conversation, Reply, content_id
from alignwright.core.replies import Withholding
from alignwright.files.lines import append_durably, whole_lines

REPLIES = "replies.jsonl"
"""The replies of a stage that is at work."""
PART = 1024
"""Conversations between two writes."""


class LoggedSpeaker:
    """A ChatModel that answers what it was asked before from `path`; None keeps nothing on disk."""

    def __init__(self, speaker: ChatModel, path: Path | None) -> None:
        self.speaker, self.name, self.path = speaker, speaker.name, path
        self._groups = _read(path) if path is not None and path.is_file() else {}

    def generate(
        self,
        prompts: Sequence[Conversation],
        *,
        n: int = 1,
        max_new_tokens: int = 128,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> list[list[Reply]]:
        """As any ChatModel's; equal prompts of greedy replies get one reply."""
        keys = self._keys(prompts, n, max_new_tokens, temperature, seed)
        places = {key: place for place, key in reversed(list(enumerate(keys))) if key not in self._groups}
        missing = list(places.values())[::-1]  # of equal questions the first
        options: dict[str, Any] = {"n": n, "max_new_tokens": max_new_tokens, "temperature": temperature, "seed": seed}
        fresh = dict[str, list[Reply]]()
        for start in range(0, len(missing), PART):
            part = missing[start : start + PART]
            groups = self.speaker.generate([prompts[place] for place in part], **options)
            if len(groups) != len(part):
                raise ValueError(
                    f"{self.name} was asked {len(part)} prompts and answered {len(groups)}; a speaker answers each"
                    " prompt once, in order"
                )
            by_key = {keys[place]: list(group) for place, group in zip(part, groups, strict=True)}
            fresh |= by_key
            self._keep({key: group for key, group in by_key.items() if len(group) == n})
        return [list(fresh.get(key) or self._groups.get(key, ())) for key in keys]

    def knows(self, prompt: Conversation, *, max_new_tokens: int, temperature: float, seed: int) -> bool:
        """Whether this one reply was asked for before."""
        return self._key(prompt, 1, max_new_tokens, temperature, seed) in self._groups

    def why_withheld(self, prompt: Conversation) -> str:
        """Why there is no reply, as far as the speaker says so."""
        return self.speaker.why_withheld(prompt) if isinstance(self.speaker, Withholding) else ""

    def _keys(self, prompts: Sequence[Conversation], n: int, most: int, temperature: float, seed: int) -> list[str]:
        return [self._key(prompt, n, most, temperature, seed) for prompt in prompts]

    def _key(self, prompt: Conversation, n: int, most: int, temperature: float, seed: int) -> str:
        return content_id(prompt.id, n, most, temperature, seed)

    def _keep(self, groups: dict[str, list[Reply]]) -> None:
        if self.path is not None and groups:
            rows = {key: [reply.model_dump() for reply in group] for key, group in groups.items()}
            append_durably(self.path, json.dumps(rows).encode())
        self._groups |= groups


def _read(path: Path) -> dict[str, list[Reply]]:
    """The replies of a file; what follows its last whole line is cut away."""
    groups: dict[str, list[Reply]] = {}
    for line in whole_lines(path):
        for key, replies in cast("dict[str, list[dict[str, Any]]]", json.loads(line)).items():
            groups[key] = [Reply.model_validate(reply) for reply in replies]
    return groups
