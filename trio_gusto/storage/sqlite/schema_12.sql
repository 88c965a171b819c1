-- Version 12. Counts of jobs, by pieces of 2048 neighbouring sequences, so that nobody counts what he
-- has counted before. What makes a kept count hold is told in counts.py.

CREATE TABLE piece (
  number INTEGER PRIMARY KEY,
  mark INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  unfinished INTEGER NOT NULL,
  counts TEXT NOT NULL
) STRICT;

-- The counts of all pieces together.
CREATE TABLE piece_sum (
  state INTEGER NOT NULL,
  queue TEXT NOT NULL,
  tenant TEXT NOT NULL,
  count INTEGER NOT NULL,
  PRIMARY KEY (state, queue, tenant)
) STRICT, WITHOUT ROWID;

-- How often the jobs of a piece were changed otherwise than by ending; distant pieces share a row.
CREATE TABLE piece_mark (
  slot INTEGER PRIMARY KEY,
  changes INTEGER NOT NULL
) STRICT;

-- What else raises a mark is the writer's own doing; jobs may be deleted by others.
CREATE TRIGGER job_deleted AFTER DELETE ON job BEGIN
  INSERT INTO piece_mark (slot, changes) VALUES ((OLD.seq >> 11) & 4095, 1)
  ON CONFLICT (slot) DO UPDATE SET changes = changes + 1;
END;
