-- Version 16. Dossiers: what was found where an attempt did not end in time. Empty while all do.

CREATE TABLE dossier (
  seq INTEGER NOT NULL,
  token INTEGER NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY (seq, token)
) STRICT, WITHOUT ROWID;
