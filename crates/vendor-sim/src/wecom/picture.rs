//! The pictures a simulator hands out: a PNG in place of a QR code, and small JPEGs for print jobs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// Modules on a side of the picture.
const SIDE: usize = 21;

/// A valid black and white PNG whose pattern depends on the text, which also stands in it as a comment. No reader of QR
/// codes understands it.
pub(crate) fn png(text: &str) -> Vec<u8> {
    let digest = Sha1::digest(text);
    let bits: Vec<u8> = digest.iter().copied().cycle().take(3 * SIDE).collect();
    let mut rows = Vec::new();
    for row in bits.chunks(3) {
        rows.push(0);
        rows.extend(row);
    }
    let side = u32::try_from(SIDE).unwrap_or_default().to_be_bytes();
    let header = [&side[..], &side[..], &[1, 0, 0, 0, 0]].concat();
    let comment = [b"Comment\0", text.as_bytes()].concat();
    let mut picture = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [
        (b"IHDR", header),
        (b"tEXt", comment),
        (b"IDAT", stored(&rows)),
        (b"IEND", Vec::new()),
    ] {
        let body = [&kind[..], &data].concat();
        picture.extend(u32::try_from(data.len()).unwrap_or_default().to_be_bytes());
        picture.extend(
            crc32(&body)
                .to_be_bytes()
                .iter()
                .fold(body, |mut body, byte| {
                    body.push(*byte);
                    body
                }),
        );
    }
    picture
}

/// Zlib data of one stored block.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap_or_default();
    let (mut low, mut high) = (1_u32, 0_u32);
    for byte in bytes {
        low = (low + u32::from(*byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    let sum = (high << 16) | low;
    [
        &[0x78, 0x01, 0x01][..],
        &length.to_le_bytes(),
        &(!length).to_le_bytes(),
        bytes,
        &sum.to_be_bytes(),
    ]
    .concat()
}

fn crc32(bytes: &[u8]) -> u32 {
    let fold = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
        })
    };
    !bytes.iter().fold(!0, fold)
}

/// Eight grey pixels square, baseline.
const GREY: &str = "/9j/2wBDAAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQH/wAALCAAIAAgBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAAP/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AP//Z";

/// A valid JPEG that says the text in a comment.
pub(crate) fn jpeg(text: &str) -> Vec<u8> {
    let grey = STANDARD.decode(GREY).unwrap_or_default();
    let (start, rest) = grey.split_at(grey.len().min(2));
    let comment: Vec<u8> = text.bytes().take(60_000).collect();
    let length = u16::try_from(comment.len() + 2).unwrap_or(2);
    [start, &[0xff, 0xfe], &length.to_be_bytes(), &comment, rest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standards() {
        // The check values of CRC-32 and Adler-32 for well-known texts.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert!(stored(b"Wikipedia").ends_with(&0x11e6_0398_u32.to_be_bytes()));
    }

    #[test]
    fn pictures_have_their_marks_and_say_their_text() {
        let png = png("tray-2");
        assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"));
        assert!(png.windows(6).any(|window| window == b"tray-2"));
        assert_ne!(png, super::png("tray-3"));
        let jpeg = jpeg("page 1");
        assert!(jpeg.starts_with(&[0xff, 0xd8, 0xff, 0xfe, 0, 8]));
        assert!(jpeg.ends_with(&[0xff, 0xd9]));
    }
}
