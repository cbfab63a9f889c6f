//! A ledger that others can write decides where results are written, so it is none: `doctor` says so, and no command
//! sends anything.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::stand_in::{StandIn, Step, Vendor};
use crate::faults::database::{Database, SERVER};

/// The purchase and `doctor` end with this word about the ledger, and the vendor is asked for no job.
fn refused(vendor: &StandIn, ledger: &str, words: &[&str]) {
    let ledger = [("DOCJOBS_LEDGER", ledger)];
    vendor.run_with(&vendor.purchase(), &ledger).ended(2, words);
    assert_eq!(vendor.count(Step::Submit), 0);
    let doctor = vendor.run_with(&["doctor"], &ledger);
    let told = format!("{}{}", doctor.stdout, doctor.stderr);
    assert!(doctor.exit != Some(0), "{doctor:#?}");
    for words in words {
        assert!(told.contains(words), "{words:?}: {doctor:#?}");
    }
}

#[test]
fn a_file_or_a_folder_that_others_can_write_is_named_with_what_to_do() {
    let vendor = StandIn::new(Vendor::TextIn, |_, _| None);
    let folder = vendor.path("kept");
    std::fs::create_dir(&folder).unwrap();
    set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    let file = folder.join("ledger.db");
    let ledger = file.to_str().unwrap();
    vendor
        .run_with(&["jobs"], &[("DOCJOBS_LEDGER", ledger)])
        .ended(0, &[]);
    for (place, mode, right) in [
        (&file, 0o666, 0o600),
        (&file, 0o620, 0o600),
        (&folder, 0o777, 0o700),
    ] {
        set_permissions(place, Permissions::from_mode(mode)).unwrap();
        let advice = format!("chmod go-w {}", place.display());
        refused(&vendor, ledger, &["can be written by others", &advice]);
        set_permissions(place, Permissions::from_mode(right)).unwrap();
    }
    vendor
        .run_with(&["jobs"], &[("DOCJOBS_LEDGER", ledger)])
        .ended(0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_are_not_ours_are_named() {
    let Ok(server) = std::env::var(SERVER) else {
        return;
    };
    let database = Database::make(server, "foreign", "").await;
    let vendor = StandIn::new(Vendor::TextIn, |_, _| None);
    for table in ["job", "budget"] {
        let make = format!("create table {table} (id text primary key, owner text)");
        within(&database, &make).await;
        refused(&vendor, &database.url(), &["tables of another program"]);
        within(&database, &format!("drop table {table}")).await;
    }
    // A ledger of ours to which somebody added what acts by itself.
    let ledger = database.url();
    vendor
        .run_with(&["jobs"], &[("DOCJOBS_LEDGER", &ledger)])
        .ended(0, &[]);
    let rule = "create rule spy as on insert to purchase do also notify spy";
    within(&database, rule).await;
    let words = &["the table purchase", "triggers, rules or row security"];
    refused(&vendor, &ledger, words);
    database.drop().await;
}

async fn within(database: &Database, sql: &str) {
    let mut connection = PgConnection::connect(&database.url()).await.unwrap();
    let said = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    said.execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
