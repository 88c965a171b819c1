-- The newest version as a whole, which a new file gets at once. Older files come to the same by their steps,
-- schema_2.sql and so on; who adds a step changes this too, and a test holds the two together. What each column
-- means, by state, is told in docs/reference/sqlite-schema.md. Instants and durations are integers, microseconds.

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

-- One row for each job. Those of a kind stand in a few partial indexes each, whose conditions stand literally in
-- the questions too: only so does SQLite know that it may use them.
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
  details TEXT,
  schedule TEXT,
  fire_time INTEGER,
  batch INTEGER,
  unique_key TEXT,
  lane TEXT,
  room INTEGER
) STRICT;
CREATE INDEX job_scheduled ON job (due) WHERE state = 1;
CREATE INDEX job_ended ON job (ended_at) WHERE state > 3;
CREATE INDEX job_expiring ON job (expire_on) WHERE expire_on IS NOT NULL AND state < 3;
CREATE UNIQUE INDEX job_ref ON job (ref_id) WHERE ref_id IS NOT NULL;
CREATE INDEX job_of_schedule ON job (schedule) WHERE schedule IS NOT NULL;
CREATE INDEX job_unfinished ON job (schedule, fire_time) WHERE fire_time IS NOT NULL AND state < 4;
CREATE INDEX job_held ON job (schedule, fire_time) WHERE fire_time IS NOT NULL AND state = 0;
CREATE INDEX job_batch ON job (batch, state) WHERE batch IS NOT NULL;
CREATE UNIQUE INDEX job_unique ON job (unique_key) WHERE unique_key IS NOT NULL AND state < 4;
CREATE INDEX job_waiting ON job (state) WHERE state = 0;
CREATE INDEX job_unsuccessful ON job (state) WHERE state > 4;
CREATE INDEX job_ready ON job (queue, priority DESC, due) WHERE state = 2 AND lane IS NULL;
CREATE INDEX job_lane_ready ON job (queue, priority DESC, due) WHERE lane IS NOT NULL AND state = 2;
CREATE INDEX job_of_lane ON job (state, lane, queue, priority DESC, due)
WHERE lane IS NOT NULL AND state = 2;
CREATE INDEX job_lane_scheduled ON job (due) WHERE lane IS NOT NULL AND state = 1;
CREATE INDEX job_leased ON job (state, lane, node, room) WHERE state = 3;

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

-- Schedules, and the jobs that they are to fire next.
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

-- Who waits for whom.
CREATE TABLE dependency (
  parent INTEGER NOT NULL,
  child INTEGER NOT NULL,
  PRIMARY KEY (parent, child)
) STRICT, WITHOUT ROWID;
CREATE INDEX dependency_child ON dependency (child, parent);

CREATE TABLE batch (
  number INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  tags TEXT NOT NULL
) STRICT;
CREATE INDEX batch_tenant ON batch (tenant, number);

-- Batches on their way in: out of sight until the last part is there.
CREATE TABLE stage (
  number INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,
  node TEXT NOT NULL,
  touched_at INTEGER NOT NULL,
  count INTEGER NOT NULL
) STRICT;

CREATE TABLE staged (
  stage INTEGER NOT NULL,
  position INTEGER NOT NULL,
  state INTEGER NOT NULL,
  due INTEGER NOT NULL,
  id BLOB NOT NULL,
  handler INTEGER NOT NULL,
  args TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  max_attempts INTEGER NOT NULL,
  timeout INTEGER,
  execute_after INTEGER,
  expire_on INTEGER,
  queue TEXT NOT NULL,
  priority INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  ref_id TEXT,
  details TEXT,
  schedule TEXT,
  fire_time INTEGER,
  unique_key TEXT,
  lane TEXT,
  room INTEGER,
  PRIMARY KEY (stage, position)
) STRICT, WITHOUT ROWID;

-- Months whose old jobs stand in files of their own.
CREATE TABLE archive (
  month TEXT PRIMARY KEY,
  first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What is paused, and how far each node has heard of it.
CREATE TABLE pause (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  queue TEXT,
  tenant TEXT,
  reason TEXT NOT NULL,
  since INTEGER NOT NULL
) STRICT;

CREATE TABLE pause_heard (
  node INTEGER PRIMARY KEY,
  number INTEGER NOT NULL
) STRICT;

-- What running handlers have reported.
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

-- Before which place in claim order no job of a lane is ready; empty where there are no lanes.
CREATE TABLE lane_head (
  queue TEXT NOT NULL,
  lane TEXT NOT NULL,
  rank INTEGER NOT NULL,
  due INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (queue, lane)
) STRICT, WITHOUT ROWID;
CREATE INDEX lane_head_order ON lane_head (queue, rank, due, seq);

-- Whose turn it is, where tenants take turns; empty where they do not.
CREATE TABLE turn_time (
  scope TEXT NOT NULL,
  priority INTEGER NOT NULL,
  now INTEGER NOT NULL,
  PRIMARY KEY (scope, priority)
) STRICT, WITHOUT ROWID;

CREATE TABLE turn (
  scope TEXT NOT NULL,
  priority INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  pass INTEGER NOT NULL,
  PRIMARY KEY (scope, priority, tenant)
) STRICT, WITHOUT ROWID;

-- Counts of jobs, by pieces of 2048 neighbouring sequences (counts.py).
CREATE TABLE piece (
  number INTEGER PRIMARY KEY,
  mark INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  processing INTEGER NOT NULL,
  counts TEXT NOT NULL
) STRICT;

CREATE TABLE piece_sum (
  state INTEGER NOT NULL,
  queue TEXT NOT NULL,
  tenant TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (state, queue, tenant)
) STRICT, WITHOUT ROWID;

CREATE TABLE piece_mark (
  slot INTEGER PRIMARY KEY,
  changes INTEGER NOT NULL
) STRICT;
CREATE TRIGGER job_deleted AFTER DELETE ON job BEGIN
  INSERT INTO piece_mark (slot, changes) VALUES ((OLD.seq >> 11) & 4095, 1)
  ON CONFLICT (slot) DO UPDATE SET changes = changes + 1;
END;

-- The buckets of rate limits that are not full; empty while nothing is limited.
CREATE TABLE bucket (
  name TEXT PRIMARY KEY,
  since INTEGER NOT NULL,
  starts INTEGER NOT NULL,
  last INTEGER NOT NULL,
  rate_limit TEXT NOT NULL,
  full_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX bucket_full ON bucket (full_at);

-- What was found where an attempt did not end in time; empty while all do.
CREATE TABLE dossier (
  seq INTEGER NOT NULL,
  token INTEGER NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY (seq, token)
) STRICT, WITHOUT ROWID;
