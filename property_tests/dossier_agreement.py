"""A machine that drives two storages side by side, with jobs that do not end in time."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from property_tests.report_agreement import ReportAgreement
from trio_gusto.model.ids import JobId, uuid7
from trio_gusto.storage.report_messages import (
    DossiersFound,
    ReadDossiers,
    Report,
    Reported,
    Saying,
)

MOST_DOSSIERS = 2

texts = st.sampled_from(["", "a", "task ü\n  File", "\0"])


class DossierAgreement(ReportAgreement):
    """What was filed is recounted: all of it, kept or not."""

    def __init__(self) -> None:
        super().__init__()
        self.filed: dict[JobId, dict[int, str]] = defaultdict(dict)

    @precondition(lambda self: self.leases)
    @rule(pick=st.integers(0, 3), text=texts)
    def file(self, pick: int, text: str) -> None:
        """Also under a lease that is over."""
        lease = self.recent(pick)
        saying = Saying(lease.request.id, lease.token, None, dossier=text)
        is_held = self.is_held(lease)
        (reply,) = self.tell(Report([saying], 4, 12, MOST_DOSSIERS))
        assert isinstance(reply, Reported)
        assert list(reply.refused) == ([] if is_held else [lease.request.id])
        if is_held:
            self.filed[lease.request.id][lease.token] = text
        self.look_at_dossiers()

    @precondition(lambda self: self.leases)
    @rule(pick=st.integers(0, 3), runs_again=st.booleans())
    def end_an_attempt(self, pick: int, runs_again: bool) -> None:
        self.tell(self.end(self.recent(pick), runs_again))
        self.look_at_dossiers()

    @precondition(lambda self: self.leases)
    @rule(pick=st.integers(0, 3), text=texts)
    def file_and_run_again(self, pick: int, text: str) -> None:
        self.file(pick, text)
        self.end_an_attempt(pick, runs_again=True)
        self.claim()

    @rule()
    def delete_and_look(self) -> None:
        self.delete_what_has_ended()
        self.look_at_dossiers()

    def look_at_dossiers(self) -> None:
        for job_id in [*self.filed, *self.jobs, uuid7(0, 7)]:
            found = self.ask(ReadDossiers(job_id))
            assert isinstance(found, DossiersFound)
            ever = sorted(self.filed.get(job_id, {}).items()) if job_id in self.jobs else []
            assert list(found.dossiers.items()) == ever[-MOST_DOSSIERS:]
