//! Splits an answer into events: a stream of server-sent events, or one plain JSON document.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::de::IgnoredAny;

/// Reads an answer piece by piece, cut anywhere, also inside a character.
///
/// Which of the two forms comes is seen from its first byte: the vendor documents the form of a stream nowhere that could be
/// read, and may answer plain JSON although a stream was asked for.
#[derive(Debug, Default)]
pub(crate) struct Events {
    form: Form,
    /// Bytes that are not a whole line yet, or the plain document.
    rest: Vec<u8>,
    /// The data of the event so far.
    data: Option<Data>,
    ready: VecDeque<Bytes>,
}

/// The lines of one event, and whether they are a whole JSON document. Asked once, where the outermost bracket closes:
/// asking at every line would read a long event as often as it has lines.
#[derive(Debug, Default)]
struct Data {
    text: Vec<u8>,
    depth: usize,
    is_quoted: bool,
    is_escaped: bool,
    is_closed: bool,
    is_whole: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Form {
    #[default]
    Unknown,
    Plain,
    Stream,
}

impl Events {
    /// The next whole event.
    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        self.ready.pop_front()
    }

    /// Whether the answer is one plain document.
    pub(crate) fn is_plain(&self) -> bool {
        self.form == Form::Plain
    }

    /// More bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        let from = self.rest.len();
        self.rest.extend_from_slice(bytes);
        if self.form == Form::Unknown {
            let first = self.rest.iter().find(|b| !is_skipped(**b));
            self.form = match first {
                None => return,
                Some(b'{') => Form::Plain,
                Some(_) => Form::Stream,
            };
            return self.lines(0);
        }
        // A "\r" at the end was left until it is known what follows it.
        self.lines(from.saturating_sub(1));
    }

    /// No more bytes come.
    pub(crate) fn finish(&mut self) {
        let rest = std::mem::take(&mut self.rest);
        if self.form == Form::Plain {
            self.ready.push_back(rest.into());
            return;
        }
        if !rest.is_empty() {
            self.line(&rest);
        }
        // A stream may end without the empty line that closes an event, or have been cut inside it.
        if self.data.as_ref().is_some_and(|data| is_json(&data.text)) {
            self.dispatch();
        }
    }

    /// Takes the whole lines out of `rest`; up to `searched` there is none.
    fn lines(&mut self, searched: usize) {
        if self.form != Form::Stream {
            return;
        }
        let mut begin = 0;
        let mut search = searched;
        let rest = std::mem::take(&mut self.rest);
        while let Some(at) = rest
            .get(search..)
            .and_then(|tail| tail.iter().position(|b| matches!(b, b'\n' | b'\r')))
        {
            let end = search + at;
            // In "\r\n" the second byte ends an empty line, which would close the event too early.
            let is_crlf = rest.get(end) == Some(&b'\r');
            match rest.get(end + 1) {
                None if is_crlf => break,
                _ => {}
            }
            self.line(rest.get(begin..end).unwrap_or_default());
            begin = end + 1;
            if is_crlf && rest.get(begin) == Some(&b'\n') {
                begin += 1;
            }
            search = begin;
        }
        self.rest = rest;
        self.rest.drain(..begin);
    }

    fn line(&mut self, line: &[u8]) {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            self.dispatch();
            return;
        }
        // Comments begin with a colon; other fields say nothing that we need.
        let Some(value) = line.strip_prefix(b"data:") else {
            return;
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if self.data.as_ref().is_some_and(|data| data.is_whole) {
            // Events that are not kept apart by empty lines.
            self.dispatch();
        }
        match &mut self.data {
            None => self.data.insert(Data::default()).add(value),
            Some(data) => {
                data.text.push(b'\n');
                data.add(value);
            }
        }
    }

    fn dispatch(&mut self) {
        let data = self.data.take().unwrap_or_default().text;
        let text = data.trim_ascii();
        // Some services close a stream with this word.
        if !text.is_empty() && text != b"[DONE]" {
            self.ready.push_back(data.into());
        }
    }
}

impl Data {
    fn add(&mut self, line: &[u8]) {
        self.text.extend_from_slice(line);
        if self.is_closed {
            return;
        }
        for byte in line {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.is_quoted => self.is_escaped = true,
                b'"' => self.is_quoted = !self.is_quoted,
                _ if self.is_quoted => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.is_closed |= self.depth == 0;
                }
                _ => {}
            }
        }
        self.is_whole = self.is_closed && is_json(&self.text);
    }
}

/// Blanks and the bytes of a byte order mark.
fn is_skipped(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, 0xef | 0xbb | 0xbf)
}

fn is_json(data: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(data).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&[u8]]) -> Vec<String> {
        let mut events = Events::default();
        for piece in pieces {
            events.feed(piece);
        }
        events.finish();
        std::iter::from_fn(|| events.pop())
            .map(|event| String::from_utf8(event.to_vec()).unwrap())
            .collect()
    }

    const STREAM: &str =
        ": ping\n\nevent: message\ndata: {\"a\":\"茶\"}\n\ndata:{\"b\":1}\r\n\r\ndata: [DONE]\n\n";

    #[test]
    fn a_stream_gives_the_same_events_however_it_is_cut() {
        let whole = ["{\"a\":\"茶\"}", "{\"b\":1}"];
        assert_eq!(split(&[STREAM.as_bytes()]), whole);
        for cut in 0..STREAM.len() {
            let (head, tail) = STREAM.as_bytes().split_at(cut);
            assert_eq!(split(&[head, tail]), whole, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = STREAM.as_bytes().chunks(1).collect();
        assert_eq!(split(&bytes), whole);
    }

    #[test]
    fn events_without_empty_lines_between_them_are_kept_apart() {
        assert_eq!(
            split(&[b"data: {\"a\":1}\ndata: {\"b\":2}\n"]),
            ["{\"a\":1}", "{\"b\":2}"]
        );
    }

    #[test]
    fn an_event_over_several_lines_is_one() {
        assert_eq!(split(&[b"data: {\"a\":\ndata: 1}\n\n"]), ["{\"a\":\n1}"]);
        let stream = b"data: {\"a\":\r\ndata: 1}\r\n\r\n";
        for cut in 0..stream.len() {
            let (head, tail) = stream.split_at(cut);
            assert_eq!(split(&[head, tail]), ["{\"a\":\n1}"], "cut at {cut}");
        }
    }

    #[test]
    fn a_line_that_ends_at_the_end_of_a_piece_ends() {
        let whole = ["{\"a\":1}", "{\"b\":2}"];
        let stream = b"data:{\"a\":1}\rdata:{\"b\":2}\r";
        for cut in 0..stream.len() {
            let (head, tail) = stream.split_at(cut);
            assert_eq!(split(&[head, tail]), whole, "cut at {cut}");
        }
    }

    #[test]
    fn brackets_in_text_close_nothing() {
        let stream = br#"data: {"a":"}\"}",
data: "b":"\\"}
data: {"c":3}
"#;
        assert_eq!(
            split(&[stream]),
            ["{\"a\":\"}\\\"}\",\n\"b\":\"\\\\\"}", "{\"c\":3}"]
        );
    }

    /// Read anew at every line, this would take hours.
    #[test]
    fn an_event_of_very_many_lines_is_read_once() {
        let stream = format!("data:[{}\ndata:1]\n\n", "\ndata:1,".repeat(500_000));
        assert_eq!(split(&[stream.as_bytes()]).len(), 1);
    }

    #[test]
    fn a_last_event_counts_only_if_it_is_whole() {
        assert_eq!(split(&[b"data: {\"a\":1}"]), ["{\"a\":1}"]);
        assert!(split(&[b"data: {\"a\":"]).is_empty());
        assert!(split(&[b""]).is_empty());
        assert!(split(&[b"<html>\n</html>\n"]).is_empty());
    }

    #[test]
    fn a_plain_document_is_one_event() {
        let plain = "\u{feff} {\n \"code\": 0,\n\n \"data\": {}}";
        for cut in 0..plain.len() {
            let (head, tail) = plain.as_bytes().split_at(cut);
            let events = split(&[head, tail]);
            assert_eq!(events, [plain], "cut at {cut}");
        }
    }
}
