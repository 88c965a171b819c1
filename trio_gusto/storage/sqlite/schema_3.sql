-- Version 3. Who waits for whom: a row for each parent of each job in state 0, and no other, so that
-- this is empty while nothing waits.

CREATE TABLE dependency (
  parent INTEGER NOT NULL,
  child INTEGER NOT NULL,
  PRIMARY KEY (parent, child)
) STRICT, WITHOUT ROWID;

CREATE INDEX dependency_child ON dependency (child, parent);
