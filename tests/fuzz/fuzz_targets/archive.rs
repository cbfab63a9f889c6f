//! Bundles and decks: what is unpacked lies in its folder and within its limits, or nothing is there.
#![no_main]

use std::io::{Seek as _, Write as _};

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    Raw(&'a [u8]),
    Made(Vec<Entry<'a>>, Vec<(u16, u8)>),
}

#[derive(Debug, Arbitrary)]
struct Entry<'a> {
    pieces: Vec<u8>,
    name: &'a [u8],
    content: &'a [u8],
    mode: u16,
}

fuzz_target!(|input: Input<'_>| {
    let bytes = match input {
        Input::Raw(bytes) => bytes.to_vec(),
        Input::Made(entries, changes) => {
            let mut bytes = zip(&entries);
            for (at, byte) in changes {
                let len = bytes.len();
                bytes[usize::from(at) % len] = byte;
            }
            bytes
        }
    };
    ppj::fuzz_oracle::bundle(&bytes).unwrap();
    let on_disk = |bytes: &[u8]| {
        let mut file = tempfile::tempfile()?;
        file.write_all(bytes)?;
        file.rewind().map(|()| file)
    };
    mindshow::fuzz_oracle::finished(&bytes, on_disk).unwrap();
});

const PIECES: [&str; 12] = [
    "..",
    "/",
    "a",
    "b/",
    "\\",
    "C:",
    "index.html",
    "\0",
    "ppt/slides/slide1.xml",
    "[Content_Types].xml",
    "ppt/presentation.xml",
    ".",
];

/// Stored entries under any name and mode: what no well-kept library writes.
fn zip(entries: &[Entry<'_>]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let pieces = entry.pieces.iter().take(6);
        let mut name: Vec<u8> = pieces
            .flat_map(|piece| PIECES[usize::from(*piece) % PIECES.len()].bytes())
            .collect();
        name.extend(entry.name.iter().take(300));
        let content = &entry.content[..entry.content.len().min(60_000)];
        let len = u32::try_from(content.len()).unwrap().to_le_bytes();
        let sizes = [crc32(content).to_le_bytes(), len, len].concat();
        let name_len = u16::try_from(name.len()).unwrap().to_le_bytes();
        let offset = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        bytes.extend_from_slice(b"PK\x03\x04\x14\0\0\x08\0\0\0\0\0\0");
        bytes.extend_from_slice(&sizes);
        bytes.extend_from_slice(&name_len);
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&name);
        bytes.extend_from_slice(content);
        directory.extend_from_slice(b"PK\x01\x02\x14\x03\x14\0\0\x08\0\0\0\0\0\0");
        directory.extend_from_slice(&sizes);
        directory.extend_from_slice(&name_len);
        directory.extend_from_slice(&[0; 10]);
        directory.extend_from_slice(&entry.mode.to_le_bytes());
        directory.extend_from_slice(&offset);
        directory.extend_from_slice(&name);
    }
    let count = u16::try_from(entries.len()).unwrap().to_le_bytes();
    let begin = u32::try_from(bytes.len()).unwrap().to_le_bytes();
    let len = u32::try_from(directory.len()).unwrap().to_le_bytes();
    bytes.append(&mut directory);
    bytes.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    for part in [&count[..], &count, &len, &begin, &[0, 0]] {
        bytes.extend_from_slice(part);
    }
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |mut sum, byte| {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 {
                sum >> 1 ^ 0xedb8_8320
            } else {
                sum >> 1
            };
        }
        sum
    })
}
