//! An uploaded file: whether it is what its name says, and the words that a conversion finds in it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::spool::Spooled;

/// Of larger files only name, size and digest go into the PDF.
const TEXT_LIMIT: u64 = 8 << 20;

/// The lower-case suffix of a name.
pub(crate) fn suffix(name: &str) -> Option<String> {
    let (stem, suffix) = name.rsplit_once('.')?;
    (!stem.is_empty() && !suffix.is_empty()).then(|| suffix.to_ascii_lowercase())
}

/// The suffix that fits the first bytes, for files that come without a name.
pub(crate) fn guess(head: &[u8]) -> &'static str {
    match head {
        [b'%', b'P', b'D', b'F', ..] => "pdf",
        [0x89, b'P', b'N', b'G', ..] => "png",
        [0xff, 0xd8, 0xff, ..] => "jpg",
        [b'B', b'M', ..] => "bmp",
        [b'P', b'K', 3, 4, ..] => "docx",
        [0xd0, 0xcf, 0x11, 0xe0, ..] => "doc",
        [b'<', ..] => "html",
        _ => "txt",
    }
}

/// Whether the first bytes can be those of a file with this suffix.
pub(crate) fn genuine(suffix: &str, head: &[u8]) -> bool {
    let found = guess(head);
    match suffix {
        "docx" | "xlsx" | "zip" => found == "docx",
        "doc" | "xls" => found == "doc",
        "jpg" | "jpeg" => found == "jpg",
        "pdf" | "png" | "bmp" => found == suffix,
        // Text may begin with anything.
        _ => true,
    }
}

pub(crate) fn is_image(suffix: &str) -> bool {
    matches!(suffix, "png" | "jpg" | "jpeg")
}

/// The lines of the PDF that a conversion makes. Blocks on the disk.
pub(crate) fn lines(name: &str, suffix: &str, file: &Spooled) -> Vec<String> {
    let text = if file.size > TEXT_LIMIT {
        None
    } else {
        match suffix {
            "txt" => text_of(file.path()),
            "html" => text_of(file.path()).map(|text| without_tags(&text)),
            "docx" => docx(file.path()),
            _ => None,
        }
    };
    match text {
        Some(text) => text.lines().map(str::to_owned).collect(),
        None => vec![
            name.to_owned(),
            format!("{} bytes", file.size),
            format!("sha256 {}", file.sha256),
        ],
    }
}

fn text_of(path: &Path) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn docx(path: &Path) -> Option<String> {
    let mut archive = zip::ZipArchive::new(File::open(path).ok()?).ok()?;
    let entry = archive.by_name("word/document.xml").ok()?;
    let mut bytes = Vec::new();
    // A small archive can hold a huge document.
    entry.take(TEXT_LIMIT).read_to_end(&mut bytes).ok()?;
    let xml = String::from_utf8_lossy(&bytes).replace("</w:p>", "\n");
    Some(without_tags(&xml).trim_end().to_owned())
}

/// Text outside of tags, the five entities of XML resolved. Not a parser: good enough to tell one document from another.
fn without_tags(markup: &str) -> String {
    let mut text = String::new();
    let mut rest = markup;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        rest = tag.split_once('>').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    for (entity, letter) in [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ] {
        text = text.replace(entity, letter);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use bytes::Bytes;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;
    use crate::spool::Spool;

    async fn spooled(bytes: Vec<u8>) -> Spooled {
        let mut spool = Spool::new(1 << 30).unwrap();
        spool.write(&Bytes::from(bytes)).await.unwrap();
        spool.finish().await.unwrap()
    }

    #[tokio::test]
    async fn words_are_those_of_the_file_where_it_can_be_read() {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.start_file("word/document.xml", SimpleFileOptions::default())
            .unwrap();
        zip.write_all("<w:body><w:p><w:t>合同 &amp; more</w:t></w:p><w:p><w:r><w:t xml:space=\"preserve\">two</w:t></w:r></w:p></w:body>".as_bytes())
            .unwrap();
        let docx = zip.finish().unwrap().into_inner();
        assert!(genuine("docx", &docx) && !genuine("pdf", &docx));
        for (suffix, bytes, expected) in [
            ("txt", b"a\nb".to_vec(), vec!["a", "b"]),
            ("html", b"<p>1 &lt; 2</p>".to_vec(), vec!["1 < 2"]),
            ("docx", docx, vec!["合同 & more", "two"]),
        ] {
            assert_eq!(lines("x", suffix, &spooled(bytes).await), expected);
        }
        let other = lines("p.png", "png", &spooled(b"abc".to_vec()).await);
        assert_eq!(other[..2], ["p.png", "3 bytes"]);
        assert!(
            other[2].ends_with("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        );
    }

    #[test]
    fn names_and_first_bytes_are_held_against_each_other() {
        assert_eq!(suffix("A.DOCX").as_deref(), Some("docx"));
        assert_eq!(suffix("docx"), None);
        assert_eq!(suffix(".docx"), None);
        assert_eq!(suffix("a."), None);
        assert!(genuine("jpeg", b"\xff\xd8\xff\xe0"));
        assert!(!genuine("png", b"\xff\xd8\xff\xe0"));
        assert!(genuine("txt", b"%PDF is a format"));
        assert_eq!(guess(b""), "txt");
    }
}
