//! The parsed document: read as typed elements, or passed through a piece at a time.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};

use jobs_core::Error;
use jobs_core::http::{CheckError, Inspection};
use serde_json::value::RawValue;

use crate::generated::types::ParseResult;
use crate::scan::{self, Oddities, TextSink};

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
pub struct ResultSummary {
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

/// Reads a whole result from disk, which is delivered as it is.
pub(crate) fn inspect(
    file: &mut File,
    inspection: &mut Inspection,
) -> Result<ResultSummary, CheckError> {
    let charset = inspection.charset().map(str::to_owned);
    let (outline, oddities) = walk(inspection.reader(file), charset.as_deref(), &mut Nowhere)?;
    if !oddities.is_empty() {
        inspection.warn(format!(
            "the result is not well-formed JSON, and is delivered byte for byte: {oddities}"
        ));
    }
    Ok(outline)
}

/// The same, and writes its Markdown text as it passes.
pub(crate) fn extract_markdown(
    file: &mut File,
    out: &mut File,
    inspection: &mut Inspection,
) -> Result<ResultSummary, CheckError> {
    let charset = inspection.charset().map(str::to_owned);
    let mut out = BufWriter::with_capacity(256 * 1024, out);
    let (outline, oddities) = walk(inspection.reader(file), charset.as_deref(), &mut out)?;
    if !outline.has_markdown {
        return Err(CheckError::Invalid(
            "the result has no Markdown text; its JSON may be asked for instead".to_owned(),
        ));
    }
    out.flush()?;
    if !oddities.is_empty() {
        inspection.warn(format!(
            "the result is not well-formed JSON, and what could not be read of the Markdown is U+FFFD: {oddities}"
        ));
    }
    Ok(outline)
}

pub(crate) fn walk(
    file: impl Read + Seek,
    charset: Option<&str>,
    markdown: &mut impl TextSink,
) -> Result<(ResultSummary, Oddities), CheckError> {
    let seen = scan::scan(file, charset, markdown)?;
    let has_markdown = seen.markdown.is_some();
    if seen.elements.is_none() && !has_markdown {
        let code = seen
            .code
            .map_or_else(String::new, |code| format!("; it carries the code {code}"));
        return Err(CheckError::Invalid(format!(
            "the result has no elements{code}"
        )));
    }
    let outline = ResultSummary {
        elements: seen.elements.unwrap_or_default(),
        success_count: seen.success_count,
        has_markdown,
    };
    Ok((outline, seen.oddities))
}

/// For a result whose Markdown nobody asked for.
struct Nowhere;

impl Write for Nowhere {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TextSink for Nowhere {
    fn restart(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TextSink for BufWriter<&mut File> {
    fn restart(&mut self) -> io::Result<()> {
        self.rewind()?;
        self.get_mut().set_len(0)
    }
}

impl TextSink for Vec<u8> {
    fn restart(&mut self) -> io::Result<()> {
        self.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: &str = r##"{"schema_version":"1.3.1","file_id":"f","job_id":"j","success_count":2,
        "metadata":{},"elements":[{"element_id":"e1","type":"Title","text":"A\"b","page_number":1,
        "coordinates":[0,0,1,0,1,1,0,1],"metadata":{},"novelty":[1]}],"markdown":"# A\n\u4e2d\ud83d\ude00"}"##;

    /// What a result was seen to hold, its Markdown, and what is odd about it.
    fn read(
        json: impl AsRef<[u8]>,
        charset: Option<&str>,
    ) -> Result<(ResultSummary, String, String), String> {
        let mut out = Vec::new();
        let walked = walk(io::Cursor::new(json.as_ref()), charset, &mut out);
        let (outline, oddities) = walked.map_err(|problem| match problem {
            CheckError::Invalid(problem) => problem,
            CheckError::Local(cause) => panic!("{cause}"),
        })?;
        Ok((
            outline,
            String::from_utf8(out).unwrap(),
            oddities.to_string(),
        ))
    }

    fn markdown(json: &str) -> Result<(ResultSummary, String), String> {
        let (outline, text, oddities) = read(json, None)?;
        assert_eq!(oddities, "", "{json}");
        Ok((outline, text))
    }

    #[test]
    fn bare_and_enveloped_results_are_read_alike() {
        let enveloped = format!(r#"{{"code":200,"message":"success","data":{BARE}}}"#);
        for json in [BARE, &enveloped] {
            let (outline, text) = markdown(json).unwrap();
            assert_eq!(
                outline,
                ResultSummary {
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
            ("<html>", "a page"),
            ("", "empty"),
            (
                r#"{"code":40102,"message":"no"}"#,
                "no elements; it carries the code 40102",
            ),
            (r#"{"elements":{}}"#, "no elements"),
            ("[]", "no JSON object"),
            (r#"{"elements":[]} {}"#, "something follows its end"),
            (r#"{"elements":[}}"#, "brackets do not match"),
        ] {
            let found = markdown(json).unwrap_err();
            assert!(found.contains(problem), "{json}: {found}");
        }
    }

    #[test]
    fn odd_text_is_read_as_far_as_it_can_be_and_said_to_be_odd() {
        for (json, text, odd) in [
            (
                &br#"{"elements":[],"markdown":"x \ud835 y"}"#[..],
                "x \u{fffd} y",
                "lone surrogate",
            ),
            (
                br#"{"elements":[],"markdown":"x \ude00\ud83d\ud83d\ude00"}"#,
                "x \u{fffd}\u{fffd}\u{1f600}",
                "lone surrogate) at byte 34 of its text and in 1 more places",
            ),
            (
                br#"{"elements":[],"markdown":"\ud83d"}"#,
                "\u{fffd}",
                "lone surrogate",
            ),
            (
                br#"{"elements":[],"markdown":"\ud83d\n"}"#,
                "\u{fffd}\n",
                "lone surrogate",
            ),
            (
                br#"{"elements":[{"text":"\ud835"}],"markdown":"x"}"#,
                "x",
                "lone surrogate",
            ),
            (
                br#"{"elements":[{"score":NaN}],"markdown":"x"}"#,
                "x",
                "NaN",
            ),
            (
                br#"{"score":-Infinity,"elements":[],"markdown":"x"}"#,
                "x",
                "NaN",
            ),
            (br#"{"score":01,"elements":[],"markdown":"x"}"#, "x", "NaN"),
            (
                br#"{"score":None,"elements":[],"markdown":"x"}"#,
                "x",
                "NaN",
            ),
            (
                b"{\"elements\":[],\"markdown\":\"a\tb\nc\x01\"}",
                "a\tb\nc\u{1}",
                "control",
            ),
            (
                br#"{"elements":[],"markdown":"\alpha \u12g"}"#,
                "\\alpha \u{fffd}g",
                "escapes nothing",
            ),
            (
                b"\xef\xbb\xbf{\"elements\":[],\"markdown\":\"x\"}",
                "x",
                "byte order mark",
            ),
            (
                b"\xef\xbb\xbf\xef\xbb\xbf\xef\xbb\xbf{\"elements\":[],\"markdown\":\"x\"}",
                "x",
                "byte order mark",
            ),
            (
                b"{\"elements\":[],\"markdown\":\"x\"}\0\0",
                "x",
                "zero byte",
            ),
            (
                b"{\"elements\":[],\"markdown\":\"x\xff\xfey\"}",
                "x\u{fffd}\u{fffd}y",
                "no text",
            ),
            (br#"{"elements":[1,],"markdown":"x",}"#, "x", "missing"),
            (br#"{"elements":[] "markdown":"x"}"#, "x", "comma"),
            (br#"{elements:[],markdown:"x"}"#, "x", "without quotes"),
            (br#"{"elements":[],"markdown" "x"}"#, "x", "wrong place"),
            (br#"{"elements":[],"markdown":"x","a":}"#, "x", "missing"),
        ] {
            let shown = String::from_utf8_lossy(json);
            let (outline, read, oddities) = read(json, None).unwrap();
            assert!(outline.has_markdown);
            assert_eq!(read, text, "{shown}");
            assert!(oddities.contains(odd), "{shown}: {oddities}");
        }
    }

    #[test]
    fn every_encoding_that_is_declared_or_seen_is_read() {
        let json = r#"{"elements":[],"markdown":"中文 😀"}"#;
        let units =
            |read: fn(u16) -> [u8; 2]| -> Vec<u8> { json.encode_utf16().flat_map(read).collect() };
        let (little, big) = (units(u16::to_le_bytes), units(u16::to_be_bytes));
        let wide = |read: fn(u32) -> [u8; 4]| -> Vec<u8> {
            json.chars().flat_map(|c| read(c.into())).collect()
        };
        let (wide_little, wide_big) = (wide(u32::to_le_bytes), wide(u32::to_be_bytes));
        let (gbk, _, _) = encoding_rs::GB18030.encode(json);
        for (bytes, charset, odd) in [
            (little.clone(), None, "UTF-16LE"),
            (big.clone(), None, "UTF-16BE"),
            (
                [b"\xff\xfe", little.as_slice()].concat(),
                Some("utf-8"),
                "UTF-16LE",
            ),
            ([b"\xfe\xff", big.as_slice()].concat(), None, "UTF-16BE"),
            (
                [b"\xff\xfe\xff\xfe", little.as_slice()].concat(),
                None,
                "UTF-16LE",
            ),
            (
                [b"\0\0\xfe\xff\0\0\xfe\xff", wide_big.as_slice()].concat(),
                None,
                "UTF-32BE",
            ),
            ([b"\n\0", little.as_slice()].concat(), None, "UTF-16LE"),
            ([b"\0 ", big.as_slice()].concat(), None, "UTF-16BE"),
            (
                [b"\xff\xfe\0\0", wide_little.as_slice()].concat(),
                Some("utf-16"),
                "UTF-32LE",
            ),
            (
                [b"\0\0\xfe\xff", wide_big.as_slice()].concat(),
                None,
                "UTF-32BE",
            ),
            (
                [b"\n\0\0\0", wide_little.as_slice()].concat(),
                None,
                "UTF-32LE",
            ),
            (wide_little, None, "UTF-32LE"),
            (wide_big, None, "UTF-32BE"),
            (gbk.to_vec(), Some("gb18030"), "gb18030"),
            (gbk.to_vec(), Some("GBK"), "GBK"),
            // Declared by habit.
            (json.as_bytes().to_vec(), Some("ISO-8859-1"), ""),
            (json.as_bytes().to_vec(), Some("no such"), ""),
        ] {
            let (_, text, oddities) = read(bytes, charset).unwrap();
            assert_eq!(text, "中文 😀", "{charset:?}");
            assert!(oddities.contains(odd), "{oddities}");
            assert_eq!(oddities.is_empty(), odd.is_empty(), "{oddities}");
        }
        let (_, text, oddities) = read(gbk, None).unwrap();
        assert!(text.contains('\u{fffd}') && oddities.contains("no text"));
    }

    #[test]
    fn what_is_no_character_of_utf_32_is_replaced_and_an_end_within_one_is_seen() {
        let wide = |text: &str| -> Vec<u8> {
            text.chars()
                .flat_map(|c| u32::from(c).to_le_bytes())
                .collect()
        };
        let (before, behind) = (wide(r#"{"markdown":"a"#), wide(r#"b"}"#));
        for unit in [0xd835_u32, 0x11_0000, u32::MAX] {
            let json = [&before[..], &unit.to_le_bytes(), &behind].concat();
            let (_, text, oddities) = read(json, None).unwrap();
            assert_eq!(text, "a\u{fffd}b");
            assert!(oddities.contains("no text"), "{oddities}");
        }
        let whole = [before, behind].concat();
        for end in 4..whole.len() {
            assert!(read(&whole[..end], None).is_err(), "cut at {end}");
        }
        // More than is read at once.
        let long = "处".repeat(100_000);
        let (_, text, _) = read(wide(&format!(r#"{{"markdown":"{long}"}}"#)), None).unwrap();
        assert!(text == long);
    }

    #[test]
    fn markdown_needs_nothing_but_itself_and_counts_as_it_stands_last_and_highest() {
        for (json, text) in [
            (r#"{"markdown":"a"}"#, "a"),
            (r#"{"markdown":"a","markdown":"b","elements":[]}"#, "b"),
            (r#"{"markdown":"a","data":{"markdown":"b"}}"#, "a"),
            (r#"{"data":{"markdown":"b"},"markdown":"a"}"#, "a"),
            (r#"{"x":{"markdown":"b"},"markdown":"a"}"#, "a"),
            (
                r#"{"x":[{"data":{"markdown":"b"}}],"markdown":"a","markdown":null}"#,
                "a",
            ),
            (r#"{"markdo\u0077n":"a"}"#, "a"),
        ] {
            assert_eq!(markdown(json).unwrap().1, text, "{json}");
        }
    }

    #[test]
    fn neither_keys_nor_texts_nor_numbers_take_memory() {
        let long = "k".repeat(1 << 20);
        let json = format!(
            r#"{{"{long}":"{long}","n":{},"elements":[{{"{long}":1}}],"markdown":"x"}}"#,
            "1".repeat(1 << 20)
        );
        let mut out = Vec::new();
        let seen = scan::scan(io::Cursor::new(json), None, &mut out).unwrap();
        assert_eq!((seen.elements, out.as_slice()), (Some(1), &b"x"[..]));
        assert!(seen.oddities.is_empty());
    }

    #[test]
    fn deep_nesting_is_an_error_not_a_crash() {
        let deep = format!(r#"{{"x":{}"#, "[".repeat(200_000));
        assert!(markdown(&deep).is_err());
        assert!(decode(deep.as_bytes()).is_err());
    }
}
