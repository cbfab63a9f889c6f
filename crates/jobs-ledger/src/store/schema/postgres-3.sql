-- What is decided by, in types; the texts beside it are for people. This step grows until it is published.

-- All that a submit needs beside the content, kept; and what of it nobody may read, until the job is accepted or over.
ALTER TABLE job ADD COLUMN request TEXT;
ALTER TABLE job ADD COLUMN request_private TEXT;
-- Who gave the place of the result, where that is proved.
ALTER TABLE job ADD COLUMN output_seal BYTEA;
-- Of what was verified, before it gets its name.
ALTER TABLE job ADD COLUMN verified BYTEA;
-- How work on this side ended, before it is reported.
ALTER TABLE job ADD COLUMN outcome TEXT;
-- Results that arrived whole and did not pass our checks, with how often each was fetched.
ALTER TABLE job ADD COLUMN unverified TEXT;
-- Beside the error, which is for people: its kind, codes and what the other side answered.
ALTER TABLE job ADD COLUMN error_data TEXT;
ALTER TABLE event ADD COLUMN data TEXT;
-- Why a job waits for somebody; set exactly while it is neither due nor claimed nor settled.
ALTER TABLE wake ADD COLUMN parked TEXT;
CREATE INDEX wake_parked ON wake (account, parked) WHERE parked IS NOT NULL;
-- What the same input was bought as before: *again* that is refused gives it back.
CREATE INDEX job_superseded ON job (digest) WHERE live IS NULL;

-- What the vendor ended stays bought: of each input the newest job that was not refused, if it failed or is gone.
UPDATE job SET live = digest WHERE id IN (
    SELECT n.id FROM (
        SELECT j.id, j.digest, w.stage,
            row_number() OVER (PARTITION BY j.digest ORDER BY j.created_at DESC, j.id DESC) AS place
        FROM job j JOIN wake w ON w.id = j.id
        WHERE NOT (w.stage = 'failed' AND j.remote_id IS NULL)
    ) n
    WHERE n.place = 1 AND n.stage IN ('failed', 'gone') AND NOT EXISTS (SELECT 1 FROM job o WHERE o.live = n.digest)
);

-- From here on the words of layout 2 are read for the last time.
UPDATE wake SET parked = 'unspecified'
WHERE due IS NULL AND owner IS NULL AND stage NOT IN ('done', 'failed', 'gone', 'stopped');
UPDATE wake SET parked = 'in_doubt' WHERE parked IS NOT NULL AND stage = 'unknown';
UPDATE job SET verified = v.digest FROM (
    SELECT DISTINCT ON (e.job) e.job, decode(substr(e.text, 18), 'hex') AS digest FROM event e
    WHERE e.what = 'noted' AND e.text ~ '^verified, sha256 [0-9a-f]{64}$'
    ORDER BY e.job, e.seq DESC
) v WHERE v.job = job.id;
UPDATE job SET outcome = o.outcome FROM (
    SELECT DISTINCT ON (e.job) e.job, CASE WHEN e.text = 'printed' THEN '"succeeded"'
    ELSE json_build_object('failed', json_build_object(
        'code', substring(e.text from '^failed \(([0-9]{1,9})\): ')::bigint,
        'message', regexp_replace(e.text, '^failed \([0-9]+\): ', '')
    ))::text END AS outcome
    FROM event e
    WHERE e.what = 'noted' AND (e.text = 'printed' OR e.text ~ '^failed \([0-9]{1,9}\): ')
    ORDER BY e.job, e.seq DESC
) o WHERE o.job = job.id;
-- A job that may still have to be sent and has no file: its text is what was to be sent, or ends with it.
UPDATE job SET request_private = json_build_object('text', input)::text
WHERE remote_id IS NULL AND live IS NOT NULL AND input_path IS NULL;
-- An address is kept without what opens it.
UPDATE job SET input = regexp_replace(regexp_replace(input, '\?.*$', '?…'), '^(https?://)[^/?#]*@', '\1')
WHERE input ~ '^https?://';
ALTER TABLE wake RENAME COLUMN nudge TO poll_soon;
ALTER TABLE wake RENAME COLUMN looks TO polls;
ALTER TABLE wake RENAME COLUMN last_look TO last_poll;
ALTER TABLE wake RENAME COLUMN word TO vendor_status;
-- The words of the stages and of the history, which programs read. A refused submit is no failed job.
UPDATE wake SET stage = 'rejected'
WHERE stage = 'failed' AND id IN (SELECT id FROM job WHERE remote_id IS NULL);
UPDATE wake SET stage = CASE stage
    WHEN 'wanted' THEN 'intended' WHEN 'sending' THEN 'submitting' WHEN 'held' THEN 'accepted'
    WHEN 'ready' THEN 'available' WHEN 'fetching' THEN 'downloading' WHEN 'done' THEN 'completed'
    WHEN 'unknown' THEN 'in_doubt' WHEN 'stopped' THEN 'abandoned'
    END
WHERE stage IN ('wanted', 'sending', 'held', 'ready', 'fetching', 'done', 'unknown', 'stopped');
UPDATE event SET what = CASE what
    WHEN 'sending' THEN 'submitting' WHEN 'held' THEN 'accepted' WHEN 'unknown' THEN 'in_doubt'
    WHEN 'ready' THEN 'available' WHEN 'fetching' THEN 'downloading' WHEN 'done' THEN 'completed'
    WHEN 'intended again' THEN 'intended_again' WHEN 'taken in' THEN 'imported' WHEN 'answered late' THEN 'answered_late'
    WHEN 'refused' THEN 'rejected' WHEN 'not sent' THEN 'not_sent' WHEN 'looked' THEN 'polled'
    WHEN 'lapsed' THEN 'link_expired' WHEN 'rescued' THEN 'reclaimed' WHEN 'not understood' THEN 'not_understood'
    END
WHERE what IN ('sending', 'held', 'unknown', 'ready', 'fetching', 'done', 'intended again', 'taken in',
    'answered late', 'refused', 'not sent', 'looked', 'lapsed', 'rescued', 'not understood');

-- What a list of jobs is filtered and counted by, in the narrow row: cost grows with what is asked for, not with the past.
ALTER TABLE wake ADD COLUMN kind TEXT NOT NULL DEFAULT '';
ALTER TABLE wake ADD COLUMN created_at BIGINT NOT NULL DEFAULT 0;
-- When it was settled; null again once it is pruned.
ALTER TABLE wake ADD COLUMN settled_at BIGINT;
-- Set while an intended job does not fit into its vendor's budget: when the budget begins anew, or the end of time.
ALTER TABLE wake ADD COLUMN blocked_until BIGINT;
UPDATE wake SET kind = j.kind, created_at = j.created_at,
    settled_at = CASE WHEN wake.stage IN ('completed', 'rejected', 'failed', 'gone', 'abandoned') THEN wake.updated_at END
FROM job j WHERE j.id = wake.id;
CREATE INDEX wake_list ON wake (account, kind, stage, created_at, id);
CREATE INDEX wake_settled ON wake (settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX wake_poll_soon ON wake (owner) WHERE poll_soon = 1;
CREATE INDEX wake_blocked ON wake (account, created_at) WHERE blocked_until IS NOT NULL;

-- The kind of the error, as in error_data.
ALTER TABLE job ADD COLUMN error_kind TEXT;
-- How many polls that cost money the job allows.
ALTER TABLE job ADD COLUMN max_calls BIGINT;
-- What the budget keeps free for it, until the charge is known or there is none; and the day to which both count.
ALTER TABLE job ADD COLUMN reserved BIGINT;
ALTER TABLE job ADD COLUMN charge_day BIGINT;
UPDATE job SET error_kind = error_data::json ->> 'kind' WHERE error_data IS NOT NULL;
CREATE INDEX job_error ON job (created_at, id) WHERE error IS NOT NULL;
CREATE INDEX job_error_kind ON job (error_kind, created_at, id) WHERE error_kind IS NOT NULL;
CREATE INDEX job_input ON job (left(input, 200) COLLATE "C", created_at, id);
CREATE INDEX job_output ON job (right(output, 200)) WHERE output IS NOT NULL;

-- Every vendor, kind and account that has jobs.
CREATE TABLE job_class (
    vendor TEXT NOT NULL,
    kind TEXT NOT NULL,
    account TEXT NOT NULL,
    PRIMARY KEY (vendor, kind, account)
);
INSERT INTO job_class SELECT DISTINCT vendor, kind, account FROM job;

-- How many settled jobs there are in each stage.
CREATE TABLE stage_total (
    vendor TEXT NOT NULL,
    kind TEXT NOT NULL,
    account TEXT NOT NULL,
    stage TEXT NOT NULL,
    jobs BIGINT NOT NULL,
    PRIMARY KEY (vendor, kind, account, stage)
);
INSERT INTO stage_total SELECT j.vendor, j.kind, j.account, w.stage, count(*) FROM wake w JOIN job j ON j.id = w.id
WHERE w.settled_at IS NOT NULL GROUP BY 1, 2, 3, 4;

-- Money by the day in Shanghai, counted in days since 1970: charged, kept free for jobs under way, spared by attaching;
-- and how many jobs were charged.
CREATE TABLE money_total (
    vendor TEXT NOT NULL,
    account TEXT NOT NULL,
    day BIGINT NOT NULL,
    charged BIGINT NOT NULL,
    reserved BIGINT NOT NULL,
    spared BIGINT NOT NULL,
    jobs BIGINT NOT NULL,
    PRIMARY KEY (vendor, account, day)
);
UPDATE job SET charge_day = (coalesce(sent_at, accepted_at, created_at) + 28800000000) / 86400000000
WHERE credits IS NOT NULL;
INSERT INTO money_total SELECT vendor, account, charge_day, sum(credits), 0, 0, count(*) FROM job
WHERE credits IS NOT NULL GROUP BY 1, 2, 3;

-- What may be spent at a vendor.
CREATE TABLE budget (
    vendor TEXT NOT NULL PRIMARY KEY,
    units BIGINT NOT NULL,
    per TEXT NOT NULL,
    strict BIGINT NOT NULL
);

-- Inputs by what tells without reading them that they are the same.
CREATE TABLE input_seen (
    path TEXT NOT NULL PRIMARY KEY,
    size BIGINT NOT NULL,
    mtime BIGINT NOT NULL,
    inode BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    at BIGINT NOT NULL
);

-- What was bought anew on request: the same request attaches to the job that it made.
CREATE TABLE purchase (
    request BYTEA NOT NULL PRIMARY KEY,
    job TEXT NOT NULL
);
CREATE INDEX purchase_job ON purchase (job);

-- Calls of the vendors. Each only brings a poll forward.
CREATE TABLE webhook (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at BIGINT NOT NULL,
    vendor TEXT NOT NULL,
    remote_id TEXT,
    job TEXT,
    verdict TEXT NOT NULL,
    body TEXT NOT NULL,
    digest BYTEA NOT NULL
);
CREATE INDEX webhook_same ON webhook (digest);
CREATE INDEX webhook_unknown ON webhook (remote_id) WHERE verdict = 'unknown_job';
CREATE INDEX webhook_job ON webhook (job, seq) WHERE job IS NOT NULL;
CREATE INDEX webhook_verdict ON webhook (verdict, seq);
CREATE INDEX webhook_vendor ON webhook (vendor, seq);
CREATE TABLE webhook_count (
    day BIGINT NOT NULL,
    vendor TEXT NOT NULL,
    verdict TEXT NOT NULL,
    calls BIGINT NOT NULL,
    PRIMARY KEY (day, vendor, verdict)
);

-- Processes that work on jobs, as they report themselves.
CREATE TABLE worker (
    id TEXT NOT NULL PRIMARY KEY,
    last_seen BIGINT NOT NULL,
    jobs BIGINT NOT NULL
);

-- Accounts that are the same as another one: a key was exchanged.
CREATE TABLE account_alias (
    account TEXT NOT NULL PRIMARY KEY,
    joined TEXT NOT NULL
);

-- The history is read behind a cursor by any number of readers; nobody acknowledges.
DROP INDEX event_outbox;
ALTER TABLE event DROP COLUMN acked;
-- Transactions commit in another order than they number rows: a reader goes by transaction, below the oldest running one.
ALTER TABLE event ADD COLUMN tx BIGINT NOT NULL DEFAULT 0;
ALTER TABLE event ALTER COLUMN tx SET DEFAULT txid_current();
CREATE INDEX event_tx ON event (tx, seq);
-- Changes of the totals that wait to be summed up, so that two who change the same total do not wait for each other.
CREATE TABLE stage_delta (
    vendor TEXT NOT NULL,
    kind TEXT NOT NULL,
    account TEXT NOT NULL,
    stage TEXT NOT NULL,
    jobs BIGINT NOT NULL
);
CREATE TABLE money_delta (
    vendor TEXT NOT NULL,
    account TEXT NOT NULL,
    day BIGINT NOT NULL,
    charged BIGINT NOT NULL,
    reserved BIGINT NOT NULL,
    spared BIGINT NOT NULL,
    jobs BIGINT NOT NULL
);
