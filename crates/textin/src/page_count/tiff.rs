//! Counts the pages of a TIFF: the directories that it chains, in both byte orders, with offsets of 32 or 64 bits.

use std::io::{Read, Seek, SeekFrom};

use super::Uncounted;

/// More directories than any service takes pages; whoever chains more chains in a circle.
const MOST: u32 = 100_000;

/// Follows the chain of directories.
pub(super) fn count(file: &mut (impl Read + Seek)) -> Result<u32, Uncounted> {
    let mut order = [0; 2];
    file.read_exact(&mut order)?;
    let is_little = match &order {
        b"II" => true,
        b"MM" => false,
        _ => return Err(Uncounted::Odd),
    };
    let number = |file: &mut dyn ReadSeek, size: usize| -> Result<u64, Uncounted> {
        let mut bytes = [0; 8];
        let used = bytes.get_mut(..size).ok_or(Uncounted::Odd)?;
        file.read_exact(used)?;
        if !is_little {
            used.reverse();
        }
        Ok(u64::from_le_bytes(bytes))
    };
    // Sizes of an offset, of the number of entries, and of an entry.
    let (offset_size, count_size, entry) = match number(file, 2)? {
        42 => (4, 2, 12),
        43 => {
            let is_usual = number(file, 2)? == 8 && number(file, 2)? == 0;
            if !is_usual {
                return Err(Uncounted::Odd);
            }
            (8, 8, 20)
        }
        _ => return Err(Uncounted::Odd),
    };
    let mut next = number(file, offset_size)?;
    let mut pages = 0;
    while next != 0 {
        if pages == MOST {
            return Err(Uncounted::Odd);
        }
        pages += 1;
        file.seek(SeekFrom::Start(next))?;
        let entries = number(file, count_size)?;
        let skipped = entries
            .checked_mul(entry)
            .and_then(|size| i64::try_from(size).ok());
        file.seek(SeekFrom::Current(skipped.ok_or(Uncounted::Odd)?))?;
        next = number(file, offset_size)?;
    }
    if pages == 0 {
        return Err(Uncounted::Odd);
    }
    Ok(pages)
}

trait ReadSeek: Read + Seek {}
impl<T: Read + Seek> ReadSeek for T {}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    /// A TIFF with so many directories of one entry.
    fn tiff(pages: u32, is_little: bool, is_big: bool) -> Vec<u8> {
        let mut file = Vec::new();
        let put = |file: &mut Vec<u8>, value: u64, size: usize| {
            let bytes = value.to_be_bytes();
            let mut bytes = bytes[8 - size..].to_vec();
            if is_little {
                bytes.reverse();
            }
            file.extend(bytes);
        };
        file.extend(if is_little { b"II" } else { b"MM" });
        let (offset, count, entry) = if is_big { (8, 8, 20) } else { (4, 2, 12) };
        put(&mut file, if is_big { 43 } else { 42 }, 2);
        if is_big {
            put(&mut file, 8, 2);
            put(&mut file, 0, 2);
        }
        for _ in 0..pages {
            let next = file.len() as u64 + offset as u64;
            put(&mut file, next, offset);
            put(&mut file, 1, count);
            file.extend(vec![0xff; entry]);
        }
        put(&mut file, 0, offset);
        file
    }

    #[test]
    fn each_directory_is_a_page() {
        for pages in [1, 2, 17] {
            for (is_little, is_big) in [(true, false), (false, false), (true, true), (false, true)]
            {
                let file = tiff(pages, is_little, is_big);
                assert_eq!(count(&mut Cursor::new(file)).ok(), Some(pages));
            }
        }
    }

    #[test]
    fn a_circle_and_a_cut_are_odd() {
        let mut circle = tiff(2, true, false);
        let end = circle.len() - 4;
        circle[end..].copy_from_slice(&8_u32.to_le_bytes());
        assert!(matches!(
            count(&mut Cursor::new(circle)),
            Err(Uncounted::Odd)
        ));
        let whole = tiff(3, true, false);
        for end in 0..whole.len() {
            assert!(count(&mut Cursor::new(&whole[..end])).is_err(), "{end}");
        }
        assert!(count(&mut Cursor::new(tiff(0, true, false))).is_err());
    }
}
