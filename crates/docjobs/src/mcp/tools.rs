//! What an agent is told about each tool: name, description with the price, schemas and annotations.

use std::sync::Arc;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Value, json};

use super::text_page::MAX_PAGE;

/// The tools, by what they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ToolName {
    ParseDocument,
    ConvertSlidesToH5,
    MakeDeck,
    ExportDeckPdf,
    ConvertForSigning,
    GetJob,
    GetResult,
    ListJobs,
    ResolveJob,
    EstimateCost,
    GetBudgets,
}

/// How long a call waits unless it says otherwise, and at most.
pub(crate) const WAIT_SECONDS: u64 = 45;
pub(crate) const MAX_WAIT_SECONDS: u64 = 50;

const STAGES: [&str; 11] = [
    "intended",
    "submitting",
    "accepted",
    "available",
    "downloading",
    "completed",
    "in_doubt",
    "rejected",
    "failed",
    "gone",
    "abandoned",
];

impl ToolName {
    pub(crate) const ALL: [Self; 11] = [
        Self::ParseDocument,
        Self::ConvertSlidesToH5,
        Self::MakeDeck,
        Self::ExportDeckPdf,
        Self::ConvertForSigning,
        Self::GetJob,
        Self::GetResult,
        Self::ListJobs,
        Self::ResolveJob,
        Self::EstimateCost,
        Self::GetBudgets,
    ];

    pub(crate) fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tool| tool.as_str() == name)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ParseDocument => "parse_document",
            Self::ConvertSlidesToH5 => "convert_slides_to_h5",
            Self::MakeDeck => "make_deck",
            Self::ExportDeckPdf => "export_deck_pdf",
            Self::ConvertForSigning => "convert_for_signing",
            Self::GetJob => "get_job",
            Self::GetResult => "get_result",
            Self::ListJobs => "list_jobs",
            Self::ResolveJob => "resolve_job",
            Self::EstimateCost => "estimate_cost",
            Self::GetBudgets => "get_budgets",
        }
    }

    /// The vendor and kind of job that it buys.
    pub(crate) fn buys(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::ParseDocument => Some(("textin", "parse")),
            Self::ConvertSlidesToH5 => Some(("ppj", "convert")),
            Self::MakeDeck => Some(("mindshow", "deck")),
            Self::ExportDeckPdf => Some(("mindshow", "pdf")),
            Self::ConvertForSigning => Some(("tencent-ess", "convert")),
            _ => None,
        }
    }

    /// Whether it changes nothing, here or at a vendor.
    pub(crate) fn is_read_only(self) -> bool {
        self.buys().is_none() && self != Self::ResolveJob
    }

    fn title(self) -> &'static str {
        match self {
            Self::ParseDocument => "Parse a document to Markdown",
            Self::ConvertSlidesToH5 => "Convert slides to an H5 bundle",
            Self::MakeDeck => "Make a slide deck",
            Self::ExportDeckPdf => "Export a deck to PDF",
            Self::ConvertForSigning => "Convert a file for e-signing",
            Self::GetJob => "Look at a job",
            Self::GetResult => "Read a result",
            Self::ListJobs => "List jobs",
            Self::ResolveJob => "Decide about a job in doubt",
            Self::EstimateCost => "Estimate the price",
            Self::GetBudgets => "Show the spending limits",
        }
    }

    fn description(self) -> String {
        const TWICE: &str = "Calling again with the same arguments never pays twice: it attaches to the job that was \
                             bought, for days and across restarts, so after a time-out call again. To buy anew on \
                             purpose, name the old job in `again`.";
        let what = match self {
            Self::ParseDocument => {
                "Parse a document (PDF, Word, Excel, PowerPoint, image, HTML, text …) to Markdown, or to JSON with all \
                 elements, by TextIn. Price: TextIn charges each page that it parses; limit the pages with `pages`."
            }
            Self::ConvertSlidesToH5 => {
                "Convert a PowerPoint file to an H5 bundle (zip) with its animations, by PPJ. Price: one project of the \
                 account's quota for each conversion."
            }
            Self::MakeDeck => {
                "Make a slide deck (pptx) by MindShow from exactly one of: `topic` (AI writes it; most likely 12 \
                 credits), `outline` (Markdown outline, AI fills it in; most likely 11 credits), `markdown` (Markdown \
                 with four levels of headings, no AI; 10 credits). An outline or Markdown may also lie in a file: give \
                 `path`, and `source` to say which it is."
            }
            Self::ExportDeckPdf => {
                "Export a deck that make_deck made to PDF, by MindShow. Price: each call to the vendor may cost 10 \
                 credits; `max_calls` (6 unless given) bounds how many are made for this deck in all."
            }
            Self::ConvertForSigning => {
                "Convert a file (Word, Excel, image, PDF …) to a PDF that can be signed, by Tencent e-sign. The result is \
                 the ResourceId with which a signing flow is created. Price: no price is documented for a conversion."
            }
            Self::GetJob => {
                "Look at a job: its stage, result, money, and in `next` what to call. With `wait_seconds` it waits for \
                 the job to settle. Free."
            }
            Self::GetResult => {
                "Read the result of a completed job, in pages counted in Unicode characters, with the headings of the \
                 whole (`outline`) and their offsets. Free."
            }
            Self::ListJobs => "List the jobs of the ledger, the newest first. Free.",
            Self::ResolveJob => {
                "Decide about a job in doubt (the answer to its submit was lost, it may have been charged), or give a \
                 job up. `adopt` says which job at the vendor it is. `abandon: true` gives it up; the same call \
                 afterwards would pay a second time, so a person decides about that: it needs the user's own answer, or \
                 a server started with --allow-resolve. Free by itself."
            }
            Self::EstimateCost => {
                "Estimate what a tool would charge for this input, and tell whether it was bought before (then the price \
                 is nothing). Counts pages locally; sends and buys nothing. Free."
            }
            Self::GetBudgets => {
                "Show the spending limits of each vendor: limit, period, spent, reserved. Only a person changes them \
                 (docjobs budget). Free."
            }
        };
        if self.buys().is_some() {
            format!("{what} {TWICE}")
        } else {
            what.to_owned()
        }
    }

    fn input_schema(self) -> Value {
        let path = |what: &str| {
            json!({
                "type": "string", "minLength": 1,
                "description": format!("{what}; relative to the first root, and below a root"),
            })
        };
        let id = json!({
            "type": "string", "minLength": 1,
            "description": "The job: the id of an answer, or the vendor's id (remote_id)",
        });
        let wait = json!({
            "type": "integer", "minimum": 0, "maximum": MAX_WAIT_SECONDS, "default": WAIT_SECONDS,
            "description": "How long to wait for the end, in seconds; the job goes on afterwards",
        });
        let common = |properties: Value, required: &[&str]| {
            let mut properties = properties;
            let shared = json!({
                "wait_seconds": wait,
                "again": {
                    "type": "string", "minLength": 1,
                    "description": "Buy anew, and pay again, what this job (its id) bought. The same call again attaches \
                                    to the job that this made",
                },
                "out": path("A new file for the result, never replaced"),
            });
            if let (Some(all), Value::Object(shared)) = (properties.as_object_mut(), shared) {
                all.extend(shared);
            }
            object(properties, required)
        };
        match self {
            Self::ParseDocument => {
                let mut schema = common(
                    json!({
                        "path": path("The document"),
                        "url": {
                            "type": "string", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://",
                            "description": "An http(s) address from which the vendor fetches the document",
                        },
                        "format": {
                            "type": "string", "enum": ["markdown", "json"], "default": "markdown",
                            "description": "The format of the result; the same job gives both",
                        },
                        "pages": {
                            "type": "string", "pattern": "^[0-9,\\- ]+$",
                            "description": "Parse, and pay for, these pages only, such as 1-5 or 1-2,5-10",
                        },
                        "password_file": path("A file with the document's password in its first line"),
                        "options": {
                            "type": "object",
                            "description": "Further options of the vendor, such as {\"table_view\": \"markdown\"}; they \
                                            are part of what makes two calls the same",
                        },
                    }),
                    &[],
                );
                one_of(&mut schema, &["path", "url"]);
                schema
            }
            Self::ConvertSlidesToH5 => {
                common(json!({ "path": path("The PowerPoint file") }), &["path"])
            }
            Self::MakeDeck => {
                let text =
                    |what: &str| json!({ "type": "string", "minLength": 1, "description": what });
                let mut schema = common(
                    json!({
                        "topic": text("What the deck is about"),
                        "outline": text("An outline in Markdown, with a title line # …"),
                        "markdown": text("The content in Markdown with four levels of headings"),
                        "path": path("A file with the outline or the Markdown"),
                        "source": {
                            "type": "string", "enum": ["outline", "markdown"], "default": "markdown",
                            "description": "What the file at `path` holds",
                        },
                        "template": text("The vendor's id of a template, as docjobs mindshow templates lists them"),
                    }),
                    &[],
                );
                one_of(&mut schema, &["topic", "outline", "markdown", "path"]);
                schema
            }
            Self::ExportDeckPdf => common(
                json!({
                    "deck": {
                        "type": "string", "minLength": 1,
                        "description": "The deck: the id of the job that made it, or the vendor's id (remote_id)",
                    },
                    "max_calls": {
                        "type": "integer", "minimum": 1, "maximum": 1000, "default": 6,
                        "description": "How many calls that may each cost credits are made at most",
                    },
                }),
                &["deck"],
            ),
            Self::ConvertForSigning => common(json!({ "path": path("The file") }), &["path"]),
            Self::GetJob => object(
                json!({
                    "id": id,
                    "wait_seconds": {
                        "type": "integer", "minimum": 0, "maximum": MAX_WAIT_SECONDS, "default": 0,
                        "description": "How long to wait for the job to settle, in seconds",
                    },
                }),
                &["id"],
            ),
            Self::GetResult => object(
                json!({
                    "id": id,
                    "offset": {
                        "type": "integer", "minimum": 0, "default": 0,
                        "description": "Where the page begins, in Unicode characters: next_offset, or the offset of a \
                                        heading",
                    },
                    "limit": {
                        "type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 20_000,
                        "description": "How many Unicode characters at most",
                    },
                }),
                &["id"],
            ),
            Self::ListJobs => object(
                json!({
                    "stage": {
                        "description": "Only jobs in this stage, or in one of these",
                        "anyOf": [
                            { "type": "string", "enum": STAGES },
                            { "type": "array", "items": { "type": "string", "enum": STAGES } },
                        ],
                    },
                    "vendor": { "type": "string", "description": "Only jobs of this vendor" },
                    "input": { "type": "string", "description": "Only jobs whose input has this name, or begins with it" },
                    "error": { "type": "string", "description": "Only jobs whose error has this text" },
                    "since": { "type": "string", "description": "Only jobs made since then (RFC 3339)" },
                    "until": { "type": "string", "description": "Only jobs made until then (RFC 3339)" },
                    "limit": { "type": "integer", "minimum": 1, "maximum": 200, "default": 20 },
                    "after": { "type": "string", "description": "The `next` of the page before" },
                }),
                &[],
            ),
            Self::ResolveJob => {
                let mut schema = object(
                    json!({
                        "id": id,
                        "adopt": {
                            "type": "string", "minLength": 1,
                            "description": "The job in doubt is this one at the vendor: its id there",
                        },
                        "abandon": {
                            "type": "boolean", "const": true,
                            "description": "Give the job up; what it may have cost is lost",
                        },
                    }),
                    &["id"],
                );
                one_of(&mut schema, &["adopt", "abandon"]);
                schema
            }
            Self::EstimateCost => object(
                json!({
                    "tool": {
                        "type": "string",
                        "enum": Self::ALL.into_iter().filter(|tool| tool.buys().is_some())
                            .map(Self::as_str).collect::<Vec<_>>(),
                        "description": "The tool that would be called",
                    },
                    "path": path("The input that it would be given"),
                    "url": { "type": "string", "description": "The address that it would be given" },
                    "pages": { "type": "string", "description": "As for parse_document" },
                    "topic": { "type": "string", "description": "As for make_deck" },
                    "outline": { "type": "string", "description": "As for make_deck" },
                    "markdown": { "type": "string", "description": "As for make_deck" },
                    "source": { "type": "string", "enum": ["outline", "markdown"], "description": "As for make_deck" },
                    "deck": { "type": "string", "description": "As for export_deck_pdf" },
                    "max_calls": { "type": "integer", "minimum": 1, "maximum": 1000, "description": "As for export_deck_pdf" },
                }),
                &["tool"],
            ),
            Self::GetBudgets => object(json!({}), &[]),
        }
    }

    fn output_schema(self) -> Value {
        let nullable = |of: &str| json!({ "type": [of, "null"] });
        match self {
            Self::ListJobs => or_error(
                json!({
                    "jobs": { "type": "array", "items": { "type": "object" } },
                    "next": nullable("string"),
                }),
                &["jobs", "next"],
            ),
            Self::GetResult => or_error(
                json!({
                    "text": { "type": "string" },
                    "offset": { "type": "integer" },
                    "next_offset": nullable("integer"),
                    "total": { "type": "integer" },
                    "outline": {
                        "type": "array",
                        "items": object(
                            json!({
                                "title": { "type": "string" },
                                "level": { "type": "integer" },
                                "offset": { "type": "integer" },
                            }),
                            &["title", "level", "offset"],
                        ),
                    },
                }),
                &["text", "offset", "next_offset", "total", "outline"],
            ),
            Self::EstimateCost => or_error(
                json!({
                    "units": nullable("integer"),
                    "unit": { "type": "string" },
                    "is_known": { "type": "boolean" },
                    "job": nullable("string"),
                    "fits_budget": nullable("boolean"),
                    "budget": nullable("object"),
                    "next": { "type": "string" },
                }),
                &["units", "unit", "is_known", "job", "next"],
            ),
            Self::GetBudgets => or_error(
                json!({ "budgets": { "type": "array", "items": { "type": "object" } } }),
                &["budgets"],
            ),
            _ => or_error(
                json!({
                    "id": { "type": "string" },
                    "stage": { "type": "string" },
                    "vendor": { "type": "string" },
                    "kind": { "type": "string" },
                    "remote_id": nullable("string"),
                    "result": {
                        "type": ["object", "null"],
                        "properties": {
                            "path": nullable("string"),
                            "bytes": nullable("integer"),
                            "preview": nullable("string"),
                        },
                    },
                    "money": { "type": "object" },
                    "exit_code": { "type": "integer" },
                    "blocked_until": nullable("string"),
                    "candidates": { "type": "array", "items": { "type": "string" } },
                    "next": { "type": "string" },
                }),
                &[
                    "id",
                    "stage",
                    "vendor",
                    "remote_id",
                    "result",
                    "money",
                    "exit_code",
                    "blocked_until",
                    "next",
                ],
            ),
        }
    }

    /// As `tools/list` shows it.
    pub(crate) fn definition(self) -> Tool {
        let annotations = ToolAnnotations::with_title(self.title())
            .read_only(self.is_read_only())
            .destructive(self == Self::ResolveJob)
            .idempotent(true)
            .open_world(self.buys().is_some());
        Tool::new(
            self.as_str(),
            self.description(),
            into_object(self.input_schema()),
        )
        .with_title(self.title())
        .with_raw_output_schema(into_object(self.output_schema()))
        .with_annotations(annotations)
    }
}

/// The tools that are offered.
pub(crate) fn offered(read_only: bool) -> impl Iterator<Item = ToolName> {
    ToolName::ALL
        .into_iter()
        .filter(move |tool| !read_only || tool.is_read_only())
}

fn object(properties: Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// Clients check `structuredContent` against the schema even where it tells an error.
fn or_error(mut properties: Value, required: &[&str]) -> Value {
    if let Some(properties) = properties.as_object_mut() {
        properties.insert("error".to_owned(), json!({ "type": "string" }));
        properties
            .entry("exit_code")
            .or_insert_with(|| json!({ "type": "integer" }));
    }
    json!({
        "type": "object",
        "properties": properties,
        "anyOf": [{ "required": required }, { "required": ["error", "exit_code"] }],
    })
}

/// Says in words what a schema that every client understands cannot.
fn one_of(schema: &mut Value, names: &[&str]) {
    if let Some(schema) = schema.as_object_mut() {
        let text = format!("Exactly one of {} is given.", names.join(", "));
        schema.insert("description".to_owned(), text.into());
    }
}

fn into_object(value: Value) -> Arc<JsonObject> {
    match value {
        Value::Object(object) => Arc::new(object),
        _ => Arc::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_schemas_are_closed_objects() {
        for tool in ToolName::ALL {
            assert_eq!(ToolName::of(tool.as_str()), Some(tool));
            let definition = tool.definition();
            assert_eq!(definition.input_schema["type"], "object");
            assert_eq!(definition.input_schema["additionalProperties"], false);
            assert_eq!(definition.output_schema.unwrap()["type"], "object");
        }
        assert_eq!(ToolName::of("parse"), None);
    }

    #[test]
    fn every_tool_states_its_price_and_may_be_called_twice() {
        for tool in ToolName::ALL {
            let definition = tool.definition();
            let description = definition.description.unwrap();
            let priced = if tool.buys().is_some() {
                "Price:"
            } else {
                "Free"
            };
            let is_priced = description.contains(priced)
                || (tool == ToolName::MakeDeck && description.contains("credits"));
            assert!(is_priced, "{description}");
            let annotations = definition.annotations.unwrap();
            assert_eq!(annotations.idempotent_hint, Some(true));
            assert_eq!(annotations.read_only_hint, Some(tool.is_read_only()));
        }
    }

    #[test]
    fn a_read_only_server_offers_reading_alone() {
        let names: Vec<&str> = offered(true).map(ToolName::as_str).collect();
        assert_eq!(
            names,
            [
                "get_job",
                "get_result",
                "list_jobs",
                "estimate_cost",
                "get_budgets"
            ]
        );
        assert_eq!(offered(false).count(), 11);
    }
}
