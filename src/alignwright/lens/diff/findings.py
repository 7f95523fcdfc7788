"""What is said of a difference between models: each number beside random changes of the weights as large."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from alignwright.core.records import Finding
from alignwright.lens.diff.differ import BlockChanges
from alignwright.lens.diff.knobs import CLAIMS
from alignwright.lens.diff.weights import MatrixChange
from alignwright.stats.intervals import clustered

Detail = dict[str, str | float | bool | None]
LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class DiffResult:
    """What the models compute otherwise, the same of random changes, the tensors that changed (of so many), the tokens
    after which predictions moved, and what the mean change says by the logit lens."""

    changes: BlockChanges
    random: Sequence[BlockChanges]
    matrices: Sequence[MatrixChange]
    tensors: int
    tokens: Sequence[tuple[str, float, int]]
    lens_words: tuple[Sequence[str], Sequence[str]]

    @property
    def shared(self) -> tuple[float, int]:
        """The largest part of a block's own change that lies along one direction, and of which block."""
        layer = int(self.changes.shared_L.argmax())
        return float(self.changes.shared_L[layer]), layer

    @property
    def random_shared(self) -> list[float]:
        """The same of each random change, chosen among the blocks alike."""
        return [float(each.shared_L.max()) for each in self.random]

    @property
    def p(self) -> float:
        """The share of random changes, itself among them, that share a direction as much."""
        value = self.shared[0]
        return (1 + sum(each >= value for each in self.random_shared)) / (1 + len(self.random))


def findings_of(model: str, result: DiffResult) -> list[Finding]:
    """The findings of all claims but those that are means of samples."""
    claims = {claim.name: claim for claim in CLAIMS}
    value, layer = result.shared
    p, texts = result.p, result.changes.square_LN.shape[1]
    random = torch.tensor(result.random_shared, dtype=torch.float64)
    q95 = float(random.quantile(LEVEL))
    why = "" if p <= 1 - LEVEL else f"random changes of the weights share a direction as much (p {p:.2f})"
    low, high = _limits(result, layer)
    own_L = result.changes.own_L
    most = int(own_L.argmax())
    matrix = max((m for m in result.matrices if m.rank is not None), key=lambda m: m.relative, default=None)
    detail: Detail = {"no_signal": why} if why else {}
    detail |= {
        "layer": float(layer),
        "said more": _words(result.lens_words[0]),
        "said less": _words(result.lens_words[1]),
    }
    words = (
        f"{value:.0%} of what block {layer} changed lies along one direction, where random changes of the weights as"
        f" large come to {q95:.0%} in one of twenty{f': not counted, since {why}' if why else ''}."
    )
    layers: Detail = {f"layer {number}": float(size) for number, size in enumerate(own_L.tolist())}
    layers |= {
        f"random {n}": float(size)
        for n, size in enumerate(torch.stack([r.own_L for r in result.random]).mean(0).tolist())
    }
    where = (
        f"Block {most} changed most: by {float(own_L[most]):.1%} of what it adds, when it reads what the other model's"
        f" block reads; predictions moved most after {_words([token for token, _, _ in result.tokens[:5]])}."
    )
    ways = f"the product of the means of two halves of {texts} texts, the largest of {len(own_L)} blocks"

    def finding(claim: str, value: float | None, n: int, way: str, **changes: object) -> Finding:
        return Finding(
            claim=claim, stage=model, axis="inside", value=value, n=n, method=way, unit=claims[claim].unit, better=None
        ).model_copy(update=changes)

    depth = most / max(1, len(own_L) - 1)
    findings = [
        finding("diff.shared", value, texts, ways, low=low, high=high, clusters=texts, p=p, detail=detail, note=words),
        finding("diff.shared_random", q95, len(result.random), f"{len(result.random)} random changes as large"),
        finding("diff.depth", depth, texts, "the block whose own change is largest", detail=layers, note=where),
        finding("diff.modules", len(result.matrices) / result.tensors, result.tensors, "counted"),
    ]  # fmt: skip
    if matrix is not None and matrix.rank is not None:
        note = (
            f"{matrix.name} changed most, by {matrix.relative:.2%}, in {matrix.rank:.1f} directions; the first holds"
            f" {matrix.top or 0:.0%} of it, that of a random change of this shape {matrix.random_top or 0:.1%}."
        )
        findings.append(
            finding("diff.rank", matrix.rank, 1, "entropy of the squared singular values, exact", note=note)
        )
    return findings


def _limits(result: DiffResult, layer: int) -> tuple[float | None, float | None]:
    """The interval of the shared part of one block, by the texts: each text's change along the mean of the others."""
    mean_NH, square_N = result.changes.mean_LNH[layer].double(), result.changes.square_LN[layer].double()
    others_NH = (mean_NH.sum(0) - mean_NH) / (len(mean_NH) - 1)
    products = (mean_NH * others_NH).sum(1)
    whole = float(square_N.mean())
    if whole <= 0:
        return None, None
    part = float(products.mean()) / whole
    values = [part + (float(a) - part * float(b)) / whole for a, b in zip(products, square_N, strict=True)]
    interval = clustered(values, range(len(values))).interval
    return interval.low, interval.high


def _words(tokens: Sequence[str]) -> str:
    return " ".join(repr(token) for token in tokens)
