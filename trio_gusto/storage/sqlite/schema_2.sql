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
