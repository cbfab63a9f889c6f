-- What is decided by, in types; the texts beside it are for people. This step grows until it is published.

-- All that a submit needs beside the content, kept; and what of it nobody may read, until the job is accepted or over.
ALTER TABLE job ADD COLUMN request TEXT;
ALTER TABLE job ADD COLUMN request_private TEXT;
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
