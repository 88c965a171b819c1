-- Version 2 of a month: dossiers, as in jobs.db.

CREATE TABLE dossier (
  seq INTEGER NOT NULL,
  token INTEGER NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY (seq, token)
) STRICT, WITHOUT ROWID;
