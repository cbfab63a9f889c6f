//! The parsed document: read as typed elements, or passed through a piece at a time.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};

use jobs_core::Error;
use jobs_core::http::{CheckError, Inspection};
use serde_json::value::RawValue;
use struson::reader::{JsonReader, JsonStreamReader, ReaderError, ValueType};

use crate::generated::types::ParseResult;

/// A parsed document in memory.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Parsed {
    /// The typed elements.
    pub result: ParseResult,
    /// The JSON as the vendor sent it.
    pub raw: Box<RawValue>,
    /// What the vendor said beside a result that is not whole: some pages failed, the others are billed.
    pub partial: Option<Error>,
}

/// What a result on disk was seen to hold, without keeping it in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outline {
    /// The number of elements.
    pub elements: u64,
    /// The billed pages, where the result says so.
    pub success_count: Option<u64>,
    /// Whether there is a Markdown text.
    pub has_markdown: bool,
}

/// Decodes a result, which comes bare or below `data` of the envelope: the vendor's pages show both.
pub(crate) fn decode(body: &[u8]) -> Result<(ParseResult, Box<RawValue>), String> {
    #[derive(serde::Deserialize)]
    struct Enveloped {
        data: Option<Box<RawValue>>,
    }
    let raw: Box<RawValue> = serde_json::from_slice(body)
        .map_err(|problem| format!("the result is no JSON: {problem}"))?;
    let bare = match serde_json::from_str(raw.get()) {
        Ok(result) => return Ok((result, raw)),
        Err(problem) => problem,
    };
    let enveloped = serde_json::from_str(raw.get())
        .ok()
        .and_then(|Enveloped { data }| data);
    let raw = enveloped.ok_or_else(|| format!("the result is not as documented: {bare}"))?;
    let result = serde_json::from_str(raw.get())
        .map_err(|problem| format!("the result is not as documented: {problem}"))?;
    Ok((result, raw))
}

/// Reads a whole result from disk and checks that it is complete JSON with elements.
pub(crate) fn inspect(file: &mut File, inspection: &mut Inspection) -> Result<Outline, CheckError> {
    walk(inspection.reader(file), &mut io::sink())
}

/// The same, and writes its Markdown text as it passes.
pub(crate) fn extract_markdown(
    file: &mut File,
    out: &mut File,
    inspection: &mut Inspection,
) -> Result<Outline, CheckError> {
    let mut out = BufWriter::with_capacity(256 * 1024, out);
    let outline = walk(inspection.reader(file), &mut out)?;
    if !outline.has_markdown {
        return Err(CheckError::Invalid(
            "the result has no Markdown text".to_owned(),
        ));
    }
    out.flush()?;
    Ok(outline)
}

pub(crate) fn walk(file: impl Read, markdown: &mut impl Write) -> Result<Outline, CheckError> {
    let mut json = JsonStreamReader::new(BufReader::with_capacity(256 * 1024, file));
    let mut seen = Seen::default();
    let walked = seen
        .object(&mut json, markdown, Level::Top)
        .and_then(|()| Ok(json.consume_trailing_whitespace()?));
    walked.map_err(|problem| match problem {
        Problem::Json(problem) => {
            CheckError::Invalid(format!("the result is cut or no JSON: {problem}"))
        }
        Problem::Write(problem) => CheckError::Local(problem),
    })?;
    let Some(elements) = seen.elements else {
        let code = seen
            .code
            .map_or_else(String::new, |code| format!("; it carries the code {code}"));
        return Err(CheckError::Invalid(format!(
            "the result has no elements{code}"
        )));
    };
    Ok(Outline {
        elements,
        success_count: seen.success_count,
        has_markdown: seen.has_markdown,
    })
}

#[derive(Debug, Default)]
struct Seen {
    elements: Option<u64>,
    success_count: Option<u64>,
    has_markdown: bool,
    code: Option<i64>,
}

#[derive(Clone, Copy, PartialEq)]
enum Level {
    Top,
    Data,
}

enum Problem {
    Json(String),
    Write(io::Error),
}

impl From<ReaderError> for Problem {
    fn from(problem: ReaderError) -> Self {
        Self::Json(problem.to_string())
    }
}

impl Seen {
    /// One pass over an object; strings of any length go by in pieces.
    fn object(
        &mut self,
        json: &mut impl JsonReader,
        markdown: &mut impl Write,
        level: Level,
    ) -> Result<(), Problem> {
        json.begin_object()?;
        while json.has_next()? {
            let name = json.next_name_owned()?;
            match (name.as_str(), json.peek()?) {
                ("elements", ValueType::Array) => {
                    let mut count = 0;
                    json.begin_array()?;
                    while json.has_next()? {
                        json.skip_value()?;
                        count += 1;
                    }
                    json.end_array()?;
                    self.elements = Some(count);
                }
                ("markdown", ValueType::String) if !self.has_markdown => {
                    self.has_markdown = true;
                    pass(&mut json.next_string_reader()?, markdown)?;
                }
                ("success_count", ValueType::Number) => {
                    self.success_count = json.next_number()?.ok()
                }
                ("code", ValueType::Number) if level == Level::Top => {
                    self.code = json.next_number()?.ok()
                }
                ("data", ValueType::Object) if level == Level::Top => {
                    self.object(json, markdown, Level::Data)?
                }
                _ => json.skip_value()?,
            }
        }
        Ok(json.end_object()?)
    }
}

fn pass(from: &mut impl Read, to: &mut impl Write) -> Result<(), Problem> {
    let mut piece = vec![0; 64 * 1024];
    loop {
        let count = from
            .read(&mut piece)
            .map_err(|problem| Problem::Json(problem.to_string()))?;
        if count == 0 {
            return Ok(());
        }
        to.write_all(piece.get(..count).unwrap_or_default())
            .map_err(Problem::Write)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: &str = r##"{"schema_version":"1.3.1","file_id":"f","job_id":"j","success_count":2,
        "metadata":{},"elements":[{"element_id":"e1","type":"Title","text":"A\"b","page_number":1,
        "coordinates":[0,0,1,0,1,1,0,1],"metadata":{},"novelty":[1]}],"markdown":"# A\n\u4e2d\ud83d\ude00"}"##;

    fn markdown(json: &str) -> Result<(Outline, String), String> {
        let mut out = Vec::new();
        let outline = walk(json.as_bytes(), &mut out).map_err(|problem| match problem {
            CheckError::Invalid(problem) => problem,
            CheckError::Local(cause) => panic!("{cause}"),
        })?;
        Ok((outline, String::from_utf8(out).unwrap()))
    }

    #[test]
    fn bare_and_enveloped_results_are_read_alike() {
        let enveloped = format!(r#"{{"code":200,"message":"success","data":{BARE}}}"#);
        for json in [BARE, &enveloped] {
            let (outline, text) = markdown(json).unwrap();
            assert_eq!(
                outline,
                Outline {
                    elements: 1,
                    success_count: Some(2),
                    has_markdown: true
                }
            );
            assert_eq!(text, "# A\n中😀");
            let (result, raw) = decode(json.as_bytes()).unwrap();
            assert_eq!(result.elements.len(), 1);
            assert_eq!(raw.get(), BARE);
        }
    }

    #[test]
    fn a_result_cut_anywhere_is_refused() {
        for end in 0..BARE.len() {
            assert!(
                markdown(BARE.get(..end).unwrap_or_default()).is_err(),
                "cut at {end}"
            );
        }
    }

    #[test]
    fn what_is_no_result_is_named() {
        for (json, problem) in [
            ("<html>", "cut or no JSON"),
            (
                r#"{"code":40102,"message":"no"}"#,
                "no elements; it carries the code 40102",
            ),
            (r#"{"elements":{}}"#, "no elements"),
            ("[]", "cut or no JSON"),
            ("{} {}", "cut or no JSON"),
        ] {
            let found = markdown(json).unwrap_err();
            assert!(found.contains(problem), "{json}: {found}");
        }
    }

    #[test]
    fn deep_nesting_is_an_error_not_a_crash() {
        let deep = format!(r#"{{"x":{}"#, "[".repeat(200_000));
        assert!(markdown(&deep).is_err());
        assert!(decode(deep.as_bytes()).is_err());
    }
}
