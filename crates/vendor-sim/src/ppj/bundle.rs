//! The result: a small web bundle that shows the texts of the slides, or else what is known of the file.

use std::io::{Cursor, Write};

use bytes::Bytes;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::state::Source;
use crate::deck::escaped;

const STYLE: &str = "body{margin:0;font-family:sans-serif}.slide{min-height:100vh;padding:2em}\n";

/// The bundle's bytes, the same each time.
pub(crate) fn zip(source: &Source) -> Option<Bytes> {
    let page = page(source);
    let files = [("index.html", page.as_str()), ("assets/slides.css", STYLE)];
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in files {
        zip.start_file(name, SimpleFileOptions::default()).ok()?;
        zip.write_all(text.as_bytes()).ok()?;
    }
    Some(zip.finish().ok()?.into_inner().into())
}

fn page(source: &Source) -> String {
    let sections: String = match &source.slides {
        Some(slides) => (1..)
            .zip(slides)
            .map(|(number, slide): (usize, _)| section(number, &slide.title, &slide.lines))
            .collect(),
        None => section(
            1,
            &source.filename,
            &[
                format!("{} bytes", source.size),
                format!("SHA-256 {}", source.sha256),
            ],
        ),
    };
    format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>{}</title><link rel=\"stylesheet\" href=\"assets/slides.css\"></head>\n<body>\n{sections}</body></html>\n",
        escaped(source.name())
    )
}

fn section(number: usize, title: &str, lines: &[String]) -> String {
    let lines: String = lines
        .iter()
        .map(|line| format!("<p>{}</p>", escaped(line)))
        .collect();
    format!(
        "<section class=\"slide\" id=\"slide-{number}\"><h1>{}</h1>{lines}</section>\n",
        escaped(title)
    )
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::deck::Slide;

    fn source(slides: Option<Vec<Slide>>) -> Source {
        Source {
            filename: "my <deck>.pptx".to_owned(),
            size: 7,
            md5: "m".to_owned(),
            sha256: "abcd".to_owned(),
            slides,
        }
    }

    fn index(source: &Source) -> String {
        let mut archive = zip::ZipArchive::new(Cursor::new(zip(source).unwrap())).unwrap();
        assert_eq!(archive.len(), 2);
        let mut text = String::new();
        archive
            .by_name("index.html")
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        text
    }

    #[test]
    fn every_slide_is_a_section_with_its_texts() {
        let slide = |title: &str| Slide {
            title: title.to_owned(),
            lines: vec!["a & b".to_owned()],
        };
        let text = index(&source(Some(vec![slide("一"), slide("二")])));
        assert_eq!(text.matches("<section").count(), 2);
        assert!(text.contains("<h1>二</h1><p>a &amp; b</p>"));
        assert!(text.contains("<title>my &lt;deck&gt;</title>"));
    }

    #[test]
    fn other_files_are_shown_by_name_size_and_digest() {
        let text = index(&source(None));
        assert!(text.contains("<h1>my &lt;deck&gt;.pptx</h1><p>7 bytes</p><p>SHA-256 abcd</p>"));
        assert_eq!(zip(&source(None)), zip(&source(None)));
    }
}
