//! `old-ledger --store postgres://…`: makes the fixtures of a ledger as commit 2f5c79d left it, on both stores.
//!
//! Its `jobs-ledger` is built in a work tree of its own, with the program of `xtask/old-ledger` as an example.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::metadata;

const COMMIT: &str = "2f5c79d";
const SCHEMA: &str = "docjobs_old";
const FIXTURES: &str = "crates/jobs-ledger/tests/fixtures";
const HEAD: &str = "-- A ledger of commit 2f5c79d, made by `cargo xtask old-ledger`.\n";
/// What a dump of an SQLite file leaves out: "DJL1", and the layout.
const MARKS: &str = "PRAGMA application_id = 1145719857;\nPRAGMA user_version = 2;\n";

pub(crate) fn run(root: &Path, words: &[&str]) -> Result<()> {
    let ["--store", store] = words else {
        bail!("name a database that may be written to: `--store postgres://…`");
    };
    let folder = metadata::read(root)?.target_directory.join("old-ledger");
    let tree = folder.join("tree");
    if !tree.exists() {
        fs::create_dir_all(&folder)?;
        let mut add = Command::new("git");
        add.args(["worktree", "add", "--detach"])
            .arg(&tree)
            .arg(COMMIT);
        said(add.current_dir(root))?;
    }
    let example = tree.join("crates/jobs-ledger/examples/old_ledger.rs");
    fs::copy(root.join("xtask/old-ledger/main.rs"), &example)?;
    let write = |words: &[&str]| {
        let mut write = Command::new(metadata::cargo());
        write.args([
            "run",
            "--quiet",
            "--package",
            "jobs-ledger",
            "--example",
            "old_ledger",
        ]);
        write
            .arg("--target-dir")
            .arg(folder.join("target"))
            .arg("--");
        said(write.args(words).current_dir(&tree))
    };
    let file = folder.join("ledger.db");
    let _ = fs::remove_file(&file);
    let url = format!("sqlite:{}", file.display());
    write(&[&url])?;
    let dump = said(Command::new("sqlite3").arg(&file).arg(".dump"))?;
    let fixtures = root.join(FIXTURES);
    fs::write(fixtures.join("ledger-2f5c79d.sqlite.sql"), of_sqlite(&dump))?;
    write(&[store, SCHEMA])?;
    let mut dump = Command::new("pg_dump");
    dump.args([store, "--schema", SCHEMA, "--inserts", "--no-owner"]);
    let dump = said(&mut dump)?;
    fs::write(
        fixtures.join("ledger-2f5c79d.postgres.sql"),
        of_postgres(&dump),
    )?;
    let drop = format!("DROP SCHEMA {SCHEMA} CASCADE");
    said(Command::new("psql").args([store, "--quiet", "--command", &drop]))?;
    Ok(())
}

/// Without the counter, which a file without rows in it has not, and with the marks of a ledger.
fn of_sqlite(dump: &str) -> String {
    let kept = dump
        .lines()
        .filter(|line| !line.contains("sqlite_sequence"));
    let body: String = kept.flat_map(|line| [line, "\n"]).collect();
    format!("{HEAD}{body}{MARKS}")
}

/// Statements alone: no settings of a session, no commands of a client, no remarks.
fn of_postgres(dump: &str) -> String {
    let is_kept = |line: &&str| {
        let is_setting = line.starts_with("SET ") || line.contains("set_config");
        !(line.is_empty() || line.starts_with("--") || line.starts_with('\\') || is_setting)
    };
    let kept = dump.lines().filter(is_kept);
    let body: String = kept.flat_map(|line| [line, "\n"]).collect();
    format!("{HEAD}{body}")
}

/// What a program printed, if it ended well.
fn said(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_is_reduced_to_what_any_session_can_run() {
        let dump = "\\restrict x\n--\n-- PostgreSQL\n\nSET a = 0;\nSELECT pg_catalog.set_config('search_path', '', \
                    false);\nCREATE SCHEMA docjobs_old;\n";
        assert_eq!(
            of_postgres(dump),
            format!("{HEAD}CREATE SCHEMA docjobs_old;\n")
        );
        let dump = "BEGIN;\nINSERT INTO sqlite_sequence VALUES('event',1);\nCOMMIT;\n";
        assert_eq!(of_sqlite(dump), format!("{HEAD}BEGIN;\nCOMMIT;\n{MARKS}"));
    }
}
