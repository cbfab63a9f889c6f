//! Export files: small valid documents that hold the result's text.

use std::io::{Cursor, Write};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, FixedOffset};
use lopdf::content::{Content, Operation};
use lopdf::{Document, Object, Stream, dictionary};
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::config::ExportFormat;

/// The documented sample fits thirty days.
pub(crate) const LIFETIME: Duration = Duration::from_secs(30 * 86_400);
const LINES_A_PAGE: usize = 50;

/// The entry in the result's `exports`.
pub(crate) fn entry(
    format: ExportFormat,
    job_id: &str,
    markdown: &str,
    expires: Duration,
) -> Value {
    match file(format, markdown) {
        Some(bytes) => json!({
            "format": format.word(),
            "status": "success",
            "file": {
                "file_id": format!("{job_id}.{}", format.word()),
                "mime_type": mime(format),
                "size": bytes.len(),
                "expires_at": rfc3339(expires),
            },
            "warnings": [],
        }),
        None => {
            json!({"format": format.word(), "status": "fail", "warnings": [], "error": {"message": "export failed"}})
        }
    }
}

/// The file's bytes, the same each time.
pub(crate) fn file(format: ExportFormat, markdown: &str) -> Option<Bytes> {
    match format {
        ExportFormat::Docx => docx(markdown),
        ExportFormat::Xlsx => xlsx(markdown),
        ExportFormat::Pdf => pdf(markdown),
    }
}

pub(crate) fn mime(format: ExportFormat) -> &'static str {
    match format {
        ExportFormat::Docx => {
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
        }
        ExportFormat::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ExportFormat::Pdf => "application/pdf",
    }
}

fn rfc3339(unix: Duration) -> String {
    let china = FixedOffset::east_opt(8 * 3600);
    let time = i64::try_from(unix.as_secs())
        .ok()
        .and_then(|secs| DateTime::from_timestamp(secs, 0));
    china
        .zip(time)
        .map(|(zone, time)| time.with_timezone(&zone).to_rfc3339())
        .unwrap_or_default()
}

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#;
const TYPES: &str = "http://schemas.openxmlformats.org/package/2006/content-types";
const RELS: &str = "http://schemas.openxmlformats.org/package/2006/relationships";
const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";

fn docx(text: &str) -> Option<Bytes> {
    let main = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml";
    let paragraphs: String = text
        .lines()
        .map(|line| {
            format!(
                r#"<w:p><w:r><w:t xml:space="preserve">{}</w:t></w:r></w:p>"#,
                xml(line)
            )
        })
        .collect();
    let body = format!(
        r#"{HEAD}<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>{paragraphs}</w:body></w:document>"#
    );
    package(
        &[("word/document.xml", main, &body)],
        "word/document.xml",
        None,
    )
}

fn xlsx(text: &str) -> Option<Bytes> {
    let kind = "application/vnd.openxmlformats-officedocument.spreadsheetml";
    let space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let rows: String = (1_u32..)
        .zip(text.lines())
        .map(|(row, line)| {
            let cells: String = line
                .trim_matches('|')
                .split('|')
                .map(|cell| {
                    format!(
                        r#"<c t="inlineStr"><is><t>{}</t></is></c>"#,
                        xml(cell.trim())
                    )
                })
                .collect();
            format!(r#"<row r="{row}">{cells}</row>"#)
        })
        .collect();
    let sheet =
        format!(r#"{HEAD}<worksheet xmlns="{space}"><sheetData>{rows}</sheetData></worksheet>"#);
    let book = format!(
        r#"{HEAD}<workbook xmlns="{space}" xmlns:r="{OFFICE}"><sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>"#
    );
    let rels = format!(
        r#"{HEAD}<Relationships xmlns="{RELS}"><Relationship Id="rId1" Type="{OFFICE}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>"#
    );
    let parts = [
        ("xl/workbook.xml", format!("{kind}.sheet.main+xml"), book),
        (
            "xl/worksheets/sheet1.xml",
            format!("{kind}.worksheet+xml"),
            sheet,
        ),
    ];
    let parts: Vec<(&str, &str, &str)> = parts
        .iter()
        .map(|(name, kind, text)| (*name, kind.as_str(), text.as_str()))
        .collect();
    package(
        &parts,
        "xl/workbook.xml",
        Some(("xl/_rels/workbook.xml.rels", &rels)),
    )
}

fn package(parts: &[(&str, &str, &str)], main: &str, rels: Option<(&str, &str)>) -> Option<Bytes> {
    let overrides: String = parts
        .iter()
        .map(|(name, kind, _)| format!(r#"<Override PartName="/{name}" ContentType="{kind}"/>"#))
        .collect();
    let types = format!(
        r#"{HEAD}<Types xmlns="{TYPES}"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>{overrides}</Types>"#
    );
    let root = format!(
        r#"{HEAD}<Relationships xmlns="{RELS}"><Relationship Id="rId1" Type="{OFFICE}/officeDocument" Target="{main}"/></Relationships>"#
    );
    let files = [
        ("[Content_Types].xml", types.as_str()),
        ("_rels/.rels", root.as_str()),
    ]
    .into_iter()
    .chain(parts.iter().map(|(name, _, text)| (*name, *text)))
    .chain(rels);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in files {
        zip.start_file(name, SimpleFileOptions::default()).ok()?;
        zip.write_all(text.as_bytes()).ok()?;
    }
    Some(zip.finish().ok()?.into_inner().into())
}

/// One of the fonts every reader has knows no Chinese: letters outside ASCII are shown as question marks.
fn pdf(text: &str) -> Option<Bytes> {
    let mut document = Document::with_version("1.5");
    let parent = document.new_object_id();
    let font = document.add_object(
        dictionary! {"Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Helvetica"},
    );
    let resources = document.add_object(dictionary! {"Font" => dictionary! {"F1" => font}});
    let lines: Vec<&str> = text.lines().collect();
    let mut kids: Vec<Object> = Vec::new();
    for page in lines
        .chunks(LINES_A_PAGE)
        .chain(lines.is_empty().then_some([].as_slice()))
    {
        let mut operations = vec![
            Operation::new("BT", vec![]),
            Operation::new("Tf", vec!["F1".into(), 11.into()]),
            Operation::new("TL", vec![14.into()]),
            Operation::new("Td", vec![50.into(), 780.into()]),
        ];
        for line in page {
            let shown: String = line
                .chars()
                .map(|c| if c.is_ascii() { c } else { '?' })
                .collect();
            operations.push(Operation::new("Tj", vec![Object::string_literal(shown)]));
            operations.push(Operation::new("T*", vec![]));
        }
        operations.push(Operation::new("ET", vec![]));
        let content = document.add_object(Stream::new(
            dictionary! {},
            Content { operations }.encode().ok()?,
        ));
        kids.push(
            document
                .add_object(
                    dictionary! {"Type" => "Page", "Parent" => parent, "Contents" => content},
                )
                .into(),
        );
    }
    let count = i64::try_from(kids.len()).ok()?;
    document.set_object(
        parent,
        dictionary! {
            "Type" => "Pages", "Kids" => kids, "Count" => count, "Resources" => resources,
            "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()],
        },
    );
    let catalog = document.add_object(dictionary! {"Type" => "Catalog", "Pages" => parent});
    document.trailer.set("Root", catalog);
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).ok()?;
    Some(bytes.into())
}

fn xml(text: &str) -> String {
    let allowed = text.chars().filter(|c| !c.is_control());
    let escaped = allowed
        .collect::<String>()
        .replace('&', "&amp;")
        .replace('<', "&lt;");
    escaped.replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn part(bytes: &Bytes, name: &str) -> String {
        let mut archive = zip::ZipArchive::new(Cursor::new(bytes.clone())).unwrap();
        let mut text = String::new();
        archive
            .by_name(name)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        text
    }

    #[test]
    fn exports_are_valid_files_that_hold_the_text() {
        let text = "first <line>\n| a | 乙 |";
        let docx = file(ExportFormat::Docx, text).unwrap();
        assert!(part(&docx, "word/document.xml").contains("first &lt;line&gt;"));
        assert!(part(&docx, "[Content_Types].xml").contains("/word/document.xml"));
        let xlsx = file(ExportFormat::Xlsx, text).unwrap();
        assert!(part(&xlsx, "xl/worksheets/sheet1.xml").contains("<t>乙</t>"));
        let pdf = Document::load_mem(&file(ExportFormat::Pdf, text).unwrap()).unwrap();
        assert!(pdf.extract_text(&[1]).unwrap().contains("first <line>"));
    }

    #[test]
    fn export_bytes_do_not_change_between_two_makings() {
        for format in [ExportFormat::Docx, ExportFormat::Xlsx, ExportFormat::Pdf] {
            assert_eq!(file(format, "text"), file(format, "text"));
        }
    }

    #[test]
    fn expiry_carries_an_offset() {
        let entry = entry(
            ExportFormat::Pdf,
            "j",
            "text",
            Duration::from_secs(1_800_000_000),
        );
        assert_eq!(entry["file"]["expires_at"], "2027-01-15T16:00:00+08:00");
        assert_eq!(entry["file"]["file_id"], "j.pdf");
    }
}
