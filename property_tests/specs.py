"""How to draw jobs for the whole scheduler."""

from __future__ import annotations

from hypothesis import strategies as st

from property_tests.node import LEASE, Spec, Step

picks = st.integers(0, 5)
delays = st.sampled_from([0.0, 0.5, 3.0, LEASE, 60.0, 600.0])
steps = st.builds(
    Step,
    st.sampled_from(["ok", "ok", "raise", "fail", "retry", "snooze", "hang", "exit"]),
    st.sampled_from([0.0, 0.0, 1.0, 3.0, LEASE, 15.0]),
    delays,
)
specs = st.builds(
    Spec,
    st.lists(steps, max_size=3).map(tuple),
    st.sampled_from(["a", "b"]),
    st.sampled_from([0, 0, 1, -1]),
    st.none() | delays,
    st.none() | st.sampled_from([0.5, 2.0, 7.0, 100.0]),
    st.integers(1, 3),
)
