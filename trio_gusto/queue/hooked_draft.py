"""Drafting where middleware has a say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from ..model.errors import OptionsError
from ..model.job import Details, JobRequest
from ..options.values import json_object
from .call import Call
from .draft import Drafter
from .middleware import OnEnqueue


class HookedDrafter(Drafter):
    """A `Drafter` that shows each call to middleware first."""

    hooks: Sequence[OnEnqueue] = ()

    def draft(
        self, fn: Callable[..., Any], args: tuple[object, ...], options: Mapping[str, Any]
    ) -> JobRequest:
        """The request for what middleware makes of the call.

        Raises:
            OptionsError: middleware returned no call, or has it carry what is no JSON.
            Exception: whatever middleware raised, or `Drafter.draft`.
        """
        call: Call[Any] = Call(fn, args, options)
        for hook in self.hooks:
            call = hook(call)
            if not isinstance(call, Call):
                raise OptionsError("middleware", call, "return the call from enqueue")
        request = super().draft(call.fn, call.args, call.options)
        if not call.carried:
            return request
        carried = json_object("carried", call.carried)
        details = attrs.evolve(request.details or Details(), context=carried)
        return attrs.evolve(request, details=details)
