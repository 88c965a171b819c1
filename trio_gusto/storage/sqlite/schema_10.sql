-- Version 10. Lanes: named workers and concurrency keys. What each column means is told in
-- docs/reference/sqlite-schema.md.

-- The column of named workers becomes that of all lanes.
DROP INDEX job_of_worker;
ALTER TABLE job RENAME COLUMN worker TO lane;
ALTER TABLE staged RENAME COLUMN worker TO lane;
ALTER TABLE job ADD COLUMN room INTEGER;
ALTER TABLE staged ADD COLUMN room INTEGER;
UPDATE job SET lane = 'worker ' || lane, room = 1 WHERE lane IS NOT NULL;
UPDATE staged SET lane = 'worker ' || lane, room = 1 WHERE lane IS NOT NULL;

-- Ready jobs in lanes stand in claim order, and each lane's for itself; then those that are leased, and
-- those that wait for an instant.
CREATE INDEX job_lane_ready ON job (queue, priority DESC, due) WHERE lane IS NOT NULL AND state = 2;
CREATE INDEX job_of_lane ON job (state, lane, queue, priority DESC, due)
WHERE lane IS NOT NULL AND state = 2;
CREATE INDEX job_lane_leased ON job (state, lane, node, room) WHERE lane IS NOT NULL AND state = 3;
CREATE INDEX job_lane_scheduled ON job (due) WHERE lane IS NOT NULL AND state = 1;

-- Before which place in claim order no job of a lane is ready; empty where there are no lanes.
CREATE TABLE lane_head (
  queue TEXT NOT NULL,
  lane TEXT NOT NULL,
  rank INTEGER NOT NULL,
  due INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (queue, lane)
) STRICT, WITHOUT ROWID;
CREATE INDEX lane_head_order ON lane_head (queue, rank, due, seq);
INSERT INTO lane_head SELECT queue, lane, min(-priority), min(due), min(seq) FROM job
WHERE lane IS NOT NULL AND state = 2 GROUP BY queue, lane;
