"""Which arrays do the statistics take? Numpy arrays of float64: no finding is computed in less."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
