-- Version 2: schedules. What each column means is told in docs/reference/sqlite-schema.md.

CREATE TABLE schedule (
  name TEXT PRIMARY KEY,
  version INTEGER NOT NULL,
  next_at INTEGER,
  since INTEGER NOT NULL,
  anchor INTEGER NOT NULL,
  last_at INTEGER,
  last_job_id BLOB,
  paused INTEGER NOT NULL,
  request TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX schedule_next ON schedule (next_at) WHERE next_at IS NOT NULL;

-- Most jobs have neither. They repeat what the details say, because an index needs columns.
ALTER TABLE job ADD COLUMN schedule TEXT;
ALTER TABLE job ADD COLUMN fire_time INTEGER;

-- Jobs of no schedule are in none of these.
CREATE INDEX job_of_schedule ON job (schedule) WHERE schedule IS NOT NULL;
CREATE INDEX job_unfinished ON job (schedule, fire_time) WHERE fire_time IS NOT NULL AND state < 4;
CREATE INDEX job_held ON job (schedule, fire_time) WHERE fire_time IS NOT NULL AND state = 0;

-- For people.
DROP VIEW jobs;
CREATE VIEW jobs AS
SELECT
  seq,
  lower(
    substr(hex(id), 1, 8) || '-' || substr(hex(id), 9, 4) || '-' || substr(hex(id), 13, 4) || '-'
    || substr(hex(id), 17, 4) || '-' || substr(hex(id), 21)
  ) AS id,
  name,
  CASE state
    WHEN 0 THEN 'waiting'
    WHEN 1 THEN 'scheduled'
    WHEN 2 THEN 'ready'
    WHEN 3 THEN 'processing'
    WHEN 4 THEN 'completed'
    WHEN 5 THEN 'failed'
    WHEN 6 THEN 'cancelled'
    WHEN 7 THEN 'skipped'
    WHEN 8 THEN 'expired'
  END AS state,
  args,
  queue,
  priority,
  tenant,
  attempt,
  max_attempts,
  strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 1000000.0, 'unixepoch') AS created_at,
  strftime('%Y-%m-%dT%H:%M:%fZ', due / 1000000.0, 'unixepoch') AS due,
  strftime('%Y-%m-%dT%H:%M:%fZ', expire_on / 1000000.0, 'unixepoch') AS expire_on,
  node_name AS node,
  strftime('%Y-%m-%dT%H:%M:%fZ', claimed_at / 1000000.0, 'unixepoch') AS claimed_at,
  strftime('%Y-%m-%dT%H:%M:%fZ', lease_until / 1000000.0, 'unixepoch') AS lease_until,
  strftime('%Y-%m-%dT%H:%M:%fZ', started_at / 1000000.0, 'unixepoch') AS started_at,
  strftime('%Y-%m-%dT%H:%M:%fZ', ended_at / 1000000.0, 'unixepoch') AS ended_at,
  result,
  reason,
  ref_id,
  schedule,
  strftime('%Y-%m-%dT%H:%M:%fZ', fire_time / 1000000.0, 'unixepoch') AS fire_time,
  details
FROM job LEFT JOIN handler USING (handler) LEFT JOIN node USING (node);

CREATE VIEW schedules AS
SELECT
  name,
  request ->> '$.trigger' AS "trigger",
  request ->> '$.timezone' AS timezone,
  strftime('%Y-%m-%dT%H:%M:%fZ', next_at / 1000000.0, 'unixepoch') AS next_at,
  strftime('%Y-%m-%dT%H:%M:%fZ', last_at / 1000000.0, 'unixepoch') AS last_at,
  paused
FROM schedule;
