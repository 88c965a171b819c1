-- Version 1. What each column means, by state, is told in docs/reference/sqlite-schema.md.
-- Instants and durations are integers, microseconds.

CREATE TABLE handler (
  handler INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  job_type TEXT NOT NULL,
  method_name TEXT NOT NULL,
  UNIQUE (name, job_type, method_name)
) STRICT;

CREATE TABLE node (
  node INTEGER PRIMARY KEY,
  node_name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE job (
  seq INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,
  args TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  due INTEGER NOT NULL,
  handler INTEGER NOT NULL,
  max_attempts INTEGER NOT NULL,
  timeout INTEGER,
  queue TEXT NOT NULL,
  priority INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  state INTEGER NOT NULL,
  attempt INTEGER NOT NULL DEFAULT 0,
  version INTEGER NOT NULL DEFAULT 0,
  node INTEGER,
  claimed_at INTEGER,
  lease_until INTEGER,
  started_at INTEGER,
  ended_at INTEGER,
  result TEXT,
  reason TEXT,
  execute_after INTEGER,
  expire_on INTEGER,
  ref_id TEXT,
  details TEXT
) STRICT;

-- Each index holds only the jobs that a question is asked about. Their conditions stand literally
-- in the questions too: only so does SQLite know that it may use them.
CREATE INDEX job_scheduled ON job (due) WHERE state = 1;
CREATE INDEX job_ready ON job (queue, priority DESC, due) WHERE state = 2;
CREATE INDEX job_leased ON job (node) WHERE state = 3;
CREATE INDEX job_ended ON job (ended_at) WHERE state > 3;
CREATE INDEX job_expiring ON job (expire_on) WHERE expire_on IS NOT NULL AND state < 3;
CREATE UNIQUE INDEX job_ref ON job (ref_id) WHERE ref_id IS NOT NULL;

CREATE TABLE attempt (
  seq INTEGER NOT NULL,
  token INTEGER NOT NULL,
  number INTEGER NOT NULL,
  node TEXT NOT NULL,
  claimed_at INTEGER NOT NULL,
  started_at INTEGER,
  ended_at INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  error TEXT,
  PRIMARY KEY (seq, token)
) STRICT, WITHOUT ROWID;

-- For people.
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
  details
FROM job LEFT JOIN handler USING (handler) LEFT JOIN node USING (node);
