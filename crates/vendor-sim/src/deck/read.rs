//! The texts of a received `.pptx`: what stands in `<a:t>`, paragraph by paragraph, in the order of the slides' numbers.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use zip::ZipArchive;

use super::Slide;

/// Nobody presents more; a hostile archive may.
const SLIDES: usize = 2_000;
/// Of one slide's XML, so that an archive that unpacks without end is cut off.
const SLIDE_BYTES: u64 = 4 << 20;
/// Of all texts together.
const TEXT_BYTES: usize = 8 << 20;

/// The slides of a presentation; `None` if the file is none. Blocks on the disk.
pub(crate) fn slides_in(path: &Path) -> Option<Vec<Slide>> {
    let mut archive = ZipArchive::new(File::open(path).ok()?).ok()?;
    let mut names: Vec<(u64, String)> = archive
        .file_names()
        .filter_map(|name| {
            let name = name.ok()?;
            Some((number(&name)?, name.into_owned()))
        })
        .collect();
    names.sort();
    names.truncate(SLIDES);
    let mut slides = Vec::new();
    let mut room = TEXT_BYTES;
    for (_, name) in names {
        let mut xml = Vec::new();
        let entry = archive.by_name(&name).ok()?;
        entry.take(SLIDE_BYTES).read_to_end(&mut xml).ok()?;
        let mut lines = paragraphs(&String::from_utf8_lossy(&xml));
        lines.retain(|line| {
            let fits = line.len() <= room;
            room -= if fits { line.len() } else { 0 };
            fits
        });
        let mut lines = lines.into_iter();
        slides.push(Slide {
            title: lines.next().unwrap_or_default(),
            lines: lines.collect(),
        });
    }
    (!slides.is_empty()).then_some(slides)
}

/// The N of `ppt/slides/slideN.xml`.
fn number(name: &str) -> Option<u64> {
    name.strip_prefix("ppt/slides/slide")?
        .strip_suffix(".xml")?
        .parse()
        .ok()
}

fn paragraphs(xml: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut inside = false;
    // Every piece but the first begins with a tag's inside, up to `>`, and goes on with text.
    for piece in xml.split('<').skip(1) {
        let Some((tag, text)) = piece.split_once('>') else {
            continue;
        };
        let name = tag
            .split([' ', '\t', '\r', '\n', '/'])
            .next()
            .unwrap_or_default();
        if name == "a:t" {
            inside = !tag.ends_with('/');
        } else if tag == "/a:t" {
            inside = false;
        } else if tag == "/a:p" && !line.trim().is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        if inside {
            line.push_str(&unescaped(text));
        }
    }
    lines
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut pieces = text.split('&');
    plain.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        match piece
            .split_once(';')
            .and_then(|(name, rest)| Some((entity(name)?, rest)))
        {
            Some((letter, rest)) => {
                plain.push(letter);
                plain.push_str(rest);
            }
            None => {
                plain.push('&');
                plain.push_str(piece);
            }
        }
    }
    plain
}

fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let value = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_a_paragraph_are_joined_and_entities_resolved() {
        let xml = r#"<p:txBody><a:p><a:r><a:t>One </a:t></a:r><a:r><a:rPr b="1"/><a:t xml:space="preserve">&amp; two&#x21;</a:t></a:r></a:p>
            <a:p><a:t/></a:p><a:p><a:r><a:t>&#20108; &lt;three&gt; &nosuch; 5 & 6</a:t></a:r></a:p><a:tbl>not text</a:tbl></p:txBody>"#;
        assert_eq!(paragraphs(xml), ["One & two!", "二 <three> &nosuch; 5 & 6"]);
    }

    #[test]
    fn slides_are_found_by_their_number_only() {
        assert_eq!(number("ppt/slides/slide12.xml"), Some(12));
        assert_eq!(number("ppt/slides/_rels/slide1.xml.rels"), None);
        assert_eq!(number("ppt/slides/slideX.xml"), None);
        assert_eq!(number("ppt/slideLayouts/slideLayout1.xml"), None);
    }

    #[test]
    fn file_that_is_no_presentation_has_no_slides() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, b"PK\x03\x04 not really").unwrap();
        assert_eq!(slides_in(file.path()), None);
        assert_eq!(slides_in(Path::new("no-such-file")), None);
    }
}
