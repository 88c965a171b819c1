-- Version 13. The buckets of rate limits that are not full; empty while nothing is limited. What each column means
-- is told in docs/reference/sqlite-schema.md.

CREATE TABLE bucket (
  name TEXT PRIMARY KEY,
  since INTEGER NOT NULL,
  starts INTEGER NOT NULL,
  last INTEGER NOT NULL,
  rate_limit TEXT NOT NULL,
  full_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX bucket_full ON bucket (full_at);
