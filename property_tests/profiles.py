"""Hypothesis profiles, for the laws in `property_tests/` and wherever else a property is tested.

The environment variable `HYPOTHESIS_PROFILE` picks one:

- `quick` (the default): a few examples, for the edit-and-run loop;
- `ci`: derandomized, so that a change is judged by its own merits and not by the day's luck;
- `nightly`: many fresh examples, where luck is wanted;
- `mutation`: few, always the same and none made shorter, for a test that is run against thousands of mutants.

No profile has a deadline: an example may run a whole scheduler, and its time says more about the
machine than about the law.
"""

import os

from hypothesis import HealthCheck, Phase, settings


def load_profile() -> None:
    """Load the one that is asked for; the settings of a test are made when it is imported."""
    settings.register_profile("quick", max_examples=30, deadline=None)
    settings.register_profile("ci", max_examples=32, deadline=None, derandomize=True)
    settings.register_profile("nightly", max_examples=2000, deadline=None)
    settings.register_profile(
        "mutation",
        max_examples=20,
        deadline=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(
            HealthCheck
        ),  # a busy machine is no reason to call a mutant found
    )
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
