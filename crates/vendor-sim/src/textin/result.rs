//! The result JSON of a document: elements, Markdown and whatever else the capabilities ask for.

use base64::Engine;
use serde_json::{Map, Value, json};

use super::answer::Refusal;
use super::blocks::{self, Block, Kind};
use super::config::{Config, TableView};
use super::document::{Content, Document};

/// A4 at 144 dots an inch, for documents that have no pixels of their own.
const PAGE: (u32, u32) = (1190, 1684);

/// Everything a result depends on; equal inputs give equal bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) job_id: &'a str,
    pub(crate) document: &'a Document,
    pub(crate) config: &'a Config,
    pub(crate) success_count: u64,
    /// Where images can be fetched from, without a slash at the end.
    pub(crate) image_base: &'a str,
}

/// The pages that a job parses, by number.
pub(crate) fn selected_pages(document: &Document, config: &Config) -> Result<Vec<u64>, Refusal> {
    let count = document.page_count();
    let Some(ranges) = &config.page_range else {
        return Ok((1..=count).collect());
    };
    if ranges.iter().any(|(_, last)| *last > count) {
        return Err(Refusal::code(40424));
    }
    Ok((1..=count)
        .filter(|page| {
            ranges
                .iter()
                .any(|(first, last)| (first..=last).contains(&page))
        })
        .collect())
}

/// The result without exports.
pub(crate) fn build(source: &Source<'_>) -> Map<String, Value> {
    let Source {
        document, config, ..
    } = source;
    let pages = selected_pages(document, config).unwrap_or_default();
    let mut draft = Draft::new(source, &pages);
    draft.link_tables();
    if config.include_hierarchy {
        draft.link_titles();
    }
    let mut result = Map::new();
    result.insert("schema_version".to_owned(), json!(config.schema_version));
    result.insert("file_id".to_owned(), json!(document.file_id()));
    result.insert("job_id".to_owned(), json!(source.job_id));
    result.insert("success_count".to_owned(), json!(source.success_count));
    result.insert(
        "metadata".to_owned(),
        json!({"filename": document.name, "filetype": document.mime, "page_count": document.page_count()}),
    );
    result.insert("elements".to_owned(), draft.elements());
    result.insert(
        "markdown".to_owned(),
        json!(markdown(document, config, &pages)),
    );
    if config.title_tree {
        result.insert("title_tree".to_owned(), draft.title_tree());
    }
    if config.pages {
        result.insert("pages".to_owned(), draft.pages(&pages));
    }
    // A constant, so that the same job has the same bytes each time they are asked for.
    result.insert("summary".to_owned(), json!({"duration_ms": 1234.5}));
    result
}

/// The text that `markdown` holds: a text as it was sent, a PDF's pages in order, a description of everything else.
pub(crate) fn markdown(document: &Document, config: &Config, pages: &[u64]) -> String {
    let text = match &document.content {
        Content::Text(text) => text.clone(),
        Content::Pages(_) => {
            let texts: Vec<String> = pages
                .iter()
                .map(|page| page_text(document, *page))
                .collect();
            texts.join("\n\n")
        }
        Content::Image(_) | Content::Opaque => description(document),
    };
    if config.table_view == Some(TableView::Html) {
        blocks::tables_as_html(&text)
    } else {
        text
    }
}

fn page_text(document: &Document, page: u64) -> String {
    match &document.content {
        Content::Text(text) => text.clone(),
        Content::Pages(texts) => {
            let index = usize::try_from(page).unwrap_or(usize::MAX).wrapping_sub(1);
            texts.get(index).cloned().unwrap_or_default()
        }
        Content::Image(_) | Content::Opaque => description(document),
    }
}

fn description(document: &Document) -> String {
    format!(
        "{}\n\n{} bytes\n\nsha256 {}",
        document.name, document.size, document.sha256
    )
}

/// Eight numbers: top left, top right, bottom right, bottom left, normalised, six decimals.
fn quad(left: f64, top: f64, right: f64, bottom: f64) -> Value {
    let six = |value: f64| (value * 1e6).round() / 1e6;
    let (left, top, right, bottom) = (six(left), six(top), six(right), six(bottom));
    json!([left, top, right, top, right, bottom, left, bottom])
}

struct Draft<'a> {
    source: &'a Source<'a>,
    items: Vec<Item>,
}

struct Item {
    id: String,
    block: Block,
    parent: Option<String>,
    children: Vec<String>,
    continues: Option<String>,
    /// Pages and rows of a table that was put together from several.
    regions: Vec<Region>,
}

struct Region {
    page: u64,
    coordinates: Value,
    rows: usize,
}

impl<'a> Draft<'a> {
    fn new(source: &'a Source<'a>, pages: &[u64]) -> Self {
        let file_id = source.document.file_id();
        let stem: String = file_id.chars().take(24).collect();
        let items = pages
            .iter()
            .flat_map(|page| blocks::split(&page_text(source.document, *page), *page))
            .enumerate()
            .map(|(index, block)| Item {
                id: format!("{stem}{index:08x}"),
                block,
                parent: None,
                children: Vec::new(),
                continues: None,
                regions: Vec::new(),
            })
            .collect();
        Self { source, items }
    }

    /// A table at the foot of one page and one of the same width at the head of the next belong together: joined in
    /// merged mode, marked as continuation otherwise.
    fn link_tables(&mut self) {
        let merged = self.source.config.merged;
        let mut linked: Vec<Item> = Vec::with_capacity(self.items.len());
        for mut item in std::mem::take(&mut self.items) {
            if let (Kind::Table(rows), Some(above)) = (&item.block.kind, linked.last_mut())
                && let Kind::Table(rows_above) = &mut above.block.kind
                && item.block.position == 0
                && above.block.page < item.block.page
                && rows_above.first().map(Vec::len) == rows.first().map(Vec::len)
            {
                if merged {
                    above.regions.push(region(&item.block, rows.len()));
                    rows_above.extend(rows.iter().cloned());
                    above.block.text = blocks::table_html(rows_above);
                    continue;
                }
                item.continues = Some(above.id.clone());
            }
            if let Kind::Table(rows) = &item.block.kind {
                item.regions.push(region(&item.block, rows.len()));
            }
            linked.push(item);
        }
        self.items = linked;
    }

    fn link_titles(&mut self) {
        let mut open: Vec<(usize, usize)> = Vec::new();
        for index in 0..self.items.len() {
            let Some(item) = self.items.get(index) else {
                continue;
            };
            let level = match item.block.kind {
                Kind::Title(level) => Some(level),
                _ => None,
            };
            if let Some(level) = level {
                open.retain(|(outer, _)| *outer < level);
            }
            let id = item.id.clone();
            let parent = open.last().and_then(|(_, parent)| {
                let parent = self.items.get_mut(*parent)?;
                parent.children.push(id);
                Some(parent.id.clone())
            });
            if let Some(item) = self.items.get_mut(index) {
                item.parent = parent;
            }
            if let Some(level) = level {
                open.push((level, index));
            }
        }
    }

    fn elements(&self) -> Value {
        let mut elements: Vec<Value> = self.items.iter().map(|item| self.element(item)).collect();
        if let Content::Image(bytes) = &self.source.document.content {
            elements.insert(0, self.image(bytes.as_deref()));
        }
        Value::Array(elements)
    }

    fn element(&self, item: &Item) -> Value {
        let config = self.source.config;
        let block = &item.block;
        let kind = match (&block.kind, config.gui) {
            (_, true) => "text",
            (Kind::Title(_), _) => "Title",
            (Kind::ListItem, _) => "ListItem",
            (Kind::Code, _) => "CodeSnippet",
            (Kind::Paragraph, _) => "NarrativeText",
            (Kind::Table(_), _) => "Table",
        };
        let mut element = Map::new();
        element.insert("element_id".to_owned(), json!(item.id));
        element.insert("type".to_owned(), json!(kind));
        element.insert("text".to_owned(), json!(block.text));
        element.insert("page_number".to_owned(), json!(block.page));
        element.insert("coordinates".to_owned(), place(block));
        let mut metadata = self.metadata(item);
        if let Kind::Table(rows) = &block.kind {
            element.insert("sub_type".to_owned(), json!("bordered"));
            if config.include_table_structure {
                element.insert(
                    "table_structure".to_owned(),
                    self.table_structure(item, rows),
                );
            }
            if config.merged {
                metadata.extend(merged_metadata(item, rows, config.include_table_structure));
            }
        } else {
            if config.include_inline_objects {
                // The simulator recognises no formulas or boxes inside a text, and says so by an empty list.
                element.insert("objects".to_owned(), json!([]));
                metadata.insert("has_inline_objects".to_owned(), json!(false));
            }
            if config.include_char_details {
                element.insert("char_details".to_owned(), char_details(block));
            }
        }
        element.insert("metadata".to_owned(), Value::Object(metadata));
        Value::Object(element)
    }

    fn metadata(&self, item: &Item) -> Map<String, Value> {
        let mut metadata = Map::new();
        if self.source.config.include_hierarchy {
            if let Some(parent) = &item.parent {
                metadata.insert("parent_id".to_owned(), json!(parent));
            }
            metadata.insert("children_ids".to_owned(), json!(item.children));
            match item.block.kind {
                Kind::Title(level) => {
                    metadata.insert("category_depth".to_owned(), json!(level));
                }
                Kind::ListItem => {
                    metadata.insert("category_depth".to_owned(), json!(0));
                }
                _ => {}
            }
        }
        metadata.insert(
            "is_continuation".to_owned(),
            json!(item.continues.is_some()),
        );
        if let Some(above) = &item.continues {
            metadata.insert("continuation_of".to_owned(), json!(above));
        }
        if self.source.config.gui {
            metadata.insert("interactivity".to_owned(), json!(false));
            metadata.insert("description".to_owned(), json!("text on the screen"));
        }
        metadata
    }

    fn table_structure(&self, item: &Item, rows: &[Vec<String>]) -> Value {
        let config = self.source.config;
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut cells = Vec::new();
        for (row, texts) in (1_u32..).zip(rows) {
            for (column, text) in (1_u32..).zip(texts) {
                let mut cell = json!({
                    "cell_id": format!("{}-{row}-{column}", item.id),
                    "row": row, "col": column, "row_span": 1, "col_span": 1,
                    "content_type": "text", "text": text,
                    "coordinates": cell_place(&item.block, row, rows.len(), column, columns),
                });
                if let Some(cell) = cell.as_object_mut() {
                    // The field was renamed with 1.3.1, when a cell could hold several images.
                    if config.schema_version == "1.3.0" {
                        cell.insert("image_data".to_owned(), Value::Null);
                    } else {
                        cell.insert("image_datas".to_owned(), json!([]));
                    }
                    if config.include_inline_objects {
                        cell.insert("objects".to_owned(), json!([]));
                    }
                    if config.merged {
                        cell.insert(
                            "role".to_owned(),
                            json!(if row == 1 { "column_header" } else { "data" }),
                        );
                    }
                }
                cells.push(cell);
            }
        }
        json!({"rows": rows.len(), "cols": columns, "cells": cells})
    }

    fn image(&self, bytes: Option<&[u8]>) -> Value {
        let Source {
            document,
            config,
            image_base,
            ..
        } = self.source;
        let mut element = json!({
            "element_id": format!("{}ffffffff", document.file_id().chars().take(24).collect::<String>()),
            "type": if config.gui { "image" } else { "Image" },
            "text": document.name,
            "page_number": 1,
            "coordinates": quad(0.0, 0.0, 1.0, 1.0),
            "metadata": {},
        });
        if config.include_image_data
            && let (Some(bytes), Some(element)) = (bytes, element.as_object_mut())
        {
            let data = if config.image_base64 {
                let text = base64::engine::general_purpose::STANDARD.encode(bytes);
                json!({"mime_type": document.mime, "base64": text})
            } else {
                let url = format!("{image_base}/{}", document.file_id());
                json!({"mime_type": document.mime, "image_url": url})
            };
            element.insert("image_data".to_owned(), data);
        }
        element
    }

    fn title_tree(&self) -> Value {
        let titles: Vec<(usize, &Item)> = self
            .items
            .iter()
            .filter_map(|item| match item.block.kind {
                Kind::Title(level) => Some((level, item)),
                _ => None,
            })
            .collect();
        Value::Array(branches(&titles))
    }

    fn pages(&self, pages: &[u64]) -> Value {
        pages
            .iter()
            .map(|page| {
                let ids: Vec<&str> =
                    self.items.iter().filter(|item| item.block.page == *page).map(|item| item.id.as_str()).collect();
                let mut entry = json!({
                    "page_number": page, "page_width": PAGE.0, "page_height": PAGE.1, "dpi": 144, "angle": 0,
                    "status": "Success", "element_ids": ids,
                });
                if self.source.config.merged
                    && let Some(entry) = entry.as_object_mut()
                {
                    let spans = |item: &&Item| item.regions.iter().skip(1).any(|region| region.page == *page);
                    let spanning: Vec<&str> = self.items.iter().filter(spans).map(|item| item.id.as_str()).collect();
                    entry.insert("spanning_element_ids".to_owned(), json!(spanning));
                }
                entry
            })
            .collect()
    }
}

fn branches(titles: &[(usize, &Item)]) -> Vec<Value> {
    let mut tree = Vec::new();
    let mut rest = titles;
    while let Some(((level, item), below)) = rest.split_first() {
        let inner = below.iter().take_while(|(inner, _)| inner > level).count();
        let (children, next) = below.split_at(inner);
        tree.push(json!({
            "element_id": item.id, "title": item.block.text, "level": level + 1,
            "page_number": item.block.page, "children": branches(children),
        }));
        rest = next;
    }
    tree
}

fn band(block: &Block) -> (f64, f64) {
    let step = 1.0 / small(block.of + 1);
    (
        step * (small(block.position) + 0.5),
        step * (small(block.position) + 1.4),
    )
}

fn place(block: &Block) -> Value {
    let (top, bottom) = band(block);
    quad(0.1, top, 0.9, bottom)
}

fn cell_place(block: &Block, row: u32, rows: usize, column: u32, columns: usize) -> Value {
    let (top, bottom) = band(block);
    let (height, width) = ((bottom - top) / small(rows), 0.8 / small(columns));
    let (above, left) = (f64::from(row - 1), f64::from(column - 1));
    quad(
        0.1 + left * width,
        top + above * height,
        0.1 + (left + 1.0) * width,
        top + (above + 1.0) * height,
    )
}

/// Counts of blocks and characters on a page are far below the precision of a float.
fn small(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn region(block: &Block, rows: usize) -> Region {
    Region {
        page: block.page,
        coordinates: place(block),
        rows,
    }
}

fn merged_metadata(item: &Item, rows: &[Vec<String>], structure: bool) -> Map<String, Value> {
    let mut next = 1;
    let regions: Vec<Value> = item
        .regions
        .iter()
        .map(|region| {
            let start = next;
            next += region.rows;
            json!({
                "page_number": region.page, "coordinates": region.coordinates,
                "start_row": start, "end_row": next - 1,
            })
        })
        .collect();
    let mut metadata = Map::new();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    metadata.insert(
        "table_layout".to_owned(),
        json!({"rows": rows.len(), "cols": columns, "header_rows": [1]}),
    );
    metadata.insert("source_regions".to_owned(), json!(regions));
    let status = if structure { "available" } else { "disabled" };
    metadata.insert("table_structure_status".to_owned(), json!(status));
    metadata
}

fn char_details(block: &Block) -> Value {
    let (top, bottom) = band(block);
    let width = 0.8 / small(block.text.chars().count().max(1));
    block
        .text
        .chars()
        .enumerate()
        .map(|(index, letter)| {
            let left = 0.1 + width * small(index);
            json!({
                "index": index, "text": letter.to_string(), "coordinates": quad(left, top, left + width, bottom),
                "recognition": {"confidence": 0.99, "candidates": [{"text": letter.to_string(), "confidence": 0.99}]},
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::config;
    use super::super::options::TextInOptions;
    use super::*;

    fn result_of(content: Content, config: &Value) -> Value {
        let document = Document {
            name: "a.md".to_owned(),
            mime: "text/markdown",
            size: 9,
            sha256: "ab".repeat(32),
            content,
        };
        let config = config::parse(Some(&config.to_string()), &TextInOptions::default()).unwrap();
        let source = Source {
            job_id: "job",
            document: &document,
            config: &config,
            success_count: 1,
            image_base: "http://127.0.0.1:1/file/xparse_image",
        };
        Value::Object(build(&source))
    }

    fn text(text: &str) -> Content {
        Content::Text(text.to_owned())
    }

    fn keys(value: &Value) -> Vec<&str> {
        value
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect()
    }

    const TABLE: &str = "| a | b |\n|---|---|\n| 1 | 2 |";

    #[test]
    fn markdown_is_the_text_as_sent_and_elements_carry_the_required_fields() {
        let result = result_of(text("# T\n\nhello  \nworld\n"), &json!({}));
        assert_eq!(result["markdown"], "# T\n\nhello  \nworld\n");
        assert_eq!(result["elements"].as_array().unwrap().len(), 2);
        for element in result["elements"].as_array().unwrap() {
            let mut present = keys(element);
            present.sort_unstable();
            assert_eq!(
                present,
                [
                    "coordinates",
                    "element_id",
                    "metadata",
                    "page_number",
                    "text",
                    "type"
                ]
            );
            assert_eq!(element["coordinates"].as_array().unwrap().len(), 8);
        }
        // Two blocks: the first begins half a step of a third down the page, at six decimals.
        assert_eq!(result["elements"][0]["coordinates"][1], json!(0.166667));
        assert_eq!(
            result["elements"][1]["metadata"]["parent_id"],
            result["elements"][0]["element_id"]
        );
        assert!(result.get("pages").is_none() && result.get("title_tree").is_none());
    }

    #[test]
    fn optional_fields_appear_only_when_asked_for() {
        let source = format!("# T\n## U\n# V\n\n{TABLE}");
        let plain = result_of(text(&source), &json!({}));
        assert!(plain["elements"][3].get("table_structure").is_none());
        assert!(plain["elements"][0].get("char_details").is_none());
        let full = result_of(
            text(&source),
            &json!({"capabilities": {"include_char_details": true, "include_table_structure": true,
                "pages": true, "title_tree": true, "include_hierarchy": false, "include_inline_objects": true}}),
        );
        assert_eq!(full["elements"][0]["char_details"][0]["text"], "T");
        assert_eq!(
            full["elements"][3]["table_structure"]["cells"]
                .as_array()
                .unwrap()
                .len(),
            4
        );
        assert_eq!(full["title_tree"].as_array().unwrap().len(), 2);
        assert_eq!(full["title_tree"][0]["children"][0]["level"], 2);
        assert_eq!(full["pages"][0]["element_ids"].as_array().unwrap().len(), 4);
        assert!(
            full["elements"][0]["metadata"]
                .get("children_ids")
                .is_none()
        );
    }

    #[test]
    fn cells_name_their_images_by_schema_version() {
        let ask = |version: &str| {
            let config = json!({"schema_version": version, "capabilities": {"include_table_structure": true}});
            result_of(text(TABLE), &config)["elements"][0]["table_structure"]["cells"][0].clone()
        };
        assert_eq!(ask("1.3.0").get("image_data"), Some(&Value::Null));
        assert_eq!(ask("1.3.0").get("image_datas"), None);
        assert_eq!(ask("1.3.1")["image_datas"], json!([]));
    }

    #[test]
    fn table_over_two_pages_is_continued_or_merged() {
        let pages = || Content::Pages(vec![TABLE.to_owned(), "| 3 | 4 |\n\nend".to_owned()]);
        let separate = result_of(pages(), &json!({}));
        assert_eq!(separate["elements"].as_array().unwrap().len(), 3);
        assert_eq!(separate["elements"][1]["metadata"]["is_continuation"], true);
        assert_eq!(
            separate["elements"][1]["metadata"]["continuation_of"],
            separate["elements"][0]["element_id"]
        );
        let merged = result_of(
            pages(),
            &json!({"capabilities": {"element_merge_mode": "merged", "pages": true}}),
        );
        assert_eq!(merged["elements"].as_array().unwrap().len(), 2);
        let table = &merged["elements"][0];
        assert_eq!(
            table["metadata"]["table_layout"],
            json!({"rows": 3, "cols": 2, "header_rows": [1]})
        );
        assert_eq!(table["metadata"]["table_structure_status"], "disabled");
        assert_eq!(table["metadata"]["source_regions"][1]["start_row"], 3);
        assert_eq!(table["metadata"]["is_continuation"], false);
        assert_eq!(
            merged["pages"][1]["spanning_element_ids"],
            json!([table["element_id"]])
        );
    }

    #[test]
    fn image_data_comes_as_address_or_base64() {
        let image = || Content::Image(Some(b"bytes".as_slice().into()));
        let asked = json!({"capabilities": {"include_image_data": true}});
        let by_url = result_of(image(), &asked);
        assert!(
            by_url["elements"][0]["image_data"]["image_url"]
                .as_str()
                .unwrap()
                .starts_with("http://127.0.0.1:1/")
        );
        let mut asked = asked;
        asked["config"] = json!({"engine_params": {"image_output_type": "base64"}});
        assert_eq!(
            result_of(image(), &asked)["elements"][0]["image_data"]["base64"],
            "Ynl0ZXM="
        );
        assert!(
            result_of(image(), &json!({}))["elements"][0]
                .get("image_data")
                .is_none()
        );
    }

    #[test]
    fn gui_engine_has_its_own_types() {
        let config = json!({"config": {"force_engine": "textin_gui"}});
        let result = result_of(Content::Image(None), &config);
        assert_eq!(result["elements"][0]["type"], "image");
        assert_eq!(result["elements"][1]["type"], "text");
        assert_eq!(result["elements"][1]["metadata"]["interactivity"], false);
    }

    #[test]
    fn page_range_selects_pages_and_past_the_end_is_refused() {
        let pages = Content::Pages(vec!["one".to_owned(), "two".to_owned(), "three".to_owned()]);
        let result = result_of(pages.clone(), &json!({"scope": {"page_range": "1,3"}}));
        assert_eq!(result["markdown"], "one\n\nthree");
        assert_eq!(result["metadata"]["page_count"], 3);
        let document = Document {
            name: String::new(),
            mime: "",
            size: 1,
            sha256: String::new(),
            content: pages,
        };
        let config = config::parse(
            Some(r#"{"scope":{"page_range":"2-4"}}"#),
            &TextInOptions::default(),
        )
        .unwrap();
        assert_eq!(selected_pages(&document, &config).unwrap_err().code, 40424);
    }
}
