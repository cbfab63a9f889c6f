//! How jobs of the cloud look to people and scripts. Names are foreign text, so they lose whatever moves a cursor.

use chrono::{DateTime, SecondsFormat, Utc};
use printer_jobs::{Format, ListedJob, PrintStatus};
use serde_json::{Map, Value, json};

/// The keys that scripts rely on.
pub(super) fn as_json(job: &ListedJob, unsaid: &str) -> Value {
    json!({
        "job_id": job.id,
        "status": status(job, unsaid),
        "user": job.userid,
        "doc_name": job.doc_name,
        "doc_size": job.doc_size,
        "format": format(job),
        "created_at": created_at(job),
        "settings": settings(job),
    })
}

/// A row for people.
pub(super) fn as_row(job: &ListedJob, unsaid: &str) -> String {
    let text = |text: &Option<String>| text.as_deref().map_or_else(|| "-".to_owned(), one_line);
    let settings: Vec<String> = job
        .settings
        .pairs()
        .iter()
        .map(|setting| one_line(&format!("{}={}", setting.key, setting.values.join(","))))
        .collect();
    let row = format!(
        "{:<55} {:<9} {:<20} {:<5} {:>9} {:<16} {}  {}",
        one_line(&job.id),
        status(job, unsaid),
        created_at(job).unwrap_or_else(|| "-".to_owned()),
        one_line(format(job)),
        job.doc_size
            .map_or_else(|| "-".to_owned(), |size| size.to_string()),
        text(&job.userid),
        text(&job.doc_name),
        settings.join(" "),
    );
    row.trim_end().to_owned()
}

/// What stands above the rows.
pub(super) fn heading() -> String {
    format!(
        "{:<55} {:<9} {:<20} {:<5} {:>9} {:<16} DOCUMENT  SETTINGS",
        "JOB", "STATUS", "CREATED", "FILE", "BYTES", "USER"
    )
}

/// One line without anything that a terminal or a script would act on.
pub(super) fn one_line(text: &str) -> String {
    /// Far more than any name needs, and far less than a process's environment may hold.
    const MOST: usize = 1000;
    let plain = |character: char| {
        // The second range turns the direction of what follows it.
        let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if character.is_control() || turns {
            ' '
        } else {
            character
        }
    };
    let line: String = text.chars().take(MOST).map(plain).collect();
    line.trim().to_owned()
}

fn status<'a>(job: &ListedJob, unsaid: &'a str) -> &'a str {
    match job.status {
        PrintStatus::Unprinted => "unprinted",
        PrintStatus::Printed => "printed",
        PrintStatus::Failed => "failed",
        PrintStatus::Unknown(None) => unsaid,
        _ => "unknown",
    }
}

fn format(job: &ListedJob) -> &str {
    match &job.format {
        Format::Pdf => "pdf",
        Format::Jpg => "jpg",
        Format::Other(word) => word,
        _ => "unknown",
    }
}

fn created_at(job: &ListedJob) -> Option<String> {
    let at = DateTime::<Utc>::from_timestamp(job.created_at?, 0)?;
    Some(at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// Each setting with all its values; one that is listed twice has the values of both.
pub(super) fn settings(job: &ListedJob) -> Value {
    let mut object = Map::new();
    for setting in job.settings.pairs() {
        let values = object
            .entry(setting.key.clone())
            .or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(values) = values {
            values.extend(setting.values.iter().cloned().map(Value::from));
        }
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_becomes_one_harmless_line() {
        assert_eq!(one_line("a\r\n\u{1b}[2Jb\0\u{202e}c "), "a   [2Jb  c");
        assert_eq!(one_line("打印 文件.pdf"), "打印 文件.pdf");
        assert_eq!(one_line(&"x".repeat(5000)).len(), 1000);
    }
}
