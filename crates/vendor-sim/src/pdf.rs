//! Small valid PDFs that hold given lines of text, the same bytes for the same lines.

use bytes::Bytes;
use lopdf::content::{Content, Operation};
use lopdf::{Document, Object, StringFormat, dictionary};

const LINES_A_PAGE: usize = 50;
/// Longer lines are broken, so that everything stands on the page.
const LETTERS_A_LINE: usize = 80;

/// A PDF with these lines. Readers find the text again, Chinese included: letters outside ASCII use a font that every
/// reader with Chinese support brings along, so nothing needs to be embedded.
#[must_use]
pub fn of_lines(lines: &[&str]) -> Bytes {
    let lines: Vec<String> = lines.iter().flat_map(|line| broken(line)).collect();
    let pages = lines.chunks(LINES_A_PAGE);
    let pages: Vec<&[String]> = pages
        .chain(lines.is_empty().then_some([].as_slice()))
        .collect();
    written(None, &pages)
}

/// A PDF with a title and one page for each list of lines, which are not broken.
#[must_use]
pub fn of_pages(title: &str, pages: &[Vec<String>]) -> Bytes {
    let pages: Vec<&[String]> = pages.iter().map(Vec::as_slice).collect();
    written(Some(title), &pages)
}

fn written(title: Option<&str>, pages: &[&[String]]) -> Bytes {
    let mut document = Document::with_version("1.5");
    let parent = document.new_object_id();
    let fonts = fonts(&mut document);
    let resources = document.add_object(dictionary! {"Font" => fonts});
    let mut kids: Vec<Object> = Vec::new();
    for page in pages {
        let operations = page_of(page);
        let content = Content { operations }.encode().unwrap_or_default();
        let content = document.add_object(lopdf::Stream::new(dictionary! {}, content));
        let page = dictionary! {"Type" => "Page", "Parent" => parent, "Contents" => content};
        kids.push(document.add_object(page).into());
    }
    let count = i64::try_from(kids.len()).unwrap_or(i64::MAX);
    let list = dictionary! {
        "Type" => "Pages", "Kids" => kids, "Count" => count, "Resources" => resources,
        "MediaBox" => vec![0.into(), 0.into(), 595.into(), 842.into()],
    };
    document.set_object(parent, list);
    let catalog = document.add_object(dictionary! {"Type" => "Catalog", "Pages" => parent});
    document.trailer.set("Root", catalog);
    if let Some(title) = title {
        // UTF-16 with its mark, which is how the format tells it from the Latin encoding.
        let units = std::iter::once(0xfeff).chain(title.encode_utf16());
        let text = Object::String(
            units.flat_map(u16::to_be_bytes).collect(),
            StringFormat::Hexadecimal,
        );
        let info = document.add_object(dictionary! {"Title" => text});
        document.trailer.set("Info", info);
    }
    let mut bytes = Vec::new();
    // Writing into memory does not fail.
    let _ = document.save_to(&mut bytes);
    bytes.into()
}

fn broken(line: &str) -> Vec<String> {
    let letters: Vec<char> = line.chars().filter(|c| !c.is_control()).collect();
    if letters.is_empty() {
        return vec![String::new()];
    }
    letters
        .chunks(LETTERS_A_LINE)
        .map(|piece| piece.iter().collect())
        .collect()
}

fn fonts(document: &mut Document) -> lopdf::Dictionary {
    let latin = document.add_object(dictionary! {
        "Type" => "Font", "Subtype" => "Type1", "BaseFont" => "Helvetica", "Encoding" => "WinAnsiEncoding",
    });
    let descriptor = document.add_object(dictionary! {
        "Type" => "FontDescriptor", "FontName" => "STSong-Light", "Flags" => 6, "ItalicAngle" => 0,
        "Ascent" => 880, "Descent" => -120, "CapHeight" => 880, "StemV" => 93,
        "FontBBox" => vec![Object::from(-25), (-254).into(), 1000.into(), 880.into()],
    });
    let system = dictionary! {
        "Registry" => Object::string_literal("Adobe"), "Ordering" => Object::string_literal("GB1"), "Supplement" => 4,
    };
    let descendant = document.add_object(dictionary! {
        "Type" => "Font", "Subtype" => "CIDFontType0", "BaseFont" => "STSong-Light", "DW" => 1000,
        "CIDSystemInfo" => system, "FontDescriptor" => descriptor,
    });
    let chinese = document.add_object(dictionary! {
        "Type" => "Font", "Subtype" => "Type0", "BaseFont" => "STSong-Light-UniGB-UCS2-H",
        "Encoding" => "UniGB-UCS2-H", "DescendantFonts" => vec![Object::from(descendant)],
    });
    dictionary! {"F1" => latin, "F2" => chinese}
}

fn page_of(lines: &[String]) -> Vec<Operation> {
    let mut operations = vec![
        Operation::new("BT", vec![]),
        Operation::new("TL", vec![14.into()]),
        Operation::new("Td", vec![50.into(), 780.into()]),
    ];
    for line in lines {
        let (font, text) = if line.is_ascii() {
            ("F1", Object::string_literal(line.as_str()))
        } else {
            let units = line.encode_utf16().flat_map(u16::to_be_bytes).collect();
            ("F2", Object::String(units, StringFormat::Hexadecimal))
        };
        operations.push(Operation::new("Tf", vec![font.into(), 11.into()]));
        operations.push(Operation::new("Tj", vec![text]));
        operations.push(Operation::new("T*", vec![]));
    }
    operations.push(Operation::new("ET", vec![]));
    operations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_again_on_their_pages() {
        let mut lines = vec!["Plain (text)", "", "员工劳动合同 1"];
        lines.resize(LINES_A_PAGE, "x");
        lines.push("second page");
        let bytes = of_lines(&lines);
        assert!(bytes.starts_with(b"%PDF-1.5"));
        let document = Document::load_mem(&bytes).unwrap();
        assert_eq!(document.get_pages().len(), 2);
        let first = document.extract_text(&[1]).unwrap();
        assert!(first.starts_with("Plain (text)"), "{first}");
        assert!(first.contains("员工劳动合同 1"), "{first}");
        assert_eq!(document.extract_text(&[2]).unwrap().trim(), "second page");
        assert_eq!(of_lines(&lines), bytes);
    }

    #[test]
    fn each_page_keeps_its_lines_and_the_document_its_title() {
        let pages = [vec!["One".to_owned()], vec![], vec!["第三页".to_owned()]];
        let document = Document::load_mem(&of_pages("标题", &pages)).unwrap();
        assert_eq!(document.get_pages().len(), 3);
        assert_eq!(document.extract_text(&[3]).unwrap().trim(), "第三页");
        let info = document
            .trailer
            .get(b"Info")
            .unwrap()
            .as_reference()
            .unwrap();
        let title = document
            .get_dictionary(info)
            .unwrap()
            .get(b"Title")
            .unwrap();
        assert_eq!(
            title.as_str().unwrap(),
            [0xfe, 0xff, 0x68, 0x07, 0x98, 0x98]
        );
    }

    #[test]
    fn nothing_to_say_is_one_empty_page() {
        let document = Document::load_mem(&of_lines(&[])).unwrap();
        assert_eq!(document.get_pages().len(), 1);
    }
}
