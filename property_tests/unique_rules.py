"""What must hold of jobs with unique keys, judged by what is said to the storage and what it answers."""

from __future__ import annotations

from property_tests.hearing import Reply, Words, committed
from trio_gusto.model.errors import DuplicateJob
from trio_gusto.model.ids import JobId, to_job_id
from trio_gusto.model.job import JobRequest
from trio_gusto.model.states import JobState
from trio_gusto.storage.messages import Insert, Inserted, Write


class UniqueRules(Words):
    """Knows who has each key. Only what is stored is known of at all."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: dict[JobId, JobRequest] = {}
        self.holders: dict[str, JobId] = {}

    def hear(self, write: Write, reply: Reply) -> None:
        match write, reply:
            case Insert(), Inserted():
                self._inserted(write, reply)
                return  # some of it may not have been stored
            case Insert(), DuplicateJob(key="unique_key"):
                holder = self.holders.get(str(reply.value))
                met = holder == to_job_id(reply.existing_id)
                self.expect(met, "refused is who meets the holder", reply.value)
            case _:
                pass
        super().hear(write, reply)
        for commit in committed(write, reply):
            key = key_of(self.requests[commit.job_id])
            if key is None:
                continue
            if not commit.state.word.is_ended:
                self._takes(key, commit.job_id)
            elif self.holders.get(key) == commit.job_id:
                del self.holders[key]

    def _inserted(self, insert: Insert, reply: Inserted) -> None:
        for job_id in reply.replaced:
            key = key_of(self.requests[job_id])
            begun = self.words[job_id] is JobState.PROCESSING
            self.expect(not begun, "who runs is not replaced", key)
            self.words[job_id] = JobState.CANCELLED
            if key is not None and self.holders.get(key) == job_id:
                del self.holders[key]
        for position, (request, state) in enumerate(
            zip(insert.requests, insert.states, strict=True)
        ):
            key = key_of(request)
            if position in reply.existing:
                holder = None if key is None else self.holders.get(key)
                self.expect(holder == reply.existing[position], "answered is the holder", key)
                continue
            self.requests[request.id] = request
            self.words[request.id] = state.word
            if key is not None:
                self._takes(key, request.id)

    def _takes(self, key: str, job_id: JobId) -> None:
        holder = self.holders.get(key, job_id)
        self.expect(holder == job_id, "a key has one live job", key)
        self.holders[key] = job_id


def key_of(request: JobRequest) -> str | None:
    """Its unique key."""
    return None if request.details is None else request.details.unique_key
