"""How an app runs its jobs, and where that may be set."""

from .options import Options as Options
