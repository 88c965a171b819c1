-- Version 6. Which months have jobs that were moved to a file of the archive, and between which
-- sequences they lie; empty where there is no archive.

CREATE TABLE archive (
  month TEXT PRIMARY KEY,
  first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
