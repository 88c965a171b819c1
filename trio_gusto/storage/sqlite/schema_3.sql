-- Version 3. Who waits for whom: a row for each parent of each job in state 0, and no other, so that
-- this is empty while nothing waits.

CREATE TABLE dependency (
  parent INTEGER NOT NULL,
  child INTEGER NOT NULL,
  PRIMARY KEY (parent, child)
) STRICT, WITHOUT ROWID;

CREATE INDEX dependency_child ON dependency (child, parent);

-- Jobs that belong together. How many are in which state is counted in the index, which has no rows
-- for jobs of no batch.
CREATE TABLE batch (
  number INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  tags TEXT NOT NULL
) STRICT;

CREATE INDEX batch_tenant ON batch (tenant, number);

ALTER TABLE job ADD COLUMN batch INTEGER;

CREATE INDEX job_batch ON job (batch, state) WHERE batch IS NOT NULL;
