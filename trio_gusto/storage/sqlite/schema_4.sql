-- Version 4. Jobs that are put by for a batch whose block is still open: no query and no claim looks
-- here. All of them become rows of job in the transaction that ends the block.

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
  PRIMARY KEY (stage, position)
) STRICT, WITHOUT ROWID;
