//! `--report FILE.csv`: what became of each input, for spreadsheets and scripts.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use jobs_core::disk::{OutputPath, advice};

use crate::exit::CommandError;
use crate::output::absolute;

/// One input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) input: String,
    pub(crate) output: Option<PathBuf>,
    pub(crate) id: Option<String>,
    pub(crate) remote_id: Option<String>,
    pub(crate) stage: String,
    pub(crate) money: Option<i64>,
    pub(crate) error: Option<String>,
}

const COLUMNS: [&str; 7] = [
    "input",
    "output",
    "id",
    "remote_id",
    "stage",
    "money",
    "error",
];

/// A report that can be written, as was tried before anything was sent.
#[derive(Debug)]
pub(crate) struct ReportFile(OutputPath);

impl ReportFile {
    /// A report of an earlier run is replaced at the end, as a whole.
    pub(crate) fn new(path: &Path) -> Result<Self, CommandError> {
        match OutputPath::replacing(absolute(path)?) {
            Ok(target) => Ok(Self(target)),
            Err(problem) => Err(unwritable(path, &problem)),
        }
    }

    pub(crate) fn write(&self, rows: impl Iterator<Item = Row>) -> Result<(), CommandError> {
        let mut lines = Lines {
            rows,
            text: Vec::new(),
            at: 0,
            is_begun: false,
        };
        match self.0.write_from(&mut lines) {
            Ok(_) => Ok(()),
            Err(problem) => Err(unwritable(self.0.path(), &problem)),
        }
    }
}

fn unwritable(path: &Path, problem: &io::Error) -> CommandError {
    CommandError::invalid_input(format!(
        "cannot write the report {}: {problem}; {}",
        path.display(),
        advice(problem)
    ))
}

/// The text of a report, row by row, so that its length costs no memory.
struct Lines<I> {
    rows: I,
    text: Vec<u8>,
    at: usize,
    is_begun: bool,
}

impl<I: Iterator<Item = Row>> Read for Lines<I> {
    fn read(&mut self, mut into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.text.len() {
            self.text.clear();
            self.at = 0;
            if !std::mem::replace(&mut self.is_begun, true) {
                put(&mut self.text, COLUMNS.map(str::to_owned))?;
            } else if let Some(row) = self.rows.next() {
                put(&mut self.text, row.fields())?;
            }
        }
        let rest = self.text.get(self.at..).unwrap_or_default();
        let written = into.write(rest)?;
        self.at += written;
        Ok(written)
    }
}

impl Row {
    fn fields(self) -> [String; 7] {
        let path = |path: PathBuf| path.display().to_string();
        [
            self.input,
            self.output.map(path).unwrap_or_default(),
            self.id.unwrap_or_default(),
            self.remote_id.unwrap_or_default(),
            self.stage,
            self.money
                .map(|money| money.to_string())
                .unwrap_or_default(),
            self.error.unwrap_or_default(),
        ]
    }
}

fn put(text: &mut Vec<u8>, fields: [String; 7]) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(text);
    writer.write_record(fields).map_err(io::Error::other)?;
    writer.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        vec![
            Row {
                input: "in/a, \"b\".pdf".to_owned(),
                output: Some("/out/a.md".into()),
                id: Some("7".to_owned()),
                remote_id: Some("0123".to_owned()),
                stage: "completed".to_owned(),
                money: Some(3),
                error: None,
            },
            Row {
                input: "合同.pdf".to_owned(),
                stage: "failed".to_owned(),
                error: Some("处理失败\nline two".to_owned()),
                ..Row::default()
            },
        ]
    }

    #[test]
    fn a_report_has_one_row_for_each_input_and_replaces_the_one_before() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("r.csv");
        std::fs::write(&path, "old").unwrap();
        let report = ReportFile::new(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        report.write(rows().into_iter()).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "input,output,id,remote_id,stage,money,error\n\
             \"in/a, \"\"b\"\".pdf\",/out/a.md,7,0123,completed,3,\n\
             合同.pdf,,,,failed,,\"处理失败\nline two\"\n"
        );
        report.write(std::iter::empty()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn a_report_that_cannot_be_written_is_refused_before() {
        let place = tempfile::tempdir().unwrap();
        let refused = ReportFile::new(&place.path().join("none/r.csv")).unwrap_err();
        assert!(refused.line.contains("none/r.csv"), "{}", refused.line);
        assert!(ReportFile::new(place.path()).is_err());
    }
}
