"""Jobs kept by a user's own provider. The public names are in `trio_gusto.provider`."""

from __future__ import annotations

from .adapter import ProviderStorage

__all__ = ["ProviderStorage"]
