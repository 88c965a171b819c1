-- A month of the archive: jobs that have ended, in the tables that they had in jobs.db, so that one
-- and the same question reads them here and there. Nothing here is ever claimed, so there are few
-- indexes; a ref_id may come twice, because jobs.db gives it again when its job has been moved.

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
  attempt INTEGER NOT NULL,
  version INTEGER NOT NULL,
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
  details TEXT,
  schedule TEXT,
  fire_time INTEGER
) STRICT;

CREATE INDEX job_ref ON job (ref_id) WHERE ref_id IS NOT NULL;
CREATE INDEX job_of_schedule ON job (schedule) WHERE schedule IS NOT NULL;

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

CREATE TABLE progress (
  seq INTEGER PRIMARY KEY,
  percent REAL NOT NULL,
  message TEXT NOT NULL
) STRICT;

CREATE TABLE job_log (
  seq INTEGER NOT NULL,
  number INTEGER NOT NULL,
  begins INTEGER NOT NULL,
  token INTEGER NOT NULL,
  told INTEGER NOT NULL,
  at INTEGER NOT NULL,
  level TEXT NOT NULL,
  message TEXT NOT NULL,
  PRIMARY KEY (seq, number)
) STRICT, WITHOUT ROWID;
