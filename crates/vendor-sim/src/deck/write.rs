//! A `.pptx` with one master, one layout, one theme and a title and a text box on each slide: the least that office
//! programs open without repair.

use std::io::{Cursor, Write};

use bytes::Bytes;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{Slide, escaped};

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#;
const SPACES: &str = r#"xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main""#;
const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006";
const KIND: &str = "application/vnd.openxmlformats-officedocument";
/// Every shape tree begins with its own group.
const TREE: &str = r#"<p:nvGrpSpPr><p:cNvPr id="1" name=""/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr><a:xfrm><a:off x="0" y="0"/><a:ext cx="0" cy="0"/><a:chOff x="0" y="0"/><a:chExt cx="0" cy="0"/></a:xfrm></p:grpSpPr>"#;

/// The file's bytes, the same for the same texts.
pub(crate) fn pptx(title: &str, slides: &[Slide]) -> Option<Bytes> {
    let mut parts = vec![
        (
            "[Content_Types].xml".to_owned(),
            content_types(slides.len()),
        ),
        (
            "_rels/.rels".to_owned(),
            relations(&[
                ("officeDocument", OFFICE, "ppt/presentation.xml".to_owned()),
                (
                    "metadata/core-properties",
                    "http://schemas.openxmlformats.org/package/2006/relationships",
                    "docProps/core.xml".to_owned(),
                ),
            ]),
        ),
        ("docProps/core.xml".to_owned(), properties(title)),
        (
            "ppt/presentation.xml".to_owned(),
            presentation(slides.len()),
        ),
        (
            "ppt/_rels/presentation.xml.rels".to_owned(),
            presentation_relations(slides.len()),
        ),
        ("ppt/theme/theme1.xml".to_owned(), theme()),
        ("ppt/slideMasters/slideMaster1.xml".to_owned(), master()),
        (
            "ppt/slideMasters/_rels/slideMaster1.xml.rels".to_owned(),
            relations(&[
                (
                    "slideLayout",
                    OFFICE,
                    "../slideLayouts/slideLayout1.xml".to_owned(),
                ),
                ("theme", OFFICE, "../theme/theme1.xml".to_owned()),
            ]),
        ),
        ("ppt/slideLayouts/slideLayout1.xml".to_owned(), layout()),
        (
            "ppt/slideLayouts/_rels/slideLayout1.xml.rels".to_owned(),
            relations(&[(
                "slideMaster",
                OFFICE,
                "../slideMasters/slideMaster1.xml".to_owned(),
            )]),
        ),
    ];
    for (number, slide) in (1..).zip(slides) {
        parts.push((format!("ppt/slides/slide{number}.xml"), sheet(slide)));
        parts.push((
            format!("ppt/slides/_rels/slide{number}.xml.rels"),
            relations(&[(
                "slideLayout",
                OFFICE,
                "../slideLayouts/slideLayout1.xml".to_owned(),
            )]),
        ));
    }
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in parts {
        zip.start_file(name, SimpleFileOptions::default()).ok()?;
        zip.write_all(text.as_bytes()).ok()?;
    }
    Some(zip.finish().ok()?.into_inner().into())
}

fn content_types(slides: usize) -> String {
    let part = |name: &str, kind: &str| {
        format!(r#"<Override PartName="{name}" ContentType="{kind}+xml"/>"#)
    };
    let show = format!("{KIND}.presentationml");
    let sheets: String = (1..=slides)
        .map(|number| {
            part(
                &format!("/ppt/slides/slide{number}.xml"),
                &format!("{show}.slide"),
            )
        })
        .collect();
    format!(
        r#"{HEAD}<Types xmlns="{PACKAGE}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/>{}{}{}{}{}{sheets}</Types>"#,
        part(
            "/ppt/presentation.xml",
            &format!("{show}.presentation.main")
        ),
        part(
            "/ppt/slideMasters/slideMaster1.xml",
            &format!("{show}.slideMaster")
        ),
        part(
            "/ppt/slideLayouts/slideLayout1.xml",
            &format!("{show}.slideLayout")
        ),
        part("/ppt/theme/theme1.xml", &format!("{KIND}.theme")),
        part(
            "/docProps/core.xml",
            "application/vnd.openxmlformats-package.core-properties"
        ),
    )
}

fn relations(list: &[(&str, &str, String)]) -> String {
    let entries: String = (1..)
        .zip(list)
        .map(|(number, (kind, space, target)): (usize, _)| {
            format!(r#"<Relationship Id="rId{number}" Type="{space}/{kind}" Target="{target}"/>"#)
        })
        .collect();
    format!(r#"{HEAD}<Relationships xmlns="{PACKAGE}/relationships">{entries}</Relationships>"#)
}

fn presentation_relations(slides: usize) -> String {
    let mut list = vec![
        (
            "slideMaster",
            OFFICE,
            "slideMasters/slideMaster1.xml".to_owned(),
        ),
        ("theme", OFFICE, "theme/theme1.xml".to_owned()),
    ];
    list.extend((1..=slides).map(|number| ("slide", OFFICE, format!("slides/slide{number}.xml"))));
    relations(&list)
}

fn properties(title: &str) -> String {
    format!(
        r#"{HEAD}<cp:coreProperties xmlns:cp="{PACKAGE}/metadata/core-properties" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{}</dc:title></cp:coreProperties>"#,
        escaped(title)
    )
}

fn presentation(slides: usize) -> String {
    // Ids of slides begin at 256; relation 1 is the master, 2 the theme.
    let list: String = (0..slides)
        .map(|index| format!(r#"<p:sldId id="{}" r:id="rId{}"/>"#, 256 + index, 3 + index))
        .collect();
    format!(
        r#"{HEAD}<p:presentation {SPACES}><p:sldMasterIdLst><p:sldMasterId id="2147483648" r:id="rId1"/></p:sldMasterIdLst><p:sldIdLst>{list}</p:sldIdLst><p:sldSz cx="12192000" cy="6858000"/><p:notesSz cx="6858000" cy="9144000"/></p:presentation>"#
    )
}

fn sheet(slide: &Slide) -> String {
    let lines: String = slide.lines.iter().map(|line| paragraph(line)).collect();
    let body = if lines.is_empty() {
        "<a:p/>".to_owned()
    } else {
        lines
    };
    format!(
        r#"{HEAD}<p:sld {SPACES}><p:cSld><p:spTree>{TREE}{}{}</p:spTree></p:cSld><p:clrMapOvr><a:masterClrMapping/></p:clrMapOvr></p:sld>"#,
        shape(
            2,
            "Title",
            r#"<p:ph type="title"/>"#,
            "",
            &paragraph(&slide.title)
        ),
        shape(3, "Text", r#"<p:ph type="body" idx="1"/>"#, "", &body),
    )
}

fn paragraph(text: &str) -> String {
    format!("<a:p><a:r><a:t>{}</a:t></a:r></a:p>", escaped(text))
}

fn shape(id: u32, name: &str, place: &str, frame: &str, paragraphs: &str) -> String {
    format!(
        r#"<p:sp><p:nvSpPr><p:cNvPr id="{id}" name="{name}"/><p:cNvSpPr/><p:nvPr>{place}</p:nvPr></p:nvSpPr><p:spPr>{frame}</p:spPr><p:txBody><a:bodyPr/><a:lstStyle/>{paragraphs}</p:txBody></p:sp>"#
    )
}

fn frame(y: u32, height: u32) -> String {
    format!(
        r#"<a:xfrm><a:off x="838200" y="{y}"/><a:ext cx="10515600" cy="{height}"/></a:xfrm><a:prstGeom prst="rect"><a:avLst/></a:prstGeom>"#
    )
}

fn places() -> String {
    let title = shape(
        2,
        "Title",
        r#"<p:ph type="title"/>"#,
        &frame(365_125, 1_325_563),
        "<a:p/>",
    );
    let body = shape(
        3,
        "Text",
        r#"<p:ph type="body" idx="1"/>"#,
        &frame(1_825_625, 4_351_338),
        "<a:p/>",
    );
    format!("{title}{body}")
}

fn master() -> String {
    format!(
        r#"{HEAD}<p:sldMaster {SPACES}><p:cSld><p:bg><p:bgRef idx="1001"><a:schemeClr val="bg1"/></p:bgRef></p:bg><p:spTree>{TREE}{}</p:spTree></p:cSld><p:clrMap bg1="lt1" tx1="dk1" bg2="lt2" tx2="dk2" accent1="accent1" accent2="accent2" accent3="accent3" accent4="accent4" accent5="accent5" accent6="accent6" hlink="hlink" folHlink="folHlink"/><p:sldLayoutIdLst><p:sldLayoutId id="2147483649" r:id="rId1"/></p:sldLayoutIdLst></p:sldMaster>"#,
        places()
    )
}

fn layout() -> String {
    format!(
        r#"{HEAD}<p:sldLayout {SPACES} type="obj"><p:cSld name="Title and text"><p:spTree>{TREE}{}</p:spTree></p:cSld><p:clrMapOvr><a:masterClrMapping/></p:clrMapOvr></p:sldLayout>"#,
        places()
    )
}

fn theme() -> String {
    let colours: String = [
        ("dk1", "000000"),
        ("lt1", "FFFFFF"),
        ("dk2", "44546A"),
        ("lt2", "E7E6E6"),
        ("accent1", "4472C4"),
        ("accent2", "ED7D31"),
        ("accent3", "A5A5A5"),
        ("accent4", "FFC000"),
        ("accent5", "5B9BD5"),
        ("accent6", "70AD47"),
        ("hlink", "0563C1"),
        ("folHlink", "954F72"),
    ]
    .iter()
    .map(|(name, colour)| format!(r#"<a:{name}><a:srgbClr val="{colour}"/></a:{name}>"#))
    .collect();
    let font = r#"<a:latin typeface="Calibri"/><a:ea typeface=""/><a:cs typeface=""/>"#;
    // A format scheme must list at least three of each.
    let fill = r#"<a:solidFill><a:schemeClr val="phClr"/></a:solidFill>"#.repeat(3);
    let line =
        r#"<a:ln w="6350"><a:solidFill><a:schemeClr val="phClr"/></a:solidFill></a:ln>"#.repeat(3);
    let effect = "<a:effectStyle><a:effectLst/></a:effectStyle>".repeat(3);
    format!(
        r#"{HEAD}<a:theme xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" name="Plain"><a:themeElements><a:clrScheme name="Plain">{colours}</a:clrScheme><a:fontScheme name="Plain"><a:majorFont>{font}</a:majorFont><a:minorFont>{font}</a:minorFont></a:fontScheme><a:fmtScheme name="Plain"><a:fillStyleLst>{fill}</a:fillStyleLst><a:lnStyleLst>{line}</a:lnStyleLst><a:effectStyleLst>{effect}</a:effectStyleLst><a:bgFillStyleLst>{fill}</a:bgFillStyleLst></a:fmtScheme></a:themeElements></a:theme>"#
    )
}
