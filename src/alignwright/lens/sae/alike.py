"""Which correlation makes two latents one and the same?"""

from __future__ import annotations

ALIKE = 0.7
"""The correlation from which on a model with random weights has a latent as well."""
