"""How much of a concept does a probe see in a reply? Any saved probe as a judge: a reward, a proxy, or who watches.

The conversation with the reply is read by the **start model as it was**, whatever has been trained since, and scored
where the reply ends, or over the tokens that the probe averages (the reply's, or all). A policy that is trained against
it can change its words and not what reads them, so what it learns is to write what the probe likes; whether that is
still the concept, another probe of other texts or of another block can watch (`measure: {by: goodhart}` with one probe
as `proxy` and the other as `gold`).

Never is a gradient taken through a probe: it would be met by activations and not by words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from alignwright.core.records import Prompt, Score
from alignwright.core.token_scope import TokenScope
from alignwright.files.contents import given_by_a_person
from alignwright.lens.probe.file_format import load_probe, tokens_of
from alignwright.lens.probe.fit import Probe
from alignwright.model.activations.token_scope import ScopedRow, scoped_states
from alignwright.model.loaded_model import LoadedModel


class ProbeScorer:
    """A probe over the model that it is of, as a `core` RewardFn."""

    def __init__(
        self, name: str, policy: LoadedModel, probe: Probe, layer: int, tokens: TokenScope = "prompt_end"
    ) -> None:
        self.name, self.policy, self.probe, self.layer, self.tokens = name, policy, probe, layer, tokens

    @classmethod
    def load(cls, policy_loader: Callable[[], LoadedModel], folder: Path) -> ProbeScorer:
        """Open a saved probe over its own model. Raises ValueError where that is another, and for one that reads no
        reply."""
        policy = policy_loader()
        with given_by_a_person():
            if (tokens := tokens_of(folder)) in ("prompt", "template"):
                raise ValueError(
                    f"{folder}: this probe reads the prompt alone ('tokens: {tokens}'), so it judges no reply; fit one"
                    " with 'tokens: prompt_end', 'reply' or 'all'"
                )
            return cls(folder.parent.name, policy, *load_probe(folder, policy), tokens)

    def __call__(self, prompts: Sequence[Prompt], replies: Sequence[Sequence[str]]) -> list[list[Score | None]]:
        """A score for each reply to each prompt, above 0 where the probe sees the concept; None for a reply without
        words, or too long to be read to its end."""
        if len(prompts) != len(replies):
            raise ValueError(f"{len(prompts)} prompts but replies to {len(replies)}")
        lines: dict[tuple[int, int], ScopedRow] = {}
        for p, (prompt, texts) in enumerate(zip(prompts, replies, strict=True)):
            row = self.policy.chat.row(prompt.conversation, texts, end=False)
            for k, reply in enumerate(row.replies):
                if reply and len(row.prompt) + len(reply) <= self.policy.longest:
                    begin, end = len(row.prompt), len(row.prompt) + len(reply)
                    begin = {"reply": begin, "all": 0}.get(self.tokens, end - 1)
                    lines[p, k] = ScopedRow((*row.prompt, *reply), begin, end)
        states_NH = scoped_states(self.policy, list(lines.values()), [self.layer])[self.layer]
        scores: list[list[Score | None]] = [[None] * len(texts) for texts in replies]
        for (p, k), value in zip(lines, self.probe.score(states_NH).tolist(), strict=True):
            scores[p][k] = Score(value=value)
        return scores
