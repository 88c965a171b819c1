"""Every name that telemetry puts into the world: scopes, spans, metrics and attributes.

Dashboards and alerts are built on these words, so changing one breaks somebody's.
"""

from __future__ import annotations

TRACER_NAME = "trio_gusto.job_queue"
"""The instrumentation scope of all spans."""

METER_NAME = "trio_gusto.job_queue"
"""The instrumentation scope of all metrics."""

# --- spans ----------------------------------------------------------------------------------------

PROCESS_BATCH = "ProcessBatch"
EXECUTE_JOB = "ExecuteJob"

# --- metrics --------------------------------------------------------------------------------------

JOBS_PROCESSED = "gusto.jobs.processed"
JOBS_FAILED = "gusto.jobs.failed"
JOB_DURATION = "gusto.job.duration"
BATCH_DURATION = "gusto.batch.duration"
BATCH_SIZE_METRIC = "gusto.batch.size"
JOB_START_LATENCY = "gusto.job.start_latency"
QUEUE_DEPTH = "gusto.queue.depth"
QUEUE_OLDEST_READY_AGE = "gusto.queue.oldest_ready_age"
LEASE_RENEWAL_FAILURES = "gusto.lease.renewal_failures"
LOOP_LAG = "gusto.loop.lag"

# --- attributes -----------------------------------------------------------------------------------

BATCH_SIZE = "batch.size"
JOB_TRACKING_ID = "job.tracking_id"
JOB_TYPE = "job.type"
JOB_METHOD = "job.method"
JOB_STATUS = "job.status"
JOB_ATTEMPT = "job.attempt"
JOB_OUTCOME = "job.outcome"
JOB_QUEUE = "job.queue"
ERROR_TYPE = "error.type"

# Those of the event that OpenTelemetry's conventions lay down for an exception.
EXCEPTION = "exception"
EXCEPTION_TYPE = "exception.type"
EXCEPTION_MESSAGE = "exception.message"
EXCEPTION_STACKTRACE = "exception.stacktrace"
