-- For people. These are in jobs.db and in the files of the archive, which have the same tables. What
-- the columns mean is told in docs/reference/sqlite-schema.md. A key and a worker are taken from the
-- details, as the archive has no columns for them.

DROP VIEW IF EXISTS jobs;
CREATE VIEW jobs AS
SELECT
  seq,
  lower(
    substr(hex(id), 1, 8) || '-' || substr(hex(id), 9, 4) || '-' || substr(hex(id), 13, 4) || '-'
    || substr(hex(id), 17, 4) || '-' || substr(hex(id), 21)
  ) AS id,
  name,
  CASE state
    WHEN 0 THEN 'waiting'
    WHEN 1 THEN 'scheduled'
    WHEN 2 THEN 'ready'
    WHEN 3 THEN 'processing'
    WHEN 4 THEN 'completed'
    WHEN 5 THEN 'failed'
    WHEN 6 THEN 'cancelled'
    WHEN 7 THEN 'skipped'
    WHEN 8 THEN 'expired'
  END AS state,
  args,
  queue,
  priority,
  tenant,
  attempt,
  max_attempts,
  strftime('%Y-%m-%dT%H:%M:%fZ', created_at / 1000000.0, 'unixepoch') AS created_at,
  strftime('%Y-%m-%dT%H:%M:%fZ', due / 1000000.0, 'unixepoch') AS due,
  strftime('%Y-%m-%dT%H:%M:%fZ', expire_on / 1000000.0, 'unixepoch') AS expire_on,
  node_name AS node,
  strftime('%Y-%m-%dT%H:%M:%fZ', claimed_at / 1000000.0, 'unixepoch') AS claimed_at,
  strftime('%Y-%m-%dT%H:%M:%fZ', lease_until / 1000000.0, 'unixepoch') AS lease_until,
  strftime('%Y-%m-%dT%H:%M:%fZ', started_at / 1000000.0, 'unixepoch') AS started_at,
  strftime('%Y-%m-%dT%H:%M:%fZ', ended_at / 1000000.0, 'unixepoch') AS ended_at,
  result,
  reason,
  ref_id,
  details ->> '$.unique_key' AS unique_key,
  details ->> '$.worker' AS worker,
  percent,
  message,
  schedule,
  strftime('%Y-%m-%dT%H:%M:%fZ', fire_time / 1000000.0, 'unixepoch') AS fire_time,
  details
FROM job LEFT JOIN handler USING (handler) LEFT JOIN node USING (node) LEFT JOIN progress USING (seq);

DROP VIEW IF EXISTS attempts;
CREATE VIEW attempts AS
SELECT
  lower(
    substr(hex(id), 1, 8) || '-' || substr(hex(id), 9, 4) || '-' || substr(hex(id), 13, 4) || '-'
    || substr(hex(id), 17, 4) || '-' || substr(hex(id), 21)
  ) AS id,
  name,
  number,
  attempt.node AS node,
  strftime('%Y-%m-%dT%H:%M:%fZ', attempt.claimed_at / 1000000.0, 'unixepoch') AS claimed_at,
  strftime('%Y-%m-%dT%H:%M:%fZ', attempt.started_at / 1000000.0, 'unixepoch') AS started_at,
  strftime('%Y-%m-%dT%H:%M:%fZ', attempt.ended_at / 1000000.0, 'unixepoch') AS ended_at,
  outcome,
  error ->> '$.type' AS error_type,
  error ->> '$.message' AS error_message
FROM attempt JOIN job USING (seq) LEFT JOIN handler USING (handler);
