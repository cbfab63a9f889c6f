-- Written once for each job and at each of its stages; looks do not touch it.
CREATE TABLE job (
    id TEXT NOT NULL PRIMARY KEY,
    vendor TEXT NOT NULL,
    kind TEXT NOT NULL,
    account TEXT NOT NULL,
    -- The digest while the same wish attaches to this job, else null.
    live BYTEA UNIQUE,
    digest BYTEA NOT NULL,
    content BYTEA NOT NULL,
    options TEXT NOT NULL,
    input TEXT NOT NULL,
    input_path TEXT,
    output TEXT,
    sha256 BYTEA,
    result TEXT,
    again BIGINT NOT NULL,
    remote_id TEXT,
    accepted_at BIGINT,
    attempts BIGINT NOT NULL,
    -- The fence of the claim that made the latest paid call: its answer counts even late.
    sent_fence BIGINT,
    sent_at BIGINT,
    calls BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    credits BIGINT,
    error TEXT
);
CREATE INDEX job_remote ON job (remote_id) WHERE remote_id IS NOT NULL;
CREATE INDEX job_created ON job (created_at, id);

-- What looking changes. A claim sets owner, raises fence and moves due to the end of the lease.
CREATE TABLE wake (
    id TEXT NOT NULL PRIMARY KEY REFERENCES job (id) ON DELETE CASCADE,
    account TEXT NOT NULL,
    stage TEXT NOT NULL,
    due BIGINT,
    fence BIGINT NOT NULL,
    owner TEXT,
    nudge BIGINT NOT NULL,
    looks BIGINT NOT NULL,
    last_look BIGINT,
    word TEXT,
    updated_at BIGINT NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX wake_due ON wake (account, due) WHERE due IS NOT NULL;

CREATE TABLE event (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job TEXT NOT NULL,
    at BIGINT NOT NULL,
    fence BIGINT,
    worker TEXT NOT NULL,
    what TEXT NOT NULL,
    text TEXT,
    request_id TEXT,
    credits BIGINT,
    acked BIGINT NOT NULL
);
CREATE INDEX event_job ON event (job, seq);
CREATE INDEX event_outbox ON event (seq) WHERE acked = 0;

-- Pushes for ids that are not known yet.
CREATE TABLE hint (
    vendor TEXT NOT NULL,
    remote_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (vendor, remote_id)
);

CREATE TABLE quota (
    account TEXT NOT NULL,
    action TEXT NOT NULL,
    taken TEXT NOT NULL,
    PRIMARY KEY (account, action)
);

CREATE TABLE memo (
    account TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (account, key)
);
