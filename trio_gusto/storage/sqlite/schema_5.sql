-- Version 5. A unique key, in a column because an index needs one. The index is of live jobs that have
-- one; nearly all have none.

ALTER TABLE job ADD COLUMN unique_key TEXT;
ALTER TABLE staged ADD COLUMN unique_key TEXT;

CREATE UNIQUE INDEX job_unique ON job (unique_key) WHERE unique_key IS NOT NULL AND state < 4;
