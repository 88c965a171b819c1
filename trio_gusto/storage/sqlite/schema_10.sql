-- Version 10. Rate limits. What each column means is told in docs/reference/sqlite-schema.md.

-- Most jobs have none. It repeats what the details say, because an index needs a column; but for jobs of named
-- workers, which stand in line with the others of their worker.
ALTER TABLE job ADD COLUMN rate TEXT;
ALTER TABLE staged ADD COLUMN rate TEXT;

-- They have an index of their own, so that those behind an empty bucket are in nobody's way. All that tells one
-- line from the next stands in it, so that no row is read to find where a line begins.
DROP INDEX job_ready;
CREATE INDEX job_ready ON job (queue, priority DESC, due)
WHERE state = 2 AND worker IS NULL AND rate IS NULL;
CREATE INDEX job_limited ON job (state, rate, queue, priority DESC, due)
WHERE state = 2 AND rate IS NOT NULL;

-- Buckets that are not full; empty while nothing is limited.
CREATE TABLE bucket (
  name TEXT PRIMARY KEY,
  since INTEGER NOT NULL,
  starts INTEGER NOT NULL,
  last INTEGER NOT NULL,
  rate_limit TEXT NOT NULL,
  opens_at INTEGER NOT NULL,
  full_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX bucket_full ON bucket (full_at);
