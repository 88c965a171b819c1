"""Whole errands in one step: a job with a key or a worker, its claim, its success, and what that brings.

What a callback changes shows only when something meets it; a machine that draws the steps one by one gets
there late.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import rule

from property_tests.bringing import kinds
from property_tests.callback_agreement import CallbackAgreement
from trio_gusto.model.job import Details
from trio_gusto.model.lifecycle import admit
from trio_gusto.model.uniqueness import OnConflict
from trio_gusto.storage.messages import Insert

keys = st.sampled_from([None, "k"])


class CallbackErrands(CallbackAgreement):
    """Of keys there is one, so that jobs meet each other."""

    @rule(
        data=st.data(),
        key=keys,
        worker=st.sampled_from([None, "w"]),
        life=st.sampled_from([None, 9]),
        has_callback=st.booleans(),
        drawn=st.lists(kinds, max_size=2),
    )
    def run_to_success(
        self,
        data: st.DataObject,
        key: str | None,
        worker: str | None,
        life: int | None,
        has_callback: bool,
        drawn: list[str],
    ) -> None:
        self.enqueue(key, worker, life)
        self.claim()
        if self.leases:
            self.succeed(data, 0, has_callback, drawn, 0)

    @rule(how=st.sampled_from(OnConflict))
    def want_the_key(self, how: OnConflict) -> None:
        request = self.request(Details(unique_key="k", on_conflict=how.value))
        self.tell(Insert([request], [admit(request)]))

    @rule(how=st.sampled_from(OnConflict))
    def bring_one_that_wants_the_key(self, how: OnConflict) -> None:
        """Which a job holds that has not begun."""
        self.enqueue(None, None, None)
        self.claim()
        self.want_the_key(how)
        if self.leases:
            child = self.request(Details(unique_key="k", on_conflict=how.value))
            self.tell(self.success(self.recent(0), None, [(child, admit(child))]))

    @rule(data=st.data())
    def end_the_callback(self, data: st.DataObject) -> None:
        """Whatever is leased last may be one, and then its job ends."""
        self.claim()
        if self.leases:
            self.succeed(data, 0, False, [], 0)
        self.resolve_what_waits(9)
