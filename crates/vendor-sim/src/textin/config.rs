//! The `config` form field: what it may hold, what it means, and how it is refused.

use serde_json::{Map, Value, json};

use super::answer::Refusal;
use super::options::TextInOptions;

/// A checked configuration, defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    pub(crate) password: Option<String>,
    pub(crate) include_hierarchy: bool,
    pub(crate) include_inline_objects: bool,
    pub(crate) include_char_details: bool,
    pub(crate) include_image_data: bool,
    pub(crate) include_table_structure: bool,
    pub(crate) merged: bool,
    pub(crate) pages: bool,
    pub(crate) title_tree: bool,
    /// `None` when the caller did not choose: then the text stays as it was sent.
    pub(crate) table_view: Option<TableView>,
    pub(crate) page_range: Option<Vec<(u64, u64)>>,
    pub(crate) gui: bool,
    pub(crate) image_base64: bool,
    pub(crate) exports: Vec<ExportFormat>,
    pub(crate) schema_version: String,
    /// Keys that mean nothing to this vendor, with their path: misspelt options show here.
    pub(crate) unknown: Vec<String>,
    /// As sent, the password struck out.
    pub(crate) sent: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TableView {
    Html,
    Markdown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExportFormat {
    Docx,
    Xlsx,
    Pdf,
}

impl ExportFormat {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Docx => "docx",
            Self::Xlsx => "xlsx",
            Self::Pdf => "pdf",
        }
    }
}

/// Reads the field's text; no field means all defaults.
pub(crate) fn parse(text: Option<&str>, options: &TextInOptions) -> Result<Config, Refusal> {
    let sent: Value = match text {
        None | Some("") => Value::Null,
        Some(text) => serde_json::from_str(text)
            .map_err(|_| Refusal::parameter("config is not valid JSON"))?,
    };
    let mut unknown = Vec::new();
    let mut top = Block::open("config", Some(sent.clone()))?;
    // The webhook is a form field of its own.
    if top.fields.contains_key("webhook") {
        return Err(Refusal::parameter(
            "webhook is a form field, not a config key",
        ));
    }
    let schema_version = schema_version(&mut top, options)?;
    let mut document = top.block("document")?;
    let mut capabilities = top.block("capabilities")?;
    let mut scope = top.block("scope")?;
    let mut engine = top.block("config")?;
    let mut params = engine.block("engine_params")?;
    let force_engine = engine.text("force_engine")?;
    if let Some(name) = &force_engine
        && !options.engines.contains(name)
    {
        return Err(Refusal::code(40429));
    }
    let config = Config {
        password: document.text("password")?,
        include_hierarchy: capabilities.boolean("include_hierarchy", true)?,
        include_inline_objects: capabilities.boolean("include_inline_objects", false)?,
        include_char_details: capabilities.boolean("include_char_details", false)?,
        include_image_data: capabilities.boolean("include_image_data", false)?,
        include_table_structure: capabilities.boolean("include_table_structure", false)?,
        merged: capabilities
            .word("element_merge_mode", &["separate", "merged"])?
            .as_deref()
            == Some("merged"),
        pages: capabilities.boolean("pages", false)?,
        title_tree: capabilities.boolean("title_tree", false)?,
        table_view: capabilities
            .word("table_view", &["html", "markdown"])?
            .map(|view| {
                if view == "html" {
                    TableView::Html
                } else {
                    TableView::Markdown
                }
            }),
        page_range: scope
            .text("page_range")?
            .map(|range| page_range(&range))
            .transpose()?,
        gui: force_engine.as_deref() == Some("textin_gui"),
        image_base64: params
            .word("image_output_type", &["url", "base64"])?
            .as_deref()
            == Some("base64"),
        exports: exports(&mut top)?,
        schema_version,
        unknown: Vec::new(),
        sent: struck_out(sent),
    };
    capabilities.boolean("remove_watermark", false)?;
    capabilities.boolean("crop_dewarp", false)?;
    // engine_params is open by design, so nothing in it is unknown.
    for block in [top, document, capabilities, scope, engine] {
        unknown.extend(
            block
                .fields
                .keys()
                .map(|key| format!("{}.{key}", block.path)),
        );
    }
    Ok(Config { unknown, ..config })
}

fn schema_version(top: &mut Block, options: &TextInOptions) -> Result<String, Refusal> {
    match top.text("schema_version")? {
        None => Ok(options.default_schema_version.clone()),
        Some(version) if options.schema_versions.contains(&version) => Ok(version),
        // The one refusal that is described with a real HTTP status.
        Some(version) => {
            let refusal = Refusal {
                http: 400,
                ..Refusal::code(400)
            };
            Err(refusal.with_message(format!("unsupported schema_version {version}")))
        }
    }
}

fn page_range(text: &str) -> Result<Vec<(u64, u64)>, Refusal> {
    let bad = || Refusal::parameter(format!("bad page_range {text:?}"));
    text.split(',')
        .map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (page(first).ok_or_else(bad)?, page(last).ok_or_else(bad)?);
            if first <= last {
                Ok((first, last))
            } else {
                Err(bad())
            }
        })
        .collect()
}

fn page(text: &str) -> Option<u64> {
    let text = text.trim();
    // `parse` alone would let a plus sign through.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|page| *page >= 1)
}

fn exports(top: &mut Block) -> Result<Vec<ExportFormat>, Refusal> {
    let items = match top.fields.remove("exports") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(_) => return Err(Refusal::parameter("exports must be a list")),
    };
    let mut formats = Vec::new();
    for item in items {
        let mut item = Block::open("exports[]", Some(item))?;
        let format = match item.text("format")?.as_deref() {
            Some("docx") => ExportFormat::Docx,
            Some("xlsx") => ExportFormat::Xlsx,
            Some("pdf") => ExportFormat::Pdf,
            _ => {
                return Err(Refusal::parameter(
                    "exports[].format must be docx, xlsx or pdf",
                ));
            }
        };
        if formats.contains(&format) {
            return Err(Refusal::parameter("each export format may appear once"));
        }
        let mut settings = item.block("config")?;
        match format {
            ExportFormat::Docx => drop(settings.word("mode", &["flow", "layout"])?),
            ExportFormat::Pdf => drop(settings.word("mode", &["layout"])?),
            ExportFormat::Xlsx => {
                settings.word("scope", &["document", "table"])?;
                settings.word("sheet_mode", &["multi", "single"])?;
            }
        }
        formats.push(format);
    }
    Ok(formats)
}

fn struck_out(mut sent: Value) -> Value {
    if let Some(password) = sent.pointer_mut("/document/password")
        && !password.is_null()
    {
        *password = json!("***");
    }
    sent
}

/// An object whose keys are taken out as they are understood. A `null` block or value counts as absent, because the
/// official Python client sends absent blocks that way.
struct Block {
    path: String,
    fields: Map<String, Value>,
}

impl Block {
    fn open(path: &str, value: Option<Value>) -> Result<Self, Refusal> {
        let fields = match value {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(fields)) => fields,
            Some(_) => return Err(Refusal::parameter(format!("{path} must be an object"))),
        };
        Ok(Self {
            path: path.to_owned(),
            fields,
        })
    }

    fn block(&mut self, key: &str) -> Result<Self, Refusal> {
        Self::open(&format!("{}.{key}", self.path), self.fields.remove(key))
    }

    fn boolean(&mut self, key: &str, default: bool) -> Result<bool, Refusal> {
        match self.fields.remove(key) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::Bool(value)) => Ok(value),
            Some(_) => Err(Refusal::parameter(format!(
                "{}.{key} must be true or false",
                self.path
            ))),
        }
    }

    fn text(&mut self, key: &str) -> Result<Option<String>, Refusal> {
        match self.fields.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(value)) => Ok(Some(value)),
            Some(_) => Err(Refusal::parameter(format!(
                "{}.{key} must be a string",
                self.path
            ))),
        }
    }

    fn word(&mut self, key: &str, allowed: &[&str]) -> Result<Option<String>, Refusal> {
        match self.text(key)? {
            Some(word) if !allowed.contains(&word.as_str()) => Err(Refusal::parameter(format!(
                "{}.{key} must be one of {}",
                self.path,
                allowed.join(", ")
            ))),
            word => Ok(word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(config: &Value) -> Result<Config, Refusal> {
        parse(Some(&config.to_string()), &TextInOptions::default())
    }

    fn code(config: &Value) -> i64 {
        read(config).unwrap_err().code
    }

    #[test]
    fn null_blocks_and_values_of_the_python_client_mean_absent() {
        // What `xparse-client` 0.3.0 sends for ParseConfig(scope=Scope()).
        let config = read(&json!({
            "schema_version": "1.3.0", "document": null, "capabilities": null,
            "scope": {"page_range": null}, "config": null
        }))
        .unwrap();
        assert_eq!(config.schema_version, "1.3.0");
        assert!(config.include_hierarchy);
        assert_eq!(config.page_range, None);
        assert!(config.unknown.is_empty());
        assert_eq!(
            parse(None, &TextInOptions::default())
                .unwrap()
                .schema_version,
            "1.3.1"
        );
    }

    #[test]
    fn every_documented_option_is_known() {
        let config = read(&json!({
            "schema_version": "1.4.0",
            "document": {"password": "open sesame"},
            "capabilities": {
                "include_hierarchy": false, "include_inline_objects": true, "include_char_details": true,
                "include_image_data": true, "include_table_structure": true, "element_merge_mode": "merged",
                "pages": true, "title_tree": true, "table_view": "markdown",
                "remove_watermark": true, "crop_dewarp": true
            },
            "scope": {"page_range": "1-2,5-10"},
            "config": {"force_engine": "textin_gui", "engine_params": {"parse_mode": "vlm", "image_output_type": "base64"}},
            "exports": [{"format": "docx", "config": {"mode": "flow"}}, {"format": "xlsx"}, {"format": "pdf"}]
        }))
        .unwrap();
        assert!(config.unknown.is_empty(), "{:?}", config.unknown);
        assert!(!config.include_hierarchy && config.merged && config.gui && config.image_base64);
        assert_eq!(config.page_range, Some(vec![(1, 2), (5, 10)]));
        assert_eq!(config.exports.len(), 3);
        assert!(!config.sent.to_string().contains("sesame"));
    }

    #[test]
    fn misspelt_keys_are_named() {
        let config = read(&json!({"capabilitys": {}, "scope": {"page_rang": "1"}})).unwrap();
        assert_eq!(
            config.unknown,
            ["config.capabilitys", "config.scope.page_rang"]
        );
    }

    #[test]
    fn bad_values_are_refused_by_code() {
        assert_eq!(
            parse(Some("{"), &TextInOptions::default())
                .unwrap_err()
                .code,
            40004
        );
        assert_eq!(code(&json!([])), 40004);
        assert_eq!(code(&json!({"webhook": "http://127.0.0.1/"})), 40004);
        assert_eq!(code(&json!({"capabilities": {"pages": "yes"}})), 40004);
        assert_eq!(code(&json!({"capabilities": {"table_view": "csv"}})), 40004);
        assert_eq!(code(&json!({"config": {"force_engine": "mineru"}})), 40429);
        assert_eq!(
            code(&json!({"exports": [{"format": "pdf"}, {"format": "pdf"}]})),
            40004
        );
        for range in ["0", "3-1", "a", "", "1-", "1,,2", "+1", "1-2-3"] {
            assert_eq!(
                code(&json!({"scope": {"page_range": range}})),
                40004,
                "{range:?}"
            );
        }
    }

    #[test]
    fn unsupported_schema_version_is_the_one_real_http_400() {
        let refusal = read(&json!({"schema_version": "2.0"})).unwrap_err();
        assert_eq!((refusal.code, refusal.http), (400, 400));
    }
}
