"""Who commands: the console command ``trio-gusto``."""

from .main import main

__all__ = ["main"]
