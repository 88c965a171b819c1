-- For people. These are in jobs.db only.

DROP VIEW IF EXISTS schedules;
CREATE VIEW schedules AS
SELECT
  name,
  request ->> '$.trigger' AS "trigger",
  request ->> '$.timezone' AS timezone,
  strftime('%Y-%m-%dT%H:%M:%fZ', next_at / 1000000.0, 'unixepoch') AS next_at,
  strftime('%Y-%m-%dT%H:%M:%fZ', last_at / 1000000.0, 'unixepoch') AS last_at,
  paused
FROM schedule;

DROP VIEW IF EXISTS batches;
CREATE VIEW batches AS
SELECT
  lower(
    substr(hex(batch.id), 1, 8) || '-' || substr(hex(batch.id), 9, 4) || '-' || substr(hex(batch.id), 13, 4) || '-'
    || substr(hex(batch.id), 17, 4) || '-' || substr(hex(batch.id), 21)
  ) AS id,
  strftime('%Y-%m-%dT%H:%M:%fZ', batch.created_at / 1000000.0, 'unixepoch') AS created_at,
  batch.tenant AS tenant,
  tags,
  count(job.seq) AS total,
  count(job.seq) FILTER (WHERE state < 4) AS unfinished,
  count(job.seq) FILTER (WHERE state = 4) AS completed,
  count(job.seq) FILTER (WHERE state = 5) AS failed,
  count(job.seq) FILTER (WHERE state = 6) AS cancelled,
  count(job.seq) FILTER (WHERE state = 7) AS skipped,
  count(job.seq) FILTER (WHERE state = 8) AS expired
FROM batch LEFT JOIN job ON job.batch = number AND job.batch IS NOT NULL
GROUP BY number;
