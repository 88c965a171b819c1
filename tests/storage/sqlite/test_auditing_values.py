"""The audit reads everything that is stored: a value that no reader could take is named, in whatever column."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from tests.storage.sqlite.test_auditing import audit, change, files_of_an_app
from trio_gusto.model.audit import Finding, Invariant
from trio_gusto.storage.sqlite.auditing import Audit
from trio_gusto.storage.sqlite.columns import COLUMNS, Kind
from trio_gusto.storage.sqlite.other_tables import OF_MONTH

ONE_JOB = "seq = (SELECT max(seq) FROM job WHERE state = 1)"
ENDED = "seq = (SELECT max(seq) FROM job WHERE state = 4 AND result IS NOT NULL)"
DETAILED = "seq = (SELECT max(seq) FROM job WHERE state = 1 AND details IS NOT NULL)"
WAITING = "seq = (SELECT max(seq) FROM job WHERE state = 0)"
ONE_ATTEMPT = "(seq, token) = (SELECT seq, token FROM attempt WHERE error IS NOT NULL LIMIT 1)"

REPORTS = (
    "INSERT OR IGNORE INTO progress SELECT max(seq), 50, 'half' FROM job",
    "INSERT OR IGNORE INTO job_log SELECT max(seq), 1, 0, 1, 1, 0, 'info', 'begun' FROM job",
    "INSERT OR IGNORE INTO dossier SELECT max(seq), 1, 'all tasks' FROM job",
)
A_ROW_OF_EACH = (
    *REPORTS,
    "INSERT INTO stage VALUES (1, zeroblob(16), 'node', 0, 1)",
    "INSERT INTO staged (stage, position, state, due, id, handler, args, created_at, max_attempts, queue, "
    "priority, tenant, details) SELECT 1, 0, 2, due, randomblob(16), handler, args, created_at, 1, queue, 0, "
    "'', '{}' FROM job LIMIT 1",
    "INSERT INTO pause (queue, reason, since) VALUES ('slow', '', 0)",
    "INSERT OR IGNORE INTO pause_heard SELECT min(node), 1 FROM node",
    "INSERT OR IGNORE INTO lane_head VALUES ('default', 'key other', 0, 0, 0)",
    "INSERT INTO turn_time VALUES ('', 0, 5)",
    "INSERT INTO turn VALUES ('', 0, 'acme', 9)",
    """INSERT INTO piece VALUES (99999, 0, 0, 0, '[[4,"default","",5]]')""",
    "INSERT INTO piece_sum VALUES (4, 'default', '', 5)",
    "INSERT OR IGNORE INTO piece_mark VALUES (4095, 1)",
    "INSERT INTO bucket VALUES ('key api', 0, 1, 0, '[1,1000000,1]', 1000000)",
)
"""So that there is one in the tables that an app leaves empty."""

ROW: Mapping[str, str] = {
    "job": ONE_JOB,
    "attempt": ONE_ATTEMPT,
    "schedule": "name = 'tick'",
    "batch": "number = (SELECT min(number) FROM batch)",
    "handler": "handler = (SELECT min(handler) FROM handler)",
    "node": "node = (SELECT min(node) FROM node)",
    "archive": "month = (SELECT min(month) FROM archive)",
    "lane_head": "lane = 'key other'",
    "pause_heard": "node = (SELECT min(node) FROM pause_heard)",
    "piece_mark": "slot = (SELECT max(slot) FROM piece_mark)",
}
"""Which one is changed, where there are several."""

ROW_OF_MONTH: Mapping[str, str] = {
    "job": "seq = (SELECT max(seq) FROM job)",
    "attempt": "(seq, token) = (SELECT seq, token FROM attempt ORDER BY seq DESC LIMIT 1)",
}
"""Of jobs that are not in the main file again."""

WRONG: Mapping[str, Iterable[str]] = {
    "id of 16 bytes": ["x'00'", "zeroblob(17)"],
    "instant of the years 1 to 9999": ["9000000000000000000", "-9000000000000000000"],
    "number from 0 on": ["-1"],
    "number from 1 on": ["0"],
    "number of 32 bits": ["2147483648", "-2147483649"],
    "text in UTF-8": ["CAST(x'ff' AS TEXT)"],
    "text in UTF-8 of one character at least": ["''", "CAST(x'61ff' AS TEXT)"],
    "0 or 1": ["2"],
    "state": ["77", "-2"],
    "count": ["-2"],
    "number from 0 to 100": ["5000", "-1"],
    "month": ["'2026-13'", "'2026-1'", "'November'"],
    "sequence from first_seq on": ["first_seq - 1"],
    "slot": ["4096", "-1"],
}


def tampered(tables: Iterable[str]) -> list[tuple[str, str, str]]:
    """Each column of these, with each value that it cannot have."""
    return [
        (table, column, value)
        for table in tables
        for column, kind in COLUMNS[table].items()
        for value in wrong(kind)
    ]


def wrong(kind: Kind) -> Iterable[str]:
    return ["987654"] if " in the table " in kind.noun else WRONG[kind.noun]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an app has left, and a row in each table."""
    folder = tmp_path_factory.mktemp("filled")
    for name, content in files_of_an_app().items():
        (folder / name).write_bytes(content)
    change(folder / "jobs.db", *A_ROW_OF_EACH)
    change(month_of(folder), *REPORTS)
    return folder


def month_of(folder: Path) -> Path:
    (month,) = folder.glob("jobs-*.db")
    return month


@pytest.fixture
def database(filled: Path, tmp_path: Path) -> Path:
    shutil.copytree(filled, tmp_path / "copy")
    return tmp_path / "copy" / "jobs.db"


def tamper(path: Path, table: str, values: str, where: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert connection.execute(f"UPDATE {table} SET {values} WHERE {where}").rowcount == 1


def found(path: Path, what: str) -> Finding:
    """The finding that names this, which is about what cannot be read."""
    unreadable = [one for one in audit(path)[1] if one.invariant is Invariant.READABLE]
    (finding,) = [one for one in unreadable if what in one.found]
    return finding


def test_without_a_change_there_is_nothing_to_find(database: Path) -> None:
    assert [one.sentence for one in audit(database)[1]] == []


def test_there_is_a_row_to_change_in_each_table(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        for table in COLUMNS:
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() > (0,), table


@pytest.mark.parametrize(("table", "column", "value"), tampered(COLUMNS))
def test_a_value_that_a_column_cannot_have_is_named(
    database: Path, table: str, column: str, value: str
) -> None:
    tamper(database, table, f"{column} = {value}", ROW.get(table, "TRUE"))
    assert f"{column} is " in found(database, f"{column} is ").found


@pytest.mark.parametrize(("table", "column", "value"), tampered(["job", "attempt", *OF_MONTH]))
def test_a_value_that_a_column_of_a_month_cannot_have_is_named(
    database: Path, table: str, column: str, value: str
) -> None:
    where = {**ROW, **ROW_OF_MONTH}.get(table, "TRUE")
    tamper(month_of(database.parent), table, f"{column} = {value}", where)
    assert f"{column} is " in found(database, f"{column} is ").found


JSON: list[tuple[str, str, str, str, str]] = [
    ("job", ONE_JOB, "args", "args", "'{nope'"),
    ("job", ONE_JOB, "args", "args", "'7'"),
    ("job", ONE_JOB, "args", "args", "CAST(x'5b22ff225d' AS TEXT)"),
    ("job", DETAILED, "details", "details", "CAST(x'7b22ff223a317d' AS TEXT)"),
    ("job", ONE_JOB, "args", "args", """'{"args":[]}'"""),
    ("job", ONE_JOB, "args", "args", "replace(hex(zeroblob(25000)), '0', '[')"),
    ("job", ENDED, "result", "result", "'{{'"),
    ("job", DETAILED, "details", "details", "'[[['"),
    ("job", DETAILED, "details", "details", "'[1]'"),
    ("job", WAITING, "result", "what it waits for", "'7'"),
    ("job", WAITING, "result", "what it waits for", """'["00"]'"""),
    ("job", WAITING, "reason", "what it waits for", "'perhaps'"),
    ("attempt", ONE_ATTEMPT, "error", "error", "'{{{'"),
    ("attempt", ONE_ATTEMPT, "error", "error", "'7'"),
    ("attempt", ONE_ATTEMPT, "error", "error", "json_set(error, '$.message', 7)"),
    (
        "attempt",
        ONE_ATTEMPT,
        "error",
        "error",
        "json_set(error, '$.children', json_array(json_set(error, '$.type', 7)))",
    ),
    ("attempt", ONE_ATTEMPT, "outcome", "outcome", "'exploded'"),
    ("batch", ROW["batch"], "tags", "tags", "'zzz'"),
    ("batch", ROW["batch"], "tags", "tags", "'[7]'"),
    ("staged", "TRUE", "args", "args", "'{nope'"),
    ("staged", "TRUE", "details", "details", "'[1]'"),
    ("staged", "TRUE", "details", "details", """'{"priority":7}'"""),
    ("piece", "TRUE", "counts", "counts", "'garbage'"),
    ("piece", "TRUE", "counts", "counts", '\'[[77,"default","",5]]\''),
    ("bucket", "TRUE", "rate_limit", "rate_limit", "'garbage'"),
    ("bucket", "TRUE", "rate_limit", "rate_limit", "'[1,1]'"),
    ("bucket", "TRUE", "rate_limit", "rate_limit", "'[0,1000000,1]'"),
    ("bucket", "TRUE", "rate_limit", "rate_limit", "'[1,9000000000000000000,1]'"),
    ("schedule", "name = 'tick'", "request", "request", "'zzz'"),
    ("schedule", "name = 'tick'", "request", "request", "'{}'"),
]


OTHERWISE: Mapping[str, str] = {
    "handler": "handler",
    "node": "node",
    "job": "batch unique_key lane room",  # they are compared with the details: `copies`
    "attempt": "seq",
    "batch": "number",
    "stage": "number",
    "staged": "room",
    "archive": "first_seq",
    "pause": "number",
    "progress": "seq",
    "job_log": "seq",
    "dossier": "seq",
    "lane_head": "rank seq",
    "piece": "number last_seq",
    "bucket": "full_at",
    "dependency": "parent child",
}
"""Keys, numbers that may be any, and what other rules are about."""


def test_every_column_is_looked_at(database: Path) -> None:
    tried = {(table, column) for table, _, column, *_ in JSON}
    tried |= {(table, column) for table, columns in COLUMNS.items() for column in columns}
    tried |= {(table, column) for table, those in OTHERWISE.items() for column in those.split()}
    for path in (database, month_of(database.parent)):
        with closing(sqlite3.connect(path)) as connection:
            columns = connection.execute(
                "SELECT tables.name, columns.name FROM sqlite_schema AS tables, "
                "pragma_table_info(tables.name) AS columns "
                "WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite_%'"
            ).fetchall()
        assert set(columns) <= tried


@pytest.mark.parametrize(("table", "where", "column", "name", "value"), JSON)
def test_json_that_nobody_can_read_is_named(
    database: Path, table: str, where: str, column: str, name: str, value: str
) -> None:
    tamper(database, table, f"{column} = {value}", where)
    assert name in found(database, name).found


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tags", "7"),
        ("tags", "[7]"),
        ("created_by", "7"),
        ("user_id", "[]"),
        ("metadata", "7"),
        ("retry", '"often"'),
        ("retry", '{"often": []}'),
        ("carrier", '{"traceparent": 7}'),
        ("schedule_name", "7"),
        ("fire_time", "9000000000000000000"),
        ("fire_time", '"now"'),
        ("parents", '["00"]'),
        ("parents", "7"),
        ("batch", '"00"'),
        ("batch", "7"),
        ("unique_key", "7"),
        ("on_conflict", '"fight"'),
        ("on_conflict", "[]"),
        ("worker", "7"),
        ("context", "7"),
        ("callback", "7"),
        ("durable", "false"),
        ("errand", "{}"),
        ("concurrency_key", "7"),
        ("concurrency_limit", "0"),
        ("concurrency_limit", "true"),
        ("rate_key", '"api"'),
        ("rate_limit", "[1, 1000000]"),
        ("rate_limit", "[1, 1000000, 1]"),
        ("colour", '"red"'),
    ],
)
def test_details_with_a_value_of_another_kind_are_named(
    database: Path, key: str, value: str
) -> None:
    changed = f"details = json_set(details, '$.{key}', json('{value}'))"
    tamper(database, "job", changed, DETAILED)
    (finding,) = [one for one in audit(database)[1] if one.job_id is not None]
    assert finding.invariant is Invariant.READABLE
    tamper(database, "schedule", template(changed), "name = 'tick'")
    assert "request" in found(database, "its request cannot be read").found


def template(changed: str) -> str:
    """The same change of the details of a schedule's jobs, which are JSON inside of JSON."""
    details = changed.removeprefix("details = ").replace("(details,", "('{}',")
    return f"request = json_set(request, '$.job.details', {details}, '$.job.ref_id', NULL)"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trigger", '{"cron": ["never", null]}'),
        ("trigger", '{"cron": ["H 2 * * *", null]}'),
        ("trigger", '{"every": [1, null]}'),
        ("timezone", '"Nowhere/Atall"'),
        ("timezone", "7"),
        ("overlap", '"sometimes"'),
        ("coalesce", '"sometimes"'),
        ("misfire_grace_time", '"long"'),
        ("misfire_grace_time", "-1"),
        ("max_catchup", "0"),
        ("jitter", "null"),
        ("start", "9000000000000000000"),
        ("end", '"late"'),
        ("job", "7"),
        ("job.id", '"00"'),
        ("job.name", "7"),
        ("job.args", "7"),
        ("job.created_at", "null"),
        ("job.max_attempts", "0"),
        ("job.timeout", '"long"'),
        ("job.execute_after", "9000000000000000000"),
        ("job.expire_on", "9000000000000000000"),
        ("job.queue", "null"),
        ("job.priority", '"high"'),
        ("job.tenant", "7"),
        ("job.job_type", "7"),
        ("job.method_name", "7"),
    ],
)
def test_a_schedule_with_a_value_of_another_kind_is_named(
    database: Path, key: str, value: str
) -> None:
    changed = f"request = json_set(request, '$.{key}', json('{value}'))"
    tamper(database, "schedule", changed, "name = 'tick'")
    assert found(database, "its request cannot be read").subject == "schedule 'tick'"


def test_a_job_whose_id_is_none_is_named_by_its_sequence(database: Path) -> None:
    tamper(database, "job", "id = x'00'", ONE_JOB)
    finding = found(database, "id is X'00'")
    assert finding.subject.startswith("the job with the sequence ")
    assert finding.job_id is None


def test_jobs_and_batches_are_named_by_their_ids(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        (batch,) = connection.execute("SELECT id FROM batches ORDER BY created_at").fetchone()
        (job,) = connection.execute("SELECT id FROM jobs WHERE percent = 50").fetchone()
    tamper(database, "batch", "tags = '{'", ROW["batch"])
    tamper(database, "progress", "percent = 5000", "TRUE")
    finding = found(database, "tags")
    assert finding == Finding(
        f"batch {batch}", None, Invariant.READABLE, finding.found, "all that is stored can be read"
    )
    assert found(database, "percent").subject == f"the progress of job {job}"


def test_staged_jobs_need_no_details(database: Path) -> None:
    tamper(database, "staged", "details = NULL", "TRUE")
    assert audit(database)[1] == []


def test_a_report_of_a_job_that_is_not_there_is_named(database: Path) -> None:
    tamper(database, "progress", "seq = 987654, percent = 5000", "TRUE")
    assert found(database, "percent").subject == "the progress of a job that is not there"


def test_counts_that_cannot_be_read_are_not_compared(database: Path) -> None:
    tamper(database, "piece", "counts = 'garbage'", "number = 99999")
    tamper(database, "bucket", "starts = 0", "TRUE")
    assert [one.subject for one in audit(database)[1]] == ["piece 99999", "bucket 'key api'"]


def test_before_an_audit_no_month_is_absent(database: Path) -> None:
    assert Audit(database).absent == []


def test_a_month_that_is_not_there_is_told_and_is_no_finding(database: Path) -> None:
    month = month_of(database.parent)
    month.unlink()
    look, findings = audit(database)
    assert findings == []
    assert look.absent == [month.stem.removeprefix("jobs-")]
