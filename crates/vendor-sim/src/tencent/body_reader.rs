//! A request body taken in as it streams: hashed whole, its long texts decoded from base64 onto the disk, and the rest
//! kept as a small JSON skeleton. An upload of 80 MB never stands in memory.

use std::sync::Arc;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::StreamExt;
use sha2::{Digest, Sha256};

use crate::spool::{Spool, Spooled};

/// Texts longer than this are taken for file contents.
const LONG: usize = 1024;
/// In the skeleton a long text is replaced by this and its number. NUL never begins an honest value.
const MARK: &str = "\0file ";

/// A body that has arrived.
#[derive(Debug)]
pub(crate) struct Received {
    /// SHA-256 of all bytes in hex.
    pub(crate) sha256: String,
    /// The JSON without its long texts; cut off when `too_large`.
    pub(crate) skeleton: Vec<u8>,
    /// More came than allowed.
    pub(crate) too_large: bool,
    /// The long texts, decoded; `None` where one was not base64 or the disk refused it.
    files: Vec<Option<Arc<Spooled>>>,
}

impl Received {
    /// The bytes behind a base64 text of the skeleton, long or short. `None`: not base64.
    pub(crate) async fn file(&self, text: &str, limit: u64) -> Option<Arc<Spooled>> {
        if let Some(number) = text.strip_prefix(MARK) {
            return self.files.get(number.parse::<usize>().ok()?)?.clone();
        }
        let mut spool = Spool::new(limit).ok()?;
        let bytes = STANDARD.decode(text).ok()?;
        spool.write(&Bytes::from(bytes)).await.ok()?;
        Some(Arc::new(spool.finish().await.ok()?))
    }
}

/// Reads a body to its end. At most `limit` bytes are taken in, and at most `file_limit` bytes of a file are kept.
/// `None`: it broke off.
pub(crate) async fn receive(body: Body, limit: u64, file_limit: u64) -> Option<Received> {
    let mut scanner = Scanner::default();
    let mut digest = Sha256::new();
    let mut files = Vec::new();
    let mut current: Option<Spool> = None;
    let mut size = 0_u64;
    let mut data = body.into_data_stream();
    while let Some(chunk) = data.next().await {
        let chunk = chunk.ok()?;
        size += chunk.len() as u64;
        if size > limit {
            continue;
        }
        digest.update(&chunk);
        for piece in scanner.feed(&chunk) {
            match piece {
                Piece::Bytes(bytes) => {
                    if current.is_none() {
                        current = Spool::new(file_limit).ok();
                    }
                    if let Some(spool) = &mut current
                        && spool.write(&Bytes::from(bytes)).await.is_err()
                    {
                        current = None;
                    }
                }
                Piece::End { genuine } => {
                    let file = match current.take() {
                        Some(spool) if genuine => spool.finish().await.ok(),
                        _ => None,
                    };
                    files.push(file.map(Arc::new));
                }
            }
        }
    }
    Some(Received {
        sha256: hex::encode(digest.finalize()),
        skeleton: scanner.skeleton,
        too_large: size > limit,
        files,
    })
}

/// Walks over JSON text of any correctness; what is wrong with it shows when the skeleton is read.
#[derive(Default)]
struct Scanner {
    skeleton: Vec<u8>,
    at: At,
    long: Option<Decoder>,
    found: usize,
}

#[derive(Default)]
enum At {
    #[default]
    Outside,
    /// In a text that began at this place of the skeleton.
    Inside { start: usize, escaped: bool },
}

enum Piece {
    Bytes(Vec<u8>),
    End { genuine: bool },
}

impl Scanner {
    fn feed(&mut self, mut chunk: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        while !chunk.is_empty() {
            chunk = match self.at {
                At::Outside => self.outside(chunk),
                At::Inside { start, escaped } => self.inside(chunk, start, escaped, &mut pieces),
            };
        }
        pieces
    }

    fn outside<'a>(&mut self, chunk: &'a [u8]) -> &'a [u8] {
        let (before, rest, found) = until(chunk, |byte| byte == b'"');
        self.skeleton.extend_from_slice(before);
        if found.is_some() {
            self.skeleton.push(b'"');
            self.at = At::Inside {
                start: self.skeleton.len(),
                escaped: false,
            };
        }
        rest
    }

    fn inside<'a>(
        &mut self,
        chunk: &'a [u8],
        start: usize,
        escaped: bool,
        pieces: &mut Vec<Piece>,
    ) -> &'a [u8] {
        if let (true, Some((first, rest))) = (escaped, chunk.split_first()) {
            self.text(&[*first], start, pieces);
            self.at = At::Inside {
                start,
                escaped: false,
            };
            return rest;
        }
        let (text, rest, found) = until(chunk, |byte| matches!(byte, b'"' | b'\\'));
        self.text(text, start, pieces);
        match found {
            Some(b'"') => {
                self.end(start, pieces);
                self.at = At::Outside;
            }
            Some(_) => {
                self.text(b"\\", start, pieces);
                self.at = At::Inside {
                    start,
                    escaped: true,
                };
            }
            None => {}
        }
        rest
    }

    fn text(&mut self, text: &[u8], start: usize, pieces: &mut Vec<Piece>) {
        if self.long.is_none() && self.skeleton.len() + text.len() > start + LONG {
            let mut decoder = Decoder::default();
            let so_far = self.skeleton.split_off(start);
            pieces.extend(decoder.feed(&so_far).map(Piece::Bytes));
            self.long = Some(decoder);
        }
        match &mut self.long {
            Some(decoder) => pieces.extend(decoder.feed(text).map(Piece::Bytes)),
            None => self.skeleton.extend_from_slice(text),
        }
    }

    fn end(&mut self, start: usize, pieces: &mut Vec<Piece>) {
        if let Some(mut decoder) = self.long.take() {
            pieces.extend(decoder.rest().map(Piece::Bytes));
            pieces.push(Piece::End {
                genuine: !decoder.broken,
            });
            self.skeleton.truncate(start);
            let mark = format!("{MARK}{}", self.found).replace('\0', "\\u0000");
            self.skeleton.extend_from_slice(mark.as_bytes());
            self.found += 1;
        }
        self.skeleton.push(b'"');
    }
}

/// What stands before the first wanted byte, what stands behind it, and the byte.
fn until(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> (&[u8], &[u8], Option<u8>) {
    match bytes.iter().position(|byte| wanted(*byte)) {
        Some(at) => {
            let (before, rest) = bytes.split_at(at);
            let found = rest.first().copied();
            (before, rest.get(1..).unwrap_or_default(), found)
        }
        None => (bytes, &[], None),
    }
}

/// Base64 in pieces of any length. Some writers of JSON put a backslash before each `/`; no other escape belongs here.
#[derive(Default)]
struct Decoder {
    held: Vec<u8>,
    escaped: bool,
    ended: bool,
    broken: bool,
}

impl Decoder {
    fn feed(&mut self, text: &[u8]) -> Option<Vec<u8>> {
        for byte in text {
            self.broken |= self.escaped && *byte != b'/';
            self.escaped = *byte == b'\\' && !self.escaped;
            if !self.escaped {
                self.held.push(*byte);
            }
        }
        let whole = self.held.len() - self.held.len() % 4;
        let later = self.held.split_off(whole);
        let now = std::mem::replace(&mut self.held, later);
        self.decode(&now)
    }

    fn rest(&mut self) -> Option<Vec<u8>> {
        self.broken |= !self.held.is_empty();
        None
    }

    fn decode(&mut self, quads: &[u8]) -> Option<Vec<u8>> {
        if quads.is_empty() || self.broken {
            return None;
        }
        // Padding ends the text.
        self.broken |= self.ended;
        self.ended |= quads.contains(&b'=');
        match STANDARD.decode(quads) {
            Ok(bytes) if !self.broken => Some(bytes),
            _ => {
                self.broken = true;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    async fn take(body: &str, chunk: usize) -> Received {
        let chunks: Vec<_> = body
            .as_bytes()
            .chunks(chunk)
            .map(|chunk| Ok::<_, std::convert::Infallible>(Bytes::copy_from_slice(chunk)))
            .collect();
        let body = Body::from_stream(futures_util::stream::iter(chunks));
        receive(body, 1 << 30, 1 << 20).await.unwrap()
    }

    fn text(json: &Value, pointer: &str) -> String {
        json.pointer(pointer).unwrap().as_str().unwrap().to_owned()
    }

    #[tokio::test]
    async fn long_texts_go_to_the_disk_and_short_ones_stay_whatever_the_chunks() {
        let bytes: Vec<u8> = (0..=255).cycle().take(5_003).collect();
        let long = STANDARD.encode(&bytes);
        let escaped = long.replace('/', "\\/");
        let body = format!(
            r#"{{"a\"b": "x\\", "f": ["{long}", "{escaped}", "aGVsbG8="], "n": [1, true, "{{"]}}"#
        );
        for chunk in [1, 7, 1000, 100_000] {
            let received = take(&body, chunk).await;
            assert_eq!(
                received.sha256,
                hex::encode(Sha256::digest(body.as_bytes()))
            );
            assert!(received.skeleton.len() < 200);
            let json: Value = serde_json::from_slice(&received.skeleton).unwrap();
            assert_eq!(json["a\"b"], "x\\");
            assert_eq!(json["n"][2], "{");
            for place in ["/f/0", "/f/1"] {
                let file = received.file(&text(&json, place), 9_999).await.unwrap();
                assert_eq!(std::fs::read(file.path()).unwrap(), bytes);
                assert_eq!(file.sha256, hex::encode(Sha256::digest(&bytes)));
            }
            let short = received.file(&text(&json, "/f/2"), 99).await.unwrap();
            assert_eq!(std::fs::read(short.path()).unwrap(), b"hello");
        }
    }

    #[tokio::test]
    async fn what_is_not_base64_has_no_file() {
        let long = "QUJD".repeat(500);
        for bad in [
            format!("{long}="),
            format!("{long}QQ==QUJD"),
            format!("{}*{long}", "A".repeat(2_000)),
            format!("{long}Q"),
            format!("{long}\\nQQ="),
            "%%%%".to_owned(),
            "\\u0000file 7".to_owned(),
        ] {
            let received = take(&format!(r#"{{"f": "{bad}"}}"#), 100).await;
            let json: Value = serde_json::from_slice(&received.skeleton).unwrap();
            let text = text(&json, "/f");
            assert!(received.file(&text, 9_999).await.is_none(), "{bad}");
        }
    }

    #[tokio::test]
    async fn too_large_bodies_and_files_are_marked() {
        let long = "QUJD".repeat(1_000);
        let body = format!(r#"{{"f": "{long}"}}"#);
        let received = receive(Body::from(body.clone()), 10, 10).await.unwrap();
        assert!(received.too_large);
        let received = receive(Body::from(body), 1 << 20, 2_999).await.unwrap();
        assert!(!received.too_large);
        let file = received.file("\0file 0", 1).await.unwrap();
        assert!(file.too_large);
        assert_eq!(file.size, 3_000);
    }

    #[tokio::test]
    async fn broken_json_gives_a_skeleton_that_does_not_read() {
        for body in ["{\"a\": \"", "\\\"", "nonsense", ""] {
            let received = take(body, 3).await;
            assert!(serde_json::from_slice::<Value>(&received.skeleton).is_err());
        }
    }
}
