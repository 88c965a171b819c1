-- Version 9: what running jobs say of themselves. Rows are only there for jobs that say something.

CREATE TABLE progress (
  seq INTEGER PRIMARY KEY,
  percent REAL NOT NULL,
  message TEXT NOT NULL
) STRICT;

-- ``number`` counts all lines that the job has ever logged, and ``begins`` the bytes of the messages
-- before, so that what is older than the oldest row need not be kept to be counted. ``told`` counts those
-- of its attempt, so that the newest row tells what is told twice.
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
