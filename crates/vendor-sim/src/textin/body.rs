//! A result's bytes by position: small ones whole, huge ones made while they are sent, the same each time.

use std::sync::LazyLock;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// Size of one filler element, its comma included.
const FILLER: usize = 1024;
/// Fillers made at a time.
const AT_ONCE: u64 = 64;
/// Hexadecimal digits of a filler's number.
const DIGITS: usize = 31;

/// The bytes of a result. `head`, then numbered filler elements, then spaces, then `tail`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultBytes {
    head: Bytes,
    fillers: u64,
    spaces: u64,
    tail: Bytes,
}

impl ResultBytes {
    /// A result as it is.
    pub(crate) fn plain(value: &Value) -> Self {
        Self {
            head: value.to_string().into(),
            fillers: 0,
            spaces: 0,
            tail: Bytes::new(),
        }
    }

    /// A result stretched to `size` bytes by further elements; never below its own size. `envelope` is put around it.
    pub(crate) fn stretched(
        mut result: Map<String, Value>,
        envelope: Option<Map<String, Value>>,
        size: u64,
    ) -> Self {
        let elements = match result.remove("elements") {
            Some(Value::Array(elements)) if !elements.is_empty() => elements,
            // Fillers begin with a comma, so there must be something before them.
            _ => vec![json!({
                "element_id": "f", "type": "NarrativeText", "text": "", "page_number": 1,
                "coordinates": [0, 0, 1, 0, 1, 1, 0, 1], "metadata": {}
            })],
        };
        let (opening, closing) = match envelope {
            Some(fields) => (format!("{},\"data\":", open(&Value::Object(fields))), "}"),
            None => (String::new(), ""),
        };
        let elements = Value::Array(elements).to_string();
        let elements = elements.strip_suffix(']').unwrap_or(&elements);
        let markdown = result.remove("markdown").unwrap_or_default();
        let head = format!(
            "{opening}{},\"elements\":{elements}",
            open(&Value::Object(result))
        );
        let tail = format!("],\"markdown\":{markdown}}}{closing}");
        let room = size.saturating_sub((head.len() + tail.len()) as u64);
        let fillers = room / FILLER as u64;
        Self {
            head: head.into(),
            fillers,
            spaces: room % FILLER as u64,
            tail: tail.into(),
        }
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.head.len() as u64 + self.fillers * FILLER as u64 + self.spaces + self.tail.len() as u64
    }

    /// Whether there are none; a result always has some.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Some bytes from `offset` on; `None` at the end.
    #[must_use]
    pub fn at(&self, offset: u64) -> Option<Bytes> {
        let from = |bytes: &Bytes, at: u64| {
            bytes.slice(usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len())..)
        };
        let Some(past_head) = offset.checked_sub(self.head.len() as u64) else {
            return Some(from(&self.head, offset));
        };
        let filled = self.fillers * FILLER as u64;
        let Some(past_fillers) = past_head.checked_sub(filled) else {
            let first = past_head / FILLER as u64;
            let last = (first + AT_ONCE).min(self.fillers);
            return Some(from(
                &fillers(first, last).into(),
                past_head % FILLER as u64,
            ));
        };
        let Some(past_spaces) = past_fillers.checked_sub(self.spaces) else {
            let left = usize::try_from(self.spaces - past_fillers).unwrap_or(FILLER);
            return Some(vec![b' '; left].into());
        };
        let tail = from(&self.tail, past_spaces);
        (!tail.is_empty()).then_some(tail)
    }

    /// The bytes in pieces, from the first one.
    pub fn pieces(&self) -> impl Iterator<Item = Bytes> + '_ {
        let mut offset = 0;
        std::iter::from_fn(move || {
            let piece = self.at(offset)?;
            offset += piece.len() as u64;
            Some(piece)
        })
    }

    /// SHA-256 of all bytes, in hex.
    #[must_use]
    pub fn sha256(&self) -> String {
        let mut digest = Sha256::new();
        self.pieces().for_each(|piece| digest.update(&piece));
        hex::encode(digest.finalize())
    }

    /// `length` bytes from `offset`, as they are sent.
    pub(crate) fn stream(
        self,
        offset: u64,
        length: u64,
    ) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> {
        stream::unfold((self, offset, length), |(bytes, offset, left)| async move {
            if left == 0 {
                return None;
            }
            let mut piece = bytes.at(offset)?;
            piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            let sent = piece.len() as u64;
            Some((Ok(piece), (bytes, offset + sent, left - sent)))
        })
    }
}

/// An object's text without its last brace.
fn open(object: &Value) -> String {
    let mut text = object.to_string();
    text.pop();
    text
}

/// One filler but for its number, which is written into the zeros.
static TEMPLATE: LazyLock<(Vec<u8>, usize)> = LazyLock::new(|| {
    let before = r#",{"element_id":"f"#;
    let after = r#"","type":"NarrativeText","page_number":1,"coordinates":[0.1,0.1,0.9,0.1,0.9,0.2,0.1,0.2],"metadata":{},"text":""#;
    let closing = r#""}"#;
    let mut bytes = format!("{before}{:0DIGITS$}{after}", 0).into_bytes();
    let room = FILLER.saturating_sub(bytes.len() + closing.len());
    bytes.extend(b"filler ".iter().cycle().take(room));
    bytes.extend_from_slice(closing.as_bytes());
    (bytes, before.len())
});

fn fillers(first: u64, last: u64) -> Vec<u8> {
    let (template, at) = &*TEMPLATE;
    let mut bytes = Vec::with_capacity(FILLER * usize::try_from(last - first).unwrap_or(0));
    for number in first..last {
        let start = bytes.len() + at;
        bytes.extend_from_slice(template);
        if let Some(digits) = bytes.get_mut(start..start + DIGITS) {
            digits.copy_from_slice(format!("{number:0DIGITS$x}").as_bytes());
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result() -> Map<String, Value> {
        match json!({"schema_version": "1.3.1", "elements": [{"element_id": "e"}], "markdown": "text"})
        {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }

    fn whole(bytes: &ResultBytes) -> Vec<u8> {
        bytes.pieces().flatten().collect()
    }

    #[test]
    fn stretched_result_is_valid_json_of_exactly_the_asked_size() {
        for size in [5_000, 100_000, 1_234_567] {
            let bytes = ResultBytes::stretched(result(), None, size);
            assert_eq!(bytes.len(), size);
            let whole = whole(&bytes);
            assert_eq!(whole.len() as u64, size);
            let value: Value = serde_json::from_slice(&whole).unwrap();
            assert_eq!(value["markdown"], "text");
            assert_eq!(
                value["elements"].as_array().unwrap().len() as u64,
                1 + bytes.fillers
            );
            assert_eq!(bytes.sha256(), hex::encode(Sha256::digest(&whole)));
        }
    }

    #[test]
    fn envelope_goes_around_a_stretched_result_and_small_sizes_do_not_cut_it() {
        let Value::Object(envelope) = json!({"code": 200, "message": "success"}) else {
            panic!()
        };
        let bytes = ResultBytes::stretched(result(), Some(envelope), 10);
        let value: Value = serde_json::from_slice(&whole(&bytes)).unwrap();
        assert_eq!(value["code"], 200);
        assert_eq!(value["data"]["elements"][0]["element_id"], "e");
        assert_eq!(bytes.fillers, 0);
    }

    #[test]
    fn bytes_are_the_same_from_any_offset() {
        let bytes = ResultBytes::stretched(result(), None, 70_000);
        let whole = whole(&bytes);
        for offset in (0..70_000).step_by(997).chain([69_999]) {
            let piece = bytes.at(offset).unwrap();
            let start = usize::try_from(offset).unwrap();
            assert!(!piece.is_empty());
            assert_eq!(piece, whole[start..start + piece.len()], "{offset}");
        }
        assert_eq!(bytes.at(70_000), None);
        assert_eq!(bytes.at(u64::MAX), None);
    }
}
