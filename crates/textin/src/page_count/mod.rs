//! How many pages a document has, as far as that can be told before it is sent: for estimates of what a parse costs.

mod pdf;
mod pdf_value;
mod tiff;

use std::fs::File;
use std::io;
use std::path::Path;

/// How many pages the service will most likely bill for a whole document; `None` where only the service can tell.
///
/// Pages of a PDF are looked up through its cross-reference table, directories of a TIFF are counted, any other image and a
/// text count as one page. Reads a few KiB of a document of any size and never holds more than 4 MiB. A PDF that is
/// encrypted, damaged or odd, and every other format, gives `None`.
///
/// # Errors
/// Whatever keeps the file from being read.
///
/// # Examples
/// ```
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("notes.txt");
/// std::fs::write(&path, "some text")?;
/// assert_eq!(textin::count_pages(&path)?, Some(1));
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn count_pages(path: &Path) -> io::Result<Option<u32>> {
    let extension = path
        .extension()
        .map(|extension| extension.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let counted = match extension.as_str() {
        "pdf" => pdf::count(&mut File::open(path)?),
        "tiff" | "tif" => tiff::count(&mut File::open(path)?),
        "png" | "jpg" | "jpeg" | "bmp" | "webp" | "gif" | "txt" => {
            return File::open(path).map(|_| Some(1));
        }
        _ => return Ok(None),
    };
    match counted {
        Ok(pages) => Ok(Some(pages)),
        Err(Uncounted::Odd) => Ok(None),
        // It ends before what it refers to, cannot be inflated, or refers to where no file reaches.
        Err(Uncounted::Io(cause))
            if matches!(
                cause.kind(),
                io::ErrorKind::UnexpectedEof
                    | io::ErrorKind::InvalidInput
                    | io::ErrorKind::InvalidData
            ) =>
        {
            Ok(None)
        }
        Err(Uncounted::Io(cause)) => Err(cause),
    }
}

/// Why pages were not counted.
#[derive(Debug)]
enum Uncounted {
    /// The document is encrypted or not as its format says.
    Odd,
    Io(io::Error),
}

impl From<io::Error> for Uncounted {
    fn from(cause: io::Error) -> Self {
        Self::Io(cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(name: &str, content: &[u8]) -> Option<u32> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        count_pages(&path).unwrap()
    }

    #[test]
    fn an_image_and_a_text_count_as_one_page_and_other_formats_are_unknown() {
        for name in ["a.png", "a.JPG", "a.jpeg", "a.bmp", "a.webp", "a.txt"] {
            assert_eq!(pages(name, b"x"), Some(1), "{name}");
        }
        for name in ["a.docx", "a.pptx", "a.ofd", "a.html", "a", "pdf"] {
            assert_eq!(pages(name, b"x"), None, "{name}");
        }
    }

    #[test]
    fn what_is_no_pdf_and_no_tiff_is_unknown() {
        for content in [&b""[..], b"x", b"%PDF-1.4\n", b"II*\0", b"MM\0*\0\0\0\x08"] {
            assert_eq!(pages("a.pdf", content), None, "{content:?}");
            assert_eq!(pages("a.tiff", content), None, "{content:?}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error() {
        for name in ["none.pdf", "none.tiff", "none.txt"] {
            assert!(count_pages(Path::new(name)).is_err(), "{name}");
        }
    }
}
