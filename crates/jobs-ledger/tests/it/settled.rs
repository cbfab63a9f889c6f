//! Ledgers with a long past: settled jobs by the million, as rows that our own code would have written.

use jobs_core::vendor::Account;

use jobs_core::JobId;
use jobs_ledger::{ErrorRecord, Estimate, IntendOutcome, Intent, Ledger, Note};
use sqlx::{AssertSqlSafe, Row as _, SqliteConnection};

/// How the job of this number ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Completed,
    Failed,
    /// It is not over, and due.
    Waiting,
}

pub(crate) fn account() -> Account {
    Account::of("textin", "past")
}

fn content(number: u32) -> [u8; 32] {
    let mut content = [0; 32];
    content[28..].copy_from_slice(&number.to_be_bytes());
    content
}

/// Writes one job by the interface; gives its id.
pub(crate) async fn write(ledger: &Ledger, number: u32, end: End) -> String {
    let intent = Intent::new("textin", "parse", account(), content(number))
        .with_input(format!("in/{number:08}.pdf"))
        .with_output(format!("/out/{number:08}.md"))
        .with_options(serde_json::json!({"pages": "1-5"}));
    let IntendOutcome::New(claim, job) = ledger.intend(intent).await.unwrap() else {
        panic!("it is new");
    };
    let permission = ledger.begin_submit(claim, Estimate::Free).await.unwrap();
    let remote = JobId::new(format!("remote-{number:08}")).unwrap();
    let (claim, now) = (permission.granted().unwrap(), ledger.clock().wall());
    let claim = ledger
        .record_accepted(&claim, &remote, now, Note::none())
        .await;
    let claim = claim.unwrap();
    match end {
        End::Completed => {
            let claim = ledger.begin_fetch(&claim).await.unwrap();
            ledger.record_verified(&claim, [7; 32]).await.unwrap();
            let place = format!("/out/{number:08}.md");
            let done = ledger.complete(&claim, Some(place.as_ref()), Some([7; 32]), Note::none());
            done.await.unwrap();
        }
        End::Failed => {
            let mut error = ErrorRecord::default();
            error.kind = "refused".to_owned();
            let note = Note::new("the document is encrypted").with_error(error);
            ledger.record_failed(&claim, note).await.unwrap();
        }
        End::Waiting => ledger.release(claim, jobs_ledger::Due::Now).await.unwrap(),
    }
    job.id.to_string()
}

/// Writes the settled job `of`, whose number is `number`, again under the numbers from `first` on, `count` times.
pub(crate) async fn multiply(
    conn: &mut SqliteConnection,
    of: &str,
    number: u32,
    first: u32,
    count: u32,
) {
    let last = first + count - 1;
    let numbers = format!(
        "WITH RECURSIVE s (n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n < {last})"
    );
    let digits = (0..10).rev().map(|place| {
        let place = 5 * place;
        format!("substr('0123456789abcdefghjkmnpqrstvwxyz', (n >> {place} & 31) + 1, 1)")
    });
    let id = digits.collect::<Vec<_>>().join(" || ");
    let named = |column: &str| {
        format!("replace(replace(t.{column}, '{number:08}', printf('%08d', n)), '{of}', {id})")
    };
    for (table, key) in [("job", "id"), ("wake", "id"), ("event", "job")] {
        let sql = format!("SELECT name FROM pragma_table_info('{table}') WHERE name <> 'seq'");
        let columns = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *conn).await;
        let columns: Vec<String> = columns.unwrap().iter().map(|row| row.get(0)).collect();
        let values = columns.iter().map(|column| match column.as_str() {
            column if column == key => id.clone(),
            "content" => "unhex(printf('%064x', n))".to_owned(),
            "digest" | "live" => format!(
                "CASE WHEN t.{column} IS NOT NULL THEN unhex(printf('%064x', n + (1 << 40))) END"
            ),
            "created_at" => format!("t.created_at + n - {number}"),
            "remote_id" | "input" | "input_path" | "output" | "text" | "data" => named(column),
            column => format!("t.{column}"),
        });
        let sql = format!(
            "{numbers} INSERT INTO {table} ({}) SELECT {} FROM s CROSS JOIN {table} t WHERE t.{key} = '{of}'",
            columns.join(", "),
            values.collect::<Vec<_>>().join(", "),
        );
        sqlx::query(AssertSqlSafe(sql))
            .execute(&mut *conn)
            .await
            .unwrap();
    }
    let count = format!(
        "UPDATE stage_total SET jobs = jobs + {count} WHERE (vendor, kind, account, stage) = (SELECT j.vendor, j.kind, \
         j.account, w.stage FROM job j JOIN wake w ON w.id = j.id WHERE j.id = '{of}')"
    );
    sqlx::query(AssertSqlSafe(count))
        .execute(conn)
        .await
        .unwrap();
}
