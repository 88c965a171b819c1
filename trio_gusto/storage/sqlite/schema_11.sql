-- Version 11. Whose turn it is, where tenants take turns: the pass that was served last at each priority of
-- each queue (an empty scope stands for all queues), and the passes ahead of it. Empty where they do not.

CREATE TABLE turn_time (
  scope TEXT NOT NULL,
  priority INTEGER NOT NULL,
  now INTEGER NOT NULL,
  PRIMARY KEY (scope, priority)
) STRICT, WITHOUT ROWID;

CREATE TABLE turn (
  scope TEXT NOT NULL,
  priority INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  pass INTEGER NOT NULL,
  PRIMARY KEY (scope, priority, tenant)
) STRICT, WITHOUT ROWID;
