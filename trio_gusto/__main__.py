"""``python -m trio_gusto``: the same as the console command ``trio-gusto``."""

from .cli import main

if __name__ == "__main__":
    main()
