//! Undoes what `Content-Encoding` declares, within a bound.
//!
//! No request of ours asks for a coding. Objects that were stored with one go out so all the same, and a server that was
//! asked for nothing may take any.

use std::io::{self, BufRead, Read};

use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use reqwest::header::{CONTENT_ENCODING, HeaderMap};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

/// What was done to a body, as its headers declare it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Codings {
    /// In the order of undoing.
    known: Vec<Coding>,
    unknown: Option<Box<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Codings {
    /// Reads the headers; `None` when the body is as it is. Of names that are no codings, those met in the field mean that.
    pub(crate) fn declared(headers: &HeaderMap) -> Option<Self> {
        const MOST: usize = 3;
        let values = headers.get_all(CONTENT_ENCODING).iter();
        let texts: Vec<String> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase())
            .collect();
        let names = texts.iter().flat_map(|text| text.split(','));
        let names = names.map(|name| name.trim_matches(|c: char| c.is_whitespace() || c == '"'));
        let mut codings = Self::default();
        for name in names.rev() {
            let coding = match name {
                // S3 keeps the framing of an upload as a coding of the object, whose bytes are without it.
                "" | "identity" | "none" | "binary" | "utf-8" | "utf8" | "aws-chunked" => continue,
                "gzip" | "x-gzip" => Some(Coding::Gzip),
                "deflate" => Some(Coding::Deflate),
                "br" => Some(Coding::Brotli),
                "zstd" => Some(Coding::Zstd),
                _ => None,
            };
            match coding {
                Some(coding) if codings.known.len() < MOST => codings.known.push(coding),
                _ => {
                    codings.unknown = Some(name.chars().take(40).collect());
                    break;
                }
            }
        }
        let is_coded = !codings.known.is_empty() || codings.unknown.is_some();
        is_coded.then_some(codings)
    }

    /// The first declared coding that cannot be undone here: what [`undo`](Self::undo) gives is still in it.
    pub(crate) fn unknown(&self) -> Option<&str> {
        self.unknown.as_deref()
    }

    /// `body` with every coding undone that can be. A layer that the body is not in, though it is declared, is left out
    /// where that can be told: somebody in between undid it and kept the header.
    ///
    /// Reading fails with [`io::ErrorKind::FileTooLarge`] beyond `cap` bytes, of what comes out and of what lies
    /// between two codings; with another kind when the body is not whole or not in the coding at all.
    pub(crate) fn undo<'a>(&self, body: impl Read + Send + 'a, cap: u64) -> io::Result<Layer<'a>> {
        let mut body: Layer<'a> = Box::new(body);
        for coding in &self.known {
            body = Box::new(Capped {
                inner: coding.undo(body, cap)?,
                left: cap,
            });
        }
        Ok(body)
    }

    /// The same in memory.
    pub(crate) fn undone(&self, body: &[u8], cap: u64) -> io::Result<Vec<u8>> {
        let mut undone = Vec::new();
        self.undo(body, cap)?.read_to_end(&mut undone)?;
        Ok(undone)
    }

    /// The same of a body that breaks off, as far as it goes.
    pub(crate) fn undone_so_far(&self, body: &[u8], cap: u64) -> Vec<u8> {
        let mut undone = Vec::new();
        if let Ok(mut layer) = self.undo(body, cap) {
            // It fails where the rest is missing, and leaves what it had read.
            let _ = layer.read_to_end(&mut undone);
        }
        undone
    }
}

impl Coding {
    fn undo<'a>(self, body: Box<dyn Read + Send + 'a>, cap: u64) -> io::Result<Layer<'a>> {
        let mut body = Buffered::new(body);
        let head = body.head()?;
        // The name "deflate" means zlib, and its bare stream to some servers.
        let is_zlib = matches!(*head, [first, second, ..]
            if first & 0xf == 8 && u16::from_be_bytes([first, second]) % 31 == 0);
        let more = cap / PART + 1;
        Ok(match self {
            Self::Gzip if is_gzip(head) => Box::new(Gzip {
                member: Some(GzDecoder::new(body)),
                more,
            }),
            Self::Zstd if is_zstd(head) => Box::new(Zstd {
                frame: Some(Frame::Next(body, zstd_decoder())),
                more,
            }),
            Self::Deflate if is_zlib => Box::new(ZlibDecoder::new(body)),
            Self::Deflate if !head.is_empty() => Box::new(DeflateDecoder::new(body)),
            Self::Brotli if !head.is_empty() => {
                Box::new(brotli_decompressor::Decompressor::new(body, BUFFER))
            }
            _ => Box::new(body),
        })
    }
}

type Layer<'a> = Box<dyn Read + Send + 'a>;

fn is_gzip(head: &[u8]) -> bool {
    head.starts_with(&[0x1f, 0x8b])
}

/// A frame, or one that holds nothing of the body.
fn is_zstd(head: &[u8]) -> bool {
    matches!(*head, [0x28, 0xb5, 0x2f, 0xfd]) || is_skippable(head)
}

fn is_skippable(head: &[u8]) -> bool {
    matches!(*head, [0x50..=0x5f, 0x2a, 0x4d, 0x18])
}

fn zstd_decoder() -> FrameDecoder {
    // What RFC 9659 has clients keep of a body.
    const WINDOW: u64 = 8 << 20;
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(WINDOW);
    decoder
}

/// Each member or frame counts as this many bytes of what it may grow to, since empty ones cost time too.
const PART: u64 = 4096;

fn count(more: &mut u64) -> io::Result<()> {
    *more = more.checked_sub(1).ok_or(io::ErrorKind::FileTooLarge)?;
    Ok(())
}

/// Every member of a gzip stream. What follows the last one is left alone, as `gzip` does.
struct Gzip<R> {
    member: Option<GzDecoder<Buffered<R>>>,
    more: u64,
}

impl<R: Read> Read for Gzip<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(into)?;
            if read > 0 || into.is_empty() {
                return Ok(read);
            }
            let has_next = is_gzip(member.get_mut().head()?);
            let ended = self.member.take().filter(|_| has_next);
            self.member = ended.map(|member| GzDecoder::new(member.into_inner()));
            count(&mut self.more)?;
        }
        Ok(0)
    }
}

/// Every frame of a zstd stream. What follows the last one is left alone.
struct Zstd<R: Read> {
    frame: Option<Frame<R>>,
    more: u64,
}

enum Frame<R: Read> {
    Next(Buffered<R>, FrameDecoder),
    Open(StreamingDecoder<Buffered<R>, FrameDecoder>),
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while let Some(frame) = self.frame.take() {
            self.frame = match frame {
                Frame::Next(mut rest, decoder) => {
                    let head = rest.head()?;
                    match (is_skippable(head), is_zstd(head)) {
                        (true, _) => {
                            skip_frame(&mut rest)?;
                            Some(Frame::Next(rest, decoder))
                        }
                        (_, true) => {
                            count(&mut self.more)?;
                            let open = StreamingDecoder::new_with_decoder(rest, decoder);
                            Some(Frame::Open(open.map_err(invalid)?))
                        }
                        _ => None,
                    }
                }
                Frame::Open(mut open) => {
                    let read = open.read(into)?;
                    if read > 0 || into.is_empty() {
                        self.frame = Some(Frame::Open(open));
                        return Ok(read);
                    }
                    let (rest, decoder) = open.into_parts();
                    Some(Frame::Next(rest, decoder))
                }
            };
        }
        Ok(0)
    }
}

fn skip_frame(body: &mut impl Read) -> io::Result<()> {
    let mut head = [0; 8];
    body.read_exact(&mut head)?;
    let [.., a, b, c, d] = head;
    let len = u64::from(u32::from_le_bytes([a, b, c, d]));
    let skipped = io::copy(&mut body.take(len), &mut io::sink())?;
    if skipped == len {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

fn invalid(cause: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, cause)
}

/// Gives so many bytes, and an error instead of more.
struct Capped<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let mut beyond = [0];
        let room = usize::try_from(self.left).unwrap_or(usize::MAX);
        let read = match into.len().min(room) {
            0 if into.is_empty() => 0,
            0 if self.inner.read(&mut beyond)? > 0 => {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            len => self.inner.read(into.get_mut(..len).unwrap_or_default())?,
        };
        self.left -= read as u64;
        Ok(read)
    }
}

const BUFFER: usize = 8192;

/// A reader whose next few bytes can be seen before they are taken.
struct Buffered<R> {
    inner: R,
    buffer: Vec<u8>,
    taken: usize,
}

impl<R: Read> Buffered<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            buffer: Vec::new(),
            taken: 0,
        }
    }

    /// The next four bytes, or what is left.
    fn head(&mut self) -> io::Result<&[u8]> {
        const HEAD: usize = 4;
        while self.rest().len() < HEAD && self.read_more()? {}
        let len = self.rest().len().min(HEAD);
        Ok(self.rest().get(..len).unwrap_or_default())
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.taken..).unwrap_or_default()
    }

    fn read_more(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        let read = (&mut self.inner)
            .take(BUFFER as u64)
            .read_to_end(&mut self.buffer)?;
        Ok(read > 0)
    }
}

impl<R: Read> BufRead for Buffered<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.rest().is_empty() {
            self.read_more()?;
        }
        Ok(self.rest())
    }

    fn consume(&mut self, amount: usize) {
        self.taken = self.taken.saturating_add(amount).min(self.buffer.len());
    }
}

impl<R: Read> Read for Buffered<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::*;

    const TEXT: &[u8] = br#"{"code":200,"data":{"job_id":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}}"#;
    const CAP: u64 = 1 << 20;

    /// What `brotli -q 11` makes of the text, and `zstd -19 --check`.
    const BROTLI: &[u8] = b"\x1b`\x00\xf8\x8d\xd3\x15\xf3#\x84u\x0f\xc2m\x94\xfae\xc3\x9c\x7fK\xf2\x83\x16\xe9\x96N_K\xa2\x89,^\xc9\x01.\x18\x81O\x85\x8a\x18~\x8a\xcf}\xbd\x9e\x09\xc4\xaa\xf3!\xa6\x5cZ\x1fsm2";
    const ZSTD: &[u8] = b"(\xb5/\xfd\x04h\xbd\x01\x00\x12\x83\x0b\x11\xa0\xed\x91\xb8\xfb\xa3{\x000E\x8f_\x0b1\xfdoB\xb5\xfe\xb9nl%tL!C\x84=\xbf\xa1b2\x9e\xf2\xd7\x5c}\xb0+\xf8\xaee;\x0d\x01\x00n\xa2Y\x06Aw^b";

    fn gzip(body: &[u8]) -> Vec<u8> {
        gzip_by(Compression::fast(), body)
    }

    fn gzip_by(compression: Compression, body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), compression);
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(body: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn bare(body: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn declared(values: &[&str]) -> Option<Codings> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_ENCODING, value.parse().unwrap());
        }
        Codings::declared(&headers)
    }

    fn undone(declaration: &str, body: &[u8]) -> Result<Vec<u8>, io::ErrorKind> {
        match declared(&[declaration]) {
            Some(codings) => codings.undone(body, CAP).map_err(|cause| cause.kind()),
            None => Ok(body.to_vec()),
        }
    }

    #[test]
    fn every_coding_is_undone() {
        for (declaration, body) in [
            ("gzip", gzip(TEXT)),
            ("X-GZIP", gzip(TEXT)),
            ("deflate", zlib(TEXT)),
            ("deflate", bare(TEXT)),
            ("br", BROTLI.to_vec()),
            ("zstd", ZSTD.to_vec()),
            ("deflate, gzip", gzip(&zlib(TEXT))),
            ("aws-chunked,gzip", gzip(TEXT)),
            ("identity", TEXT.to_vec()),
            ("utf-8", TEXT.to_vec()),
        ] {
            let undone = undone(declaration, &body);
            assert_eq!(undone.as_deref(), Ok(TEXT), "{declaration}");
        }
    }

    #[test]
    fn several_headers_are_one_list() {
        let codings = declared(&["deflate", "gzip"]);
        assert_eq!(codings, declared(&["deflate, gzip"]));
        assert_eq!(codings.unwrap().known, [Coding::Gzip, Coding::Deflate]);
    }

    #[test]
    fn what_somebody_in_between_has_undone_is_left_as_it_is() {
        for declaration in ["gzip", "zstd"] {
            assert_eq!(undone(declaration, TEXT).as_deref(), Ok(TEXT));
        }
        for declaration in ["gzip", "deflate", "br", "zstd"] {
            assert_eq!(undone(declaration, b"").as_deref(), Ok(&b""[..]));
        }
    }

    #[test]
    fn every_member_and_frame_counts_and_what_follows_does_not() {
        let skipped = [&[0x51, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3], ZSTD].concat();
        for (declaration, part) in [("gzip", gzip(TEXT)), ("zstd", skipped)] {
            // Many, so that some begin across the edge of a buffer.
            let body = [part.repeat(1000), b"\0\0rest".to_vec()].concat();
            let read = declared(&[declaration])
                .unwrap()
                .undone(&body, 8 * CAP)
                .unwrap();
            assert!(read == TEXT.repeat(1000), "{declaration}: {}", read.len());
        }
    }

    #[test]
    fn a_body_that_ends_too_early_is_an_error() {
        for (declaration, body) in [
            ("gzip", gzip(TEXT)),
            ("deflate", zlib(TEXT)),
            ("br", BROTLI.to_vec()),
            ("zstd", ZSTD.to_vec()),
        ] {
            for len in 4..body.len() {
                assert!(
                    undone(declaration, &body[..len]).is_err(),
                    "{declaration} {len}"
                );
            }
        }
    }

    #[test]
    fn no_body_grows_beyond_the_cap_in_any_layer() {
        let bomb = vec![0; usize::try_from(CAP).unwrap() + 1];
        let fits = &bomb[1..];
        assert_eq!(
            undone("gzip", &gzip(fits)).map(|body| body.len()),
            Ok(fits.len())
        );
        for (declaration, body) in [
            ("gzip", gzip(&bomb)),
            ("deflate", zlib(&bomb)),
            // A layer in between grows, and what it holds is small.
            ("gzip, gzip", gzip(&gzip_by(Compression::none(), fits))),
            ("gzip", gzip(b"").repeat(300)),
        ] {
            let kind = undone(declaration, &body);
            assert_eq!(kind, Err(io::ErrorKind::FileTooLarge), "{declaration}");
        }
    }

    #[test]
    fn a_coding_that_is_not_known_is_named_and_those_around_it_are_undone() {
        let codings = declared(&["Lzma86, gzip"]).unwrap();
        assert_eq!(codings.unknown(), Some("lzma86"));
        assert_eq!(codings.undone(&gzip(TEXT), CAP).unwrap(), TEXT);
        let many = declared(&["gzip, gzip, gzip, gzip"]).unwrap();
        assert_eq!(many.unknown(), Some("gzip"));
        assert_eq!((declared(&[]), declared(&["identity"])), (None, None));
    }
}
