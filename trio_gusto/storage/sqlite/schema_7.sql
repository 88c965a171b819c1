-- Version 7. Few jobs among many: those that wait, and those that ended without success. In both
-- indexes rows stand in the order of insertion, as every index of SQLite ends with the rowid.

CREATE INDEX job_waiting ON job (state) WHERE state = 0;
CREATE INDEX job_unsuccessful ON job (state) WHERE state > 4;
