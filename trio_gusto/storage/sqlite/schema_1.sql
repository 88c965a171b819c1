-- Version 1, from which the oldest files come. What each column means, by state, is told in
-- docs/reference/sqlite-schema.md.
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
