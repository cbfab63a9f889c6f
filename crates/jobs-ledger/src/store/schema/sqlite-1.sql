-- Written once for each job and at each of its stages; looks do not touch it.
CREATE TABLE job (
    id TEXT NOT NULL PRIMARY KEY,
    vendor TEXT NOT NULL,
    kind TEXT NOT NULL,
    account TEXT NOT NULL,
    -- The digest while the same wish attaches to this job, else null.
    live BLOB UNIQUE,
    digest BLOB NOT NULL,
    content BLOB NOT NULL,
    options TEXT NOT NULL,
    input TEXT NOT NULL,
    input_path TEXT,
    output TEXT,
    sha256 BLOB,
    result TEXT,
    again INTEGER NOT NULL,
    remote_id TEXT,
    accepted_at INTEGER,
    attempts INTEGER NOT NULL,
    -- The fence of the claim that made the latest paid call: its answer counts even late.
    sent_fence INTEGER,
    sent_at INTEGER,
    calls INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    credits INTEGER,
    error TEXT
) STRICT;
CREATE INDEX job_remote ON job (remote_id) WHERE remote_id IS NOT NULL;
CREATE INDEX job_created ON job (created_at, id);

-- What looking changes. A claim sets owner, raises fence and moves due to the end of the lease.
CREATE TABLE wake (
    id TEXT NOT NULL PRIMARY KEY REFERENCES job (id) ON DELETE CASCADE,
    account TEXT NOT NULL,
    stage TEXT NOT NULL,
    due INTEGER,
    fence INTEGER NOT NULL,
    owner TEXT,
    nudge INTEGER NOT NULL,
    looks INTEGER NOT NULL,
    last_look INTEGER,
    word TEXT,
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX wake_due ON wake (account, due) WHERE due IS NOT NULL;

CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    job TEXT NOT NULL,
    at INTEGER NOT NULL,
    fence INTEGER,
    worker TEXT NOT NULL,
    what TEXT NOT NULL,
    text TEXT,
    request_id TEXT,
    credits INTEGER,
    acked INTEGER NOT NULL
) STRICT;
CREATE INDEX event_job ON event (job, seq);
CREATE INDEX event_outbox ON event (seq) WHERE acked = 0;

-- Pushes for ids that are not known yet.
CREATE TABLE hint (
    vendor TEXT NOT NULL,
    remote_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (vendor, remote_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE quota (
    account TEXT NOT NULL,
    action TEXT NOT NULL,
    taken TEXT NOT NULL,
    PRIMARY KEY (account, action)
) STRICT, WITHOUT ROWID;

CREATE TABLE memo (
    account TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;
