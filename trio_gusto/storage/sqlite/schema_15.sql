-- Version 15. One index of what is leased instead of two: jobs in lanes stand in it by their lanes, behind all
-- others, which have none.

DROP INDEX job_lane_leased;
DROP INDEX job_leased;
CREATE INDEX job_leased ON job (state, lane, node, room) WHERE state = 3;
