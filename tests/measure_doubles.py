"""Scripted speakers and policies: what they will say or prefer is known, so what is measured
must be too."""

from __future__ import annotations

from alignwright.core.records import LogProb, Reply


class Says:
    """Answers the given texts in order; None is no reply."""

    name = "says"

    def __init__(self, texts, finished=True):
        self.texts, self.finished, self.asked = list(texts), finished, []

    def generate(self, prompts, *, n=1, max_new_tokens=128, temperature=1.0, seed=0):
        self.asked.append((n, max_new_tokens, temperature, seed))
        texts, self.texts = self.texts[: len(prompts)], self.texts[len(prompts) :]
        return [
            [] if t is None else [Reply(text=t, parent=p.id, finished=self.finished)]
            for p, t in zip(prompts, texts, strict=True)
        ]


class Likes(Says):
    """Gives each reply the mean log-probability per token that `rate(user text, reply)` says; a
    token is a word."""

    def __init__(self, rate, texts=()):
        super().__init__(texts)
        self.rate = rate

    def logprobs(self, prompts, replies, *, prefix="", end=True):
        return [[self._score(p.last.content, r) for r in group] for p, group in zip(prompts, replies, strict=True)]

    def text_logprobs(self, texts):
        return [self._score("", t) for t in texts]

    def _score(self, prompt, reply):
        tokens = len(reply.split())
        return LogProb.model_construct(
            total=self.rate(prompt, reply) * tokens, tokens=tokens, bytes=len(reply.encode())
        )
