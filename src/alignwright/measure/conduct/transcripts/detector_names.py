"""Which detectors of recorded conversations are there, by name?"""

from __future__ import annotations

from typing import Literal, get_args

DetectorName = Literal["refusal", "sycophancy", "hacking_words", "hacking_code", "deception", "leaking"]
EVERY: tuple[DetectorName, ...] = get_args(DetectorName)
