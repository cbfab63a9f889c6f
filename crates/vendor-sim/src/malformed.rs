//! Bodies as careless and hostile neighbours write them: odd texts, codings, keys and archives without end.

use std::convert::Infallible;
use std::io::Write as _;

use axum::body::Body;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderValue, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a made body is sent in.
const PIECE: &[u8] = &[b'k'; 64 << 10];
/// Entries of an archive sent together.
const ENTRIES_A_PIECE: u64 = 1_000;
/// Fields that hold what people wrote, at any vendor.
const TEXTS: [&str; 6] = [
    "message", "Message", "markdown", "errmsg", "doc_name", "title",
];
/// Stands where the oddity goes while the rest is written: a character for private use.
const MARK: char = '\u{e000}';

/// How a text is written so that a strict reader refuses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OddText {
    /// Half of a surrogate pair, as an escape.
    Surrogate,
    /// A control character as it is.
    Control,
    /// A number that JSON has no word for.
    Nan,
    /// A byte order mark before the first byte.
    Bom,
    /// All of it in UTF-16, with its mark.
    Utf16,
    /// One character in GBK, which the header declares.
    Gbk,
}

impl OddText {
    /// A JSON object with this oddity in its texts and in a field of its own; other bytes get the mark at most.
    #[must_use]
    pub fn written(self, bytes: &[u8]) -> Vec<u8> {
        let Ok(Value::Object(mut fields)) = serde_json::from_slice(bytes) else {
            return match self {
                Self::Bom => ["\u{feff}".as_bytes(), bytes].concat(),
                _ => bytes.to_vec(),
            };
        };
        fields.insert("odd".to_owned(), MARK.to_string().into());
        let mut value = Value::Object(fields);
        mark(&mut value);
        let text = value.to_string();
        let plain = |with: &str| text.replace(MARK, with);
        match self {
            Self::Surrogate => plain("\\ud835").into_bytes(),
            Self::Control => plain("\u{1}").into_bytes(),
            Self::Nan => text
                .replace(&format!("\"{MARK}\""), "NaN")
                .replace(MARK, "")
                .into_bytes(),
            Self::Bom => ["\u{feff}", &plain("")].concat().into_bytes(),
            Self::Utf16 => ["\u{feff}", &plain("处")]
                .concat()
                .encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect(),
            Self::Gbk => {
                let pieces: Vec<_> = text.split(MARK).map(str::as_bytes).collect();
                pieces.join(&b"\xb4\xa6"[..])
            }
        }
    }

    pub(crate) fn declared(self) -> Option<&'static str> {
        (self == Self::Gbk).then_some("application/json; charset=gbk")
    }
}

fn mark(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (key, field) in fields {
                match field {
                    Value::String(text) if TEXTS.contains(&key.as_str()) => text.push(MARK),
                    field => mark(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(mark),
        Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
}

/// The answer with `change` made to its bytes.
pub(crate) async fn with_bytes(
    response: Response<Body>,
    limit: usize,
    change: impl FnOnce(Bytes) -> Vec<u8>,
) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, limit).await.unwrap_or_default();
    parts.headers.remove(CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(change(bytes)))
}

/// The answer under a coding that is declared; gzip and deflate are done, of any other only the name is told.
pub(crate) async fn coded(response: Response<Body>, limit: usize, coding: &str) -> Response<Body> {
    let mut response = with_bytes(response, limit, |bytes| {
        let done = match coding {
            "gzip" => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(&bytes).and_then(|()| encoder.finish())
            }
            "deflate" => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
                encoder.write_all(&bytes).and_then(|()| encoder.finish())
            }
            _ => Ok(bytes.to_vec()),
        };
        done.unwrap_or_else(|_| bytes.to_vec())
    })
    .await;
    if let Ok(name) = HeaderValue::from_str(coding) {
        response.headers_mut().insert(CONTENT_ENCODING, name);
    }
    response
}

pub(crate) fn declare_type(response: &mut Response<Body>, kind: &'static str) {
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(CONTENT_TYPE, kind);
}

/// What stands before and behind the characters of a key of any length, in an object that is otherwise as it was.
pub(crate) fn around_key(object: &[u8]) -> (&'static [u8], Vec<u8>) {
    let rest = match object.strip_prefix(b"{") {
        Some(b"}") | None => b"}".to_vec(),
        Some(rest) => [b",", rest].concat(),
    };
    (b"{\"", [b"\":0", &rest[..]].concat())
}

/// The answer with a first key of so many bytes, made while it is sent.
pub(crate) async fn with_huge_key(
    response: Response<Body>,
    limit: usize,
    bytes: u64,
) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let object = axum::body::to_bytes(body, limit).await.unwrap_or_default();
    let (before, behind) = around_key(&object);
    let length = before.len() as u64 + bytes + behind.len() as u64;
    parts
        .headers
        .insert(CONTENT_LENGTH, HeaderValue::from(length));
    let key = stream::unfold(bytes, |left| async move {
        let piece = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE.len());
        let piece = Bytes::from_static(PIECE).slice(..piece);
        (left > 0).then(|| (piece.clone(), left - piece.len() as u64))
    });
    let body = stream::iter([Bytes::from_static(before)])
        .chain(key)
        .chain(stream::iter([Bytes::from(behind)]));
    Response::from_parts(parts, Body::from_stream(body.map(Ok::<_, Infallible>)))
}

/// In place of the answer's body a zip of so many empty entries, made while it is sent.
pub(crate) fn with_many_entries(mut response: Response<Body>, entries: u64) -> Response<Body> {
    let end = archive_end(entries);
    let length = entries * (LOCAL + CENTRAL) + end.len() as u64;
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(length));
    let pieces = move |head: fn(u64) -> Vec<u8>| {
        stream::unfold(0, move |first| async move {
            let behind = (first + ENTRIES_A_PIECE).min(entries);
            let piece: Vec<u8> = (first..behind).flat_map(head).collect();
            (first < entries).then_some((Bytes::from(piece), behind))
        })
    };
    let body = pieces(local_head)
        .chain(pieces(central_head))
        .chain(stream::iter([Bytes::from(end)]));
    response.map(|_| Body::from_stream(body.map(Ok::<_, Infallible>)))
}

const NAME: usize = 10;
const LOCAL: u64 = 30 + NAME as u64;
const CENTRAL: u64 = 46 + NAME as u64;

fn name(index: u64) -> Vec<u8> {
    format!("a/{index:08}").into_bytes()
}

/// Stored, empty, of 1980.
fn local_head(index: u64) -> Vec<u8> {
    let fixed = b"PK\x03\x04\x14\0\0\0\0\0\0\0\x21\0\0\0\0\0\0\0\0\0\0\0\0\0\x0a\0\0\0";
    [&fixed[..], &name(index)].concat()
}

fn central_head(index: u64) -> Vec<u8> {
    let fixed = b"PK\x01\x02\x14\0\x14\0\0\0\0\0\0\0\x21\0\0\0\0\0\0\0\0\0\0\0\0\0\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let offset = u32::try_from(index * LOCAL).unwrap_or(u32::MAX);
    [&fixed[..], &offset.to_le_bytes(), &name(index)].concat()
}

/// The long end and the short one that points to it.
fn archive_end(entries: u64) -> Vec<u8> {
    let (start, length) = (entries * LOCAL, entries * CENTRAL);
    let (count, start, length, end) = (
        entries.to_le_bytes(),
        start.to_le_bytes(),
        length.to_le_bytes(),
        (start + length).to_le_bytes(),
    );
    [
        b"PK\x06\x06\x2c\0\0\0\0\0\0\0\x2d\0\x2d\0\0\0\0\0\0\0\0\0",
        &count[..],
        &count,
        &length,
        &start,
        b"PK\x06\x07\0\0\0\0",
        &end,
        b"\x01\0\0\0",
        b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0",
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    const ANSWER: &[u8] = br#"{"code":200,"data":{"markdown":"x","elements":[]}}"#;

    #[test]
    fn odd_texts_are_what_a_strict_reader_refuses() {
        for how in [
            OddText::Surrogate,
            OddText::Control,
            OddText::Nan,
            OddText::Bom,
            OddText::Utf16,
            OddText::Gbk,
        ] {
            let odd = how.written(ANSWER);
            assert!(serde_json::from_slice::<Value>(&odd).is_err(), "{how:?}");
        }
        let surrogate = String::from_utf8(OddText::Surrogate.written(ANSWER)).unwrap();
        assert_eq!(
            surrogate,
            r#"{"code":200,"data":{"elements":[],"markdown":"x\ud835"},"odd":"\ud835"}"#
        );
        let nan = String::from_utf8(OddText::Nan.written(ANSWER)).unwrap();
        assert!(nan.ends_with(r#""markdown":"x"},"odd":NaN}"#), "{nan}");
        assert_eq!(OddText::Surrogate.written(b"PK"), b"PK");
    }

    #[test]
    fn a_huge_key_leaves_the_object_what_it_was() {
        let (before, behind) = around_key(ANSWER);
        let whole = [before, b"kkk", &behind].concat();
        let mut value: Value = serde_json::from_slice(&whole).unwrap();
        assert_eq!(value["kkk"], 0);
        value.as_object_mut().unwrap().remove("kkk");
        assert_eq!(value, serde_json::from_slice::<Value>(ANSWER).unwrap());
        let (before, behind) = around_key(b"{}");
        assert_eq!([before, b"k", &behind].concat(), br#"{"k":0}"#);
    }

    #[tokio::test]
    async fn an_archive_of_many_entries_is_one_that_can_be_read() {
        for count in [3, 70_000] {
            let response = with_many_entries(Response::new(Body::empty()), count);
            let declared = response.headers()[CONTENT_LENGTH].clone();
            let bytes = axum::body::to_bytes(response.into_body(), 64 << 20).await;
            let bytes = bytes.unwrap();
            assert_eq!(declared, bytes.len().to_string());
            let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
            let last = usize::try_from(count).unwrap() - 1;
            assert_eq!(archive.len(), last + 1);
            let entry = archive.by_index(last).unwrap();
            assert_eq!(entry.name().unwrap(), format!("a/{last:08}"));
        }
    }

    #[tokio::test]
    async fn a_coding_is_done_and_declared() {
        let response = coded(Response::new(Body::from(ANSWER)), 1 << 20, "gzip").await;
        assert_eq!(response.headers()[CONTENT_ENCODING], "gzip");
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await;
        let mut decoded = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(Cursor::new(bytes.unwrap()));
        std::io::Read::read_to_end(&mut decoder, &mut decoded).unwrap();
        assert_eq!(decoded, ANSWER);
    }
}
