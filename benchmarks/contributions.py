"""Which techniques does `contributor.py` add, and with what text?

Each is real, published and not in the package; it is written as a contributor would write it, without its tests and
docs. An edit's text stands behind its anchor.
"""

from __future__ import annotations

from typing import Any

PREFERENCE_LOSS: dict[str, Any] = {
    "name": "preference loss",
    "aim": 2,
    "edits": [
        {
            "path": "spec/from_pairs.py",
            "anchor": "class Kto(FromPreferences):",
            "instead": True,
            "text": '''class Discopop(FromPreferences):
    """DiscoPOP (Lu et al. 2024): the logistic loss where a pair is behind, the exponential one where it is ahead."""

    by: Literal["discopop"]
    beta: Positive = Field(default=0.1, le=10.0, description=BETA)
    temperature: Positive = Field(default=0.05, le=10.0, description="how gradually the one goes over into the other")


class Kto(FromPreferences):''',
        },
        {"path": "spec/training.py", "anchor": "import Cdpo, ChiPo, ", "text": "Discopop, "},
        {"path": "spec/training.py", "anchor": "DirectStage = Dpo", "text": " | Discopop"},
        {"path": "spec/training.py", "anchor": "for kind in (Dpo, ", "text": "Discopop, "},
        {
            "path": "train/losses.py",
            "anchor": "def rpo(",
            "instead": True,
            "text": '''def discopop(margin_P: Tensor, *, beta: float, temperature: float, strength_P: Tensor) -> Tensor:
    """The log-ratio modulated loss (Lu et al. 2024, arXiv 2406.08414, equation 5)."""

    def link(margin: Tensor) -> Tensor:
        ahead = torch.sigmoid(beta * margin / temperature)
        return -(1 - ahead) * F.logsigmoid(beta * margin) + ahead * torch.exp(-beta * margin)

    return _expected(link, margin_P, strength_P)


def rpo(''',
        },
        {"path": "train/paired.py", "anchor": "import Cdpo, ChiPo, ", "text": "Discopop, "},
        {"path": "train/paired.py", "anchor": "PairStage = Dpo", "text": " | Discopop"},
        {
            "path": "train/paired.py",
            "anchor": "    match stage:\n        case Dpo():\n            return losses.rpo(",
            "instead": True,
            "text": """    match stage:
        case Discopop():
            knobs = {"beta": stage.beta, "temperature": stage.temperature}
            return losses.discopop(margin_P, **knobs, strength_P=strength_P), margin_P
        case Dpo():
            return losses.rpo(""",
        },
        {
            "path": "train/paired.py",
            "anchor": "        case Hinge():\n            return 1.0\n",
            "text": "        case Discopop():\n            return (math.log(2) + 1) / 2\n",
        },
        {"path": "report/names.py", "anchor": '"hinge": "hinge", ', "text": '"discopop": "DiscoPOP", '},
    ],
    "spec": {"train": "{by: discopop, epochs: 1, rank: 4}"},
    "stages": ["discopop"],
    "shown": ["DiscoPOP"],
}
