//! Finished files: a .pptx or a PDF on disk, checked before it gets its name.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use jobs_core::http::{CheckError, Inspection, check_zip};

/// What a deck on disk was seen to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeckSummary {
    /// The number of slides.
    pub slides: usize,
}

/// Reads a whole .pptx: its directory, every part against its checksum, and the parts without which it is none.
pub(crate) fn inspect_pptx(
    file: &mut File,
    inspection: &mut Inspection,
) -> Result<DeckSummary, CheckError> {
    let cut = |problem: &str| CheckError::Invalid(format!("this is no whole .pptx: {problem}"));
    let (mut slides, mut has_types, mut has_presentation) = (0, false, false);
    let checked = check_zip(file, inspection, |name| {
        has_types |= name == "[Content_Types].xml";
        has_presentation |= name == "ppt/presentation.xml";
        slides += usize::from(is_slide(name));
    });
    let contents = checked.map_err(|problem| match problem {
        CheckError::Invalid(problem) => cut(&problem),
        local @ CheckError::Local(_) => local,
    })?;
    // One whose directory cannot be read here is delivered with a warning, as it is.
    let is_listed = contents.files > 0 || inspection.warnings().is_empty();
    if is_listed && !has_types {
        return Err(cut("it has no [Content_Types].xml"));
    }
    if is_listed && !has_presentation {
        return Err(cut("it has no ppt/presentation.xml"));
    }
    Ok(DeckSummary { slides })
}

fn is_slide(name: &str) -> bool {
    name.strip_prefix("ppt/slides/slide")
        .and_then(|name| name.strip_suffix(".xml"))
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// Checks that a PDF begins as one and was not cut: its last line is an end mark. As readers do, it takes other bytes before
/// the beginning, and blanks of any kind after the end.
pub(crate) fn inspect_pdf(file: &mut File, _: &mut Inspection) -> Result<(), CheckError> {
    const NEAR: u64 = 1024;
    let mut head = Vec::new();
    file.by_ref().take(NEAR).read_to_end(&mut head)?;
    if !head.windows(5).any(|window| window == b"%PDF-") {
        return Err("this is no PDF: it does not begin with %PDF-"
            .to_owned()
            .into());
    }
    let end = end_of_text(file)?;
    file.seek(SeekFrom::Start(end.saturating_sub(NEAR)))?;
    let mut tail = Vec::new();
    file.take(NEAR).read_to_end(&mut tail)?;
    if !tail.windows(5).any(|window| window == b"%%EOF") {
        return Err("the PDF is cut: it has no %%EOF near its end"
            .to_owned()
            .into());
    }
    Ok(())
}

/// Where the blanks begin with which the file ends.
fn end_of_text(file: &mut File) -> io::Result<u64> {
    const BLOCK: u64 = 64 * 1024;
    let mut end = file.seek(SeekFrom::End(0))?;
    while end > 0 {
        let begin = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(begin))?;
        let mut block = Vec::new();
        file.by_ref().take(end - begin).read_to_end(&mut block)?;
        let is_text = |byte: &u8| *byte != 0 && !byte.is_ascii_whitespace();
        if let Some(last) = block.iter().rposition(is_text) {
            return Ok(begin + last as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    fn on_disk(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        file
    }

    fn words<T>(checked: Result<T, CheckError>) -> Result<T, String> {
        checked.map_err(|problem| match problem {
            CheckError::Invalid(problem) => problem,
            CheckError::Local(cause) => panic!("{cause}"),
        })
    }

    fn deck(bytes: &[u8]) -> Result<DeckSummary, String> {
        words(inspect_pptx(
            &mut on_disk(bytes),
            &mut Inspection::unbounded(),
        ))
    }

    fn pptx(parts: &[&str]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for part in parts {
            zip.start_file(*part, SimpleFileOptions::default()).unwrap();
            zip.write_all(format!("<xml>{part} {}</xml>", "tea ".repeat(50)).as_bytes())
                .unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    const WHOLE: [&str; 5] = [
        "[Content_Types].xml",
        "ppt/presentation.xml",
        "ppt/slides/slide1.xml",
        "ppt/slides/slide12.xml",
        "ppt/slides/_rels/slide1.xml.rels",
    ];

    #[test]
    fn a_whole_deck_passes_and_its_slides_are_counted() {
        assert_eq!(deck(&pptx(&WHOLE)), Ok(DeckSummary { slides: 2 }));
    }

    #[test]
    fn a_deck_cut_anywhere_is_refused() {
        let whole = pptx(&WHOLE);
        for len in (0..whole.len()).step_by(7) {
            assert!(deck(whole.get(..len).unwrap()).is_err(), "cut at {len}");
        }
    }

    #[test]
    fn a_changed_byte_inside_a_part_is_noticed() {
        let mut damaged = pptx(&WHOLE);
        let inside = "[Content_Types].xml".len() + 30 + 20;
        *damaged.get_mut(inside).unwrap() ^= 0x55;
        assert!(deck(&damaged).is_err());
    }

    #[test]
    fn other_archives_and_pages_are_no_decks() {
        for (bytes, problem) in [
            (pptx(&["a.txt"]), "no [Content_Types].xml"),
            (pptx(&["[Content_Types].xml"]), "no ppt/presentation.xml"),
            (b"<html>".to_vec(), "no whole .pptx"),
            (Vec::new(), "no whole .pptx"),
        ] {
            let found = deck(&bytes).unwrap_err();
            assert!(found.contains(problem), "{found}");
        }
    }

    #[test]
    fn a_pdf_has_a_head_and_an_end() {
        let check = |bytes: &[u8]| {
            words(inspect_pdf(
                &mut on_disk(bytes),
                &mut Inspection::unbounded(),
            ))
        };
        assert_eq!(check(b"%PDF-1.7\n...\n%%EOF\n"), Ok(()));
        assert_eq!(check(b"\xef\xbb\xbf\r\n%PDF-1.7\n...\n%%EOF"), Ok(()));
        for blanks in [1, 3000, 200_000] {
            let padded = [&b"%PDF-1.7\n...\n%%EOF\r\n"[..], &vec![0; blanks]].concat();
            assert_eq!(check(&padded), Ok(()), "{blanks}");
        }
        assert!(check(&[b' '; 3000]).is_err());
        assert!(check(b"%PDF-1.7\n...").unwrap_err().contains("cut"));
        assert!(check(b"<html>%%EOF").unwrap_err().contains("no PDF"));
        assert!(check(b"").is_err());
    }
}
