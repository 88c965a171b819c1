-- Version 8. Named workers and pauses. What each column means is told in docs/reference/sqlite-schema.md.

-- Most jobs have none. It repeats what the details say, because an index needs a column.
ALTER TABLE job ADD COLUMN worker TEXT;
ALTER TABLE staged ADD COLUMN worker TEXT;

-- Jobs of named workers have an index of their own, so that those that have to wait are in nobody's way.
DROP INDEX job_ready;
CREATE INDEX job_ready ON job (queue, priority DESC, due) WHERE state = 2 AND worker IS NULL;
CREATE INDEX job_of_worker ON job (state, worker, priority DESC, due)
WHERE worker IS NOT NULL AND state < 4;

-- Both are empty while nothing is paused. A number is never given again.
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
