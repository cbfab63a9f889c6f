//! What the submitted bytes are: format, pages and text, or else name, size and digest.

use std::path::Path;

use bytes::Bytes;

use super::answer::Refusal;
use super::options::TextInOptions;
use crate::spool::Spooled;

/// Larger texts and PDFs are known by size and digest only, so that no upload is ever held whole in memory.
const TEXT_LIMIT: u64 = 8 << 20;
/// Images up to this size can be handed back in the result.
const IMAGE_LIMIT: u64 = 256 << 10;
const GUI_LIMIT: u64 = 10 << 20;

/// A received document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Document {
    pub(crate) name: String,
    pub(crate) mime: &'static str,
    pub(crate) size: u64,
    pub(crate) sha256: String,
    pub(crate) content: Content,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    /// Text as it was sent.
    Text(String),
    /// One text a page.
    Pages(Vec<String>),
    /// Kept only if small.
    Image(Option<Bytes>),
    /// Nothing is known of the inside.
    Opaque,
}

impl Document {
    /// The same document gives the same id, whoever sends it.
    pub(crate) fn file_id(&self) -> String {
        self.sha256.chars().take(32).collect()
    }

    pub(crate) fn page_count(&self) -> u64 {
        match &self.content {
            Content::Pages(pages) => pages.len() as u64,
            Content::Text(_) | Content::Image(_) | Content::Opaque => 1,
        }
    }
}

/// Checks a received file by the vendor's limits and reads it. Blocks on the disk.
pub(crate) fn read(
    name: &str,
    file: &Spooled,
    password: Option<&str>,
    gui: bool,
    options: &TextInOptions,
) -> Result<Document, Refusal> {
    if file.size == 0 {
        return Err(Refusal::code(400).with_message("empty file"));
    }
    if file.too_large {
        return Err(Refusal::code(40302));
    }
    let extension = extension(name, &file.head);
    if !options.formats.contains(&extension) {
        return Err(Refusal::code(40303).with_message(format!("文件类型不支持: {extension}")));
    }
    let mime = mime(&extension);
    if gui && !matches!(extension.as_str(), "jpg" | "jpeg" | "png" | "gif" | "webp") {
        return Err(Refusal::code(40303).with_message("textin_gui takes images only"));
    }
    if (gui && file.size > GUI_LIMIT) || (extension == "txt" && file.size > options.max_txt_bytes) {
        return Err(Refusal::code(40302));
    }
    let content = match extension.as_str() {
        "pdf" => pdf(file, password, options.check_content)?,
        "txt" | "md" | "html" if file.size <= TEXT_LIMIT => {
            Content::Text(String::from_utf8_lossy(&bytes_of(file.path())?).into_owned())
        }
        _ if mime.starts_with("image/") => {
            if options.check_content {
                image_is_what_it_says(&extension, &file.head)?;
            }
            let kept = if file.size <= IMAGE_LIMIT {
                Some(bytes_of(file.path())?.into())
            } else {
                None
            };
            Content::Image(kept)
        }
        _ => Content::Opaque,
    };
    Ok(Document {
        name: name.to_owned(),
        mime,
        size: file.size,
        sha256: file.sha256.clone(),
        content,
    })
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, Refusal> {
    std::fs::read(path).map_err(|_| Refusal::code(500))
}

fn extension(name: &str, head: &[u8]) -> String {
    match name.rsplit_once('.') {
        Some((_, extension)) => extension.to_ascii_lowercase(),
        None if head.starts_with(b"%PDF-") => "pdf".to_owned(),
        None if head.starts_with(b"\x89PNG") => "png".to_owned(),
        None if head.starts_with(b"\xff\xd8\xff") => "jpg".to_owned(),
        None => "unknown".to_owned(),
    }
}

fn mime(extension: &str) -> &'static str {
    match extension {
        "pdf" => "application/pdf",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "bmp" => "image/bmp",
        "tiff" => "image/tiff",
        "webp" => "image/webp",
        "gif" => "image/gif",
        "html" => "text/html",
        "mhtml" => "multipart/related",
        "txt" => "text/plain",
        "md" => "text/markdown",
        "csv" => "text/csv",
        "rtf" => "application/rtf",
        "doc" => "application/msword",
        "xls" => "application/vnd.ms-excel",
        "ppt" => "application/vnd.ms-powerpoint",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "pptx" => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        _ => "application/octet-stream",
    }
}

fn image_is_what_it_says(extension: &str, head: &[u8]) -> Result<(), Refusal> {
    let genuine = match extension {
        "png" => head.starts_with(b"\x89PNG\r\n\x1a\n"),
        "jpg" | "jpeg" => head.starts_with(b"\xff\xd8\xff"),
        "gif" => head.starts_with(b"GIF8"),
        _ => true,
    };
    if !genuine {
        return Err(Refusal::code(40422));
    }
    // Width and height stand at a fixed place in PNG only; other formats pass unmeasured.
    let side = |at: usize| {
        head.get(at..at + 4)
            .and_then(|four| Some(u32::from_be_bytes(four.try_into().ok()?)))
    };
    if extension == "png"
        && let (Some(width), Some(height)) = (side(16), side(20))
    {
        let (short, long) = (width.min(height), width.max(height));
        let most = if u64::from(long) < 2 * u64::from(short) {
            20_000
        } else {
            10_000
        };
        if short < 20 || long > most {
            return Err(Refusal::code(40304));
        }
    }
    Ok(())
}

fn pdf(file: &Spooled, password: Option<&str>, check: bool) -> Result<Content, Refusal> {
    if file.size > TEXT_LIMIT {
        return Ok(Content::Opaque);
    }
    let damaged = || {
        if check {
            Err(Refusal::code(40422))
        } else {
            Ok(Content::Opaque)
        }
    };
    if !file.head.starts_with(b"%PDF-") {
        return damaged();
    }
    let bytes = bytes_of(file.path())?;
    let loaded = match password {
        Some(password) => lopdf::Document::load_mem_with_options(
            &bytes,
            lopdf::LoadOptions::with_password(password),
        ),
        None => lopdf::Document::load_mem(&bytes),
    };
    let document = match loaded {
        Ok(document) => document,
        Err(lopdf::Error::InvalidPassword) => return Err(Refusal::code(40423)),
        Err(_) => return damaged(),
    };
    if document.is_encrypted() && !document.was_encrypted() {
        return Err(Refusal::code(40423));
    }
    let numbers: Vec<u32> = document.get_pages().into_keys().collect();
    if numbers.is_empty() {
        return damaged();
    }
    // Fonts that the library cannot read cost the text, not the page.
    let texts = numbers
        .iter()
        .map(|number| document.extract_text(&[*number]).unwrap_or_default());
    Ok(Content::Pages(
        texts.map(|text| text.trim_end().to_owned()).collect(),
    ))
}
