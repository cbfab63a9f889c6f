//! The arguments of the tools: read strictly, so that a misspelt one is named instead of ignored.

use rmcp::model::JsonObject;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::text_page::MAX_PAGE;
use super::tools::{MAX_WAIT_SECONDS, ToolName, WAIT_SECONDS};

/// What every paid tool takes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Purchase {
    pub(crate) source: Option<Source>,
    /// What the handler takes beside the source.
    pub(crate) options: Map<String, Value>,
    pub(crate) max_calls: Option<u32>,
    /// A path that is an option, to be resolved like any other.
    pub(crate) password_file: Option<String>,
    /// None where the call leaves it open.
    pub(crate) wait_seconds: Option<u64>,
    pub(crate) again: Option<String>,
    pub(crate) out: Option<String>,
}

/// What is to be worked on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Source {
    Path(String),
    Url(String),
    Text(String),
    /// A job of the ledger, or the vendor's id of one.
    Job(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetJob {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) wait_seconds: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetResult {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) offset: u64,
    #[serde(default = "page_limit")]
    pub(crate) limit: u64,
}

fn page_limit() -> u64 {
    20_000
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListJobs {
    #[serde(default)]
    pub(crate) stage: OneOrMany,
    pub(crate) vendor: Option<String>,
    pub(crate) input: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) since: Option<String>,
    pub(crate) until: Option<String>,
    #[serde(default = "list_limit")]
    pub(crate) limit: usize,
    pub(crate) after: Option<String>,
}

fn list_limit() -> usize {
    20
}

#[derive(Debug, Default, Deserialize)]
#[serde(untagged, expecting = "a stage or an array of stages")]
pub(crate) enum OneOrMany {
    #[default]
    None,
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(crate) fn into_vec(self) -> Vec<String> {
        match self {
            Self::None => Vec::new(),
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResolveJob {
    pub(crate) id: String,
    pub(crate) adopt: Option<String>,
    pub(crate) abandon: Option<bool>,
}

/// A tool with the arguments that it would be given.
#[derive(Debug)]
pub(crate) struct EstimateCost {
    pub(crate) tool: ToolName,
    pub(crate) purchase: Purchase,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetBudgets {}

/// Texts that become documents, which may hold any character; the ledger keeps none with a NUL.
const DOCUMENTS: [&str; 3] = ["topic", "outline", "markdown"];

/// Reads the arguments of a tool.
pub(crate) fn read<T: DeserializeOwned>(
    tool: ToolName,
    arguments: Option<JsonObject>,
) -> Result<T, String> {
    let has_nul = |value: &Value| value.as_str().is_some_and(|text| text.contains('\0'));
    let mut names = arguments.iter().flatten();
    if let Some((name, _)) =
        names.find(|(name, value)| has_nul(value) && !DOCUMENTS.contains(&name.as_str()))
    {
        return Err(format!(
            "the argument {name} of {} has a NUL, which no such text has; nothing was done",
            tool.as_str()
        ));
    }
    let arguments = Value::Object(arguments.unwrap_or_default());
    serde_json::from_value(arguments).map_err(|problem| {
        let tool = tool.as_str();
        format!("the arguments of {tool} are not understood: {problem}; nothing was done")
    })
}

impl GetJob {
    pub(crate) fn checked(self) -> Result<Self, String> {
        wait_in_range(Some(self.wait_seconds))?;
        Ok(self)
    }
}

impl GetResult {
    pub(crate) fn checked(self) -> Result<Self, String> {
        if (1..=MAX_PAGE).contains(&self.limit) {
            Ok(self)
        } else {
            Err(format!(
                "limit is {}; it is from 1 to {MAX_PAGE}",
                self.limit
            ))
        }
    }
}

impl ListJobs {
    pub(crate) fn checked(self) -> Result<Self, String> {
        if (1..=200).contains(&self.limit) {
            Ok(self)
        } else {
            Err(format!("limit is {}; it is from 1 to 200", self.limit))
        }
    }
}

/// What is decided about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    Adopt(String),
    Abandon,
}

impl ResolveJob {
    pub(crate) fn decision(&self) -> Result<Decision, String> {
        match (&self.adopt, self.abandon) {
            (Some(remote), None | Some(false)) => Ok(Decision::Adopt(remote.clone())),
            (None, Some(true)) => Ok(Decision::Abandon),
            _ => Err(
                "resolve_job takes exactly one of adopt (the vendor's id of the job) and abandon: true"
                    .to_owned(),
            ),
        }
    }
}

/// What every paid tool may be given, before it is known which.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Given {
    path: Option<String>,
    url: Option<String>,
    topic: Option<String>,
    outline: Option<String>,
    markdown: Option<String>,
    source: Option<String>,
    deck: Option<String>,
    template: Option<String>,
    max_calls: Option<u32>,
    format: Option<String>,
    pages: Option<String>,
    password_file: Option<String>,
    options: Option<Map<String, Value>>,
    wait_seconds: Option<u64>,
    again: Option<String>,
    out: Option<String>,
}

impl Purchase {
    /// Reads the arguments of a tool that buys.
    pub(crate) fn read(tool: ToolName, arguments: Option<JsonObject>) -> Result<Self, String> {
        let taken = taken_by(tool);
        let unknown = arguments
            .iter()
            .flatten()
            .find(|(name, _)| !taken.contains(&name.as_str()));
        if let Some((name, _)) = unknown {
            return Err(format!(
                "{} does not take {name:?}; it takes: {}; nothing was sent",
                tool.as_str(),
                taken.join(", ")
            ));
        }
        let given: Given = read(tool, arguments)?;
        wait_in_range(given.wait_seconds)?;
        given.into_purchase(tool)
    }
}

impl Given {
    fn into_purchase(self, tool: ToolName) -> Result<Purchase, String> {
        let mut options = self.options.unwrap_or_default();
        if ["password", "password_file"]
            .iter()
            .any(|name| options.contains_key(*name))
        {
            return Err(
                "options takes no password: put it into a file below a root, and name that as the argument \
                 password_file; nothing was sent"
                    .to_owned(),
            );
        }
        let named = [
            ("format", self.format),
            ("pages", self.pages),
            ("template_id", self.template),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                options.insert(name.to_owned(), value.into());
            }
        }
        let sources = [
            self.path.map(|path| ("path", Source::Path(path))),
            self.url.map(|url| ("url", Source::Url(url))),
            self.topic.map(|text| ("topic", Source::Text(text))),
            self.outline.map(|text| ("outline", Source::Text(text))),
            self.markdown.map(|text| ("markdown", Source::Text(text))),
            self.deck.map(|deck| ("deck", Source::Job(deck))),
        ];
        let mut sources = sources.into_iter().flatten();
        let source = match (sources.next(), sources.next(), &self.again) {
            (Some(source), None, _) => Some(source),
            // What `again` names has its input on record.
            (None, None, Some(_)) => None,
            _ => {
                return Err(format!(
                    "{} takes exactly one of {}; nothing was sent",
                    tool.as_str(),
                    sources_of(tool).join(", ")
                ));
            }
        };
        if tool == ToolName::MakeDeck
            && let Some((name, _)) = &source
        {
            let word = match (*name, self.source.as_deref()) {
                ("path", None) => "markdown",
                ("path", Some(word @ ("outline" | "markdown"))) => word,
                ("path", Some(other)) => {
                    return Err(format!("source is {other:?}; it is outline or markdown"));
                }
                (name, _) => name,
            };
            options.insert("source".to_owned(), word.into());
        }
        let source = source.map(|(_, source)| source);
        if let Some(Source::Url(url)) = &source
            && !is_web_address(url)
        {
            return Err(format!(
                "{url:?} is not an http or https address; a file on this machine goes into path; nothing was sent"
            ));
        }
        if self.max_calls == Some(0) {
            return Err("max_calls is 0; it is at least 1".to_owned());
        }
        Ok(Purchase {
            source,
            options,
            max_calls: self.max_calls,
            password_file: self.password_file,
            wait_seconds: self.wait_seconds,
            again: self.again,
            out: self.out,
        })
    }
}

impl EstimateCost {
    pub(crate) fn read(mut arguments: JsonObject) -> Result<Self, String> {
        let name = match arguments.remove("tool") {
            Some(Value::String(name)) => name,
            _ => return Err("estimate_cost takes the name of a tool as tool".to_owned()),
        };
        let tool = ToolName::of(&name)
            .filter(|tool| tool.buys().is_some())
            .ok_or_else(|| format!("{name:?} is not a tool that costs anything"))?;
        let purchase = Purchase::read(tool, Some(arguments))?;
        Ok(Self { tool, purchase })
    }
}

/// How long a call waits, in seconds.
pub(crate) fn wait_of(given: Option<u64>) -> u64 {
    given.unwrap_or(WAIT_SECONDS)
}

fn wait_in_range(seconds: Option<u64>) -> Result<(), String> {
    match seconds {
        Some(seconds) if seconds > MAX_WAIT_SECONDS => Err(format!(
            "wait_seconds is {seconds}; it is from 0 to {MAX_WAIT_SECONDS}; nothing was sent"
        )),
        _ => Ok(()),
    }
}

fn is_web_address(url: &str) -> bool {
    url::Url::parse(url)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some())
}

fn sources_of(tool: ToolName) -> &'static [&'static str] {
    match tool {
        ToolName::ParseDocument => &["path", "url"],
        ToolName::MakeDeck => &["topic", "outline", "markdown", "path"],
        ToolName::ExportDeckPdf => &["deck"],
        _ => &["path"],
    }
}

fn taken_by(tool: ToolName) -> Vec<&'static str> {
    let further: &[&str] = match tool {
        ToolName::ParseDocument => &["format", "pages", "password_file", "options"],
        ToolName::MakeDeck => &["source", "template"],
        ToolName::ExportDeckPdf => &["max_calls"],
        _ => &[],
    };
    let common = ["wait_seconds", "again", "out"];
    [sources_of(tool), further, &common].concat()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn purchase(tool: ToolName, arguments: Value) -> Result<Purchase, String> {
        Purchase::read(tool, arguments.as_object().cloned())
    }

    #[test]
    fn the_schema_and_the_reader_know_the_same_arguments() {
        for tool in ToolName::ALL
            .into_iter()
            .filter(|tool| tool.buys().is_some())
        {
            let schema = tool.definition().input_schema;
            let mut shown: Vec<&str> = schema["properties"]
                .as_object()
                .unwrap()
                .keys()
                .map(String::as_str)
                .collect();
            let mut taken = taken_by(tool);
            shown.sort_unstable();
            taken.sort_unstable();
            assert_eq!(shown, taken, "{}", tool.as_str());
        }
    }

    #[test]
    fn a_nul_is_in_documents_only() {
        let given = |name: &str| json!({ name: "a\0b" }).as_object().cloned();
        for name in ["input", "error", "vendor", "after"] {
            let refused = read::<ListJobs>(ToolName::ListJobs, given(name)).unwrap_err();
            assert!(
                refused.contains(name) && refused.contains("NUL"),
                "{refused}"
            );
        }
        read::<Given>(ToolName::ListJobs, given("markdown")).unwrap();
    }

    #[test]
    fn arguments_are_read_strictly() {
        let parse = ToolName::ParseDocument;
        let read = purchase(
            parse,
            json!({ "path": "a.pdf", "pages": "1-2", "wait_seconds": 0 }),
        );
        let read = read.unwrap();
        assert_eq!(read.source, Some(Source::Path("a.pdf".to_owned())));
        assert_eq!(read.options["pages"], "1-2");
        assert_eq!(read.wait_seconds, Some(0));
        for (arguments, why) in [
            (json!({}), "exactly one of path, url"),
            (
                json!({ "path": "a", "url": "https://h/a" }),
                "exactly one of path, url",
            ),
            (json!({ "path": 7 }), "not understood"),
            (
                json!({ "path": "a", "page": "1" }),
                "does not take \"page\"",
            ),
            (json!({ "topic": "x" }), "does not take \"topic\""),
            (json!({ "path": "a", "wait_seconds": 51 }), "from 0 to 50"),
            (json!({ "path": "a", "wait_seconds": -1 }), "not understood"),
            (
                json!({ "path": "a", "wait_seconds": 1.5 }),
                "not understood",
            ),
            (json!({ "path": "a", "again": true }), "not understood"),
            (
                json!({ "path": "a", "options": { "password_file": "/etc/passwd" } }),
                "takes no password",
            ),
            (
                json!({ "path": "a", "options": { "password": "x" } }),
                "takes no password",
            ),
            (json!({ "url": "file:///etc/passwd" }), "not an http"),
            (json!({ "url": "ftp://h/a" }), "not an http"),
            (json!({ "url": "a.pdf" }), "not an http"),
        ] {
            let refused = purchase(parse, arguments.clone()).unwrap_err();
            assert!(refused.contains(why), "{arguments}: {refused}");
        }
    }

    #[test]
    fn a_deck_says_of_what_it_is_made() {
        for (arguments, word) in [
            (json!({ "topic": "x" }), "topic"),
            (json!({ "outline": "# x" }), "outline"),
            (json!({ "markdown": "# x" }), "markdown"),
            (json!({ "path": "x.md" }), "markdown"),
            (json!({ "path": "x.md", "source": "outline" }), "outline"),
        ] {
            let read = purchase(ToolName::MakeDeck, arguments).unwrap();
            assert_eq!(read.options["source"], word);
        }
        let templated = json!({ "topic": "x", "template": "42" });
        let read = purchase(ToolName::MakeDeck, templated).unwrap();
        assert_eq!(read.options["template_id"], "42");
        let odd = json!({ "path": "x.md", "source": "topic" });
        assert!(purchase(ToolName::MakeDeck, odd).is_err());
        let odd = json!({ "deck": "x", "max_calls": 0 });
        assert!(purchase(ToolName::ExportDeckPdf, odd).is_err());
    }

    #[test]
    fn a_decision_is_one_thing() {
        let read = |arguments: Value| {
            let arguments = arguments.as_object().cloned();
            read::<ResolveJob>(ToolName::ResolveJob, arguments)?.decision()
        };
        assert_eq!(
            read(json!({ "id": "x", "adopt": "r" })),
            Ok(Decision::Adopt("r".to_owned()))
        );
        assert_eq!(
            read(json!({ "id": "x", "abandon": true })),
            Ok(Decision::Abandon)
        );
        for odd in [
            json!({ "id": "x" }),
            json!({ "id": "x", "abandon": false }),
            json!({ "id": "x", "adopt": "r", "abandon": true }),
            json!({ "adopt": "r" }),
        ] {
            assert!(read(odd.clone()).is_err(), "{odd}");
        }
    }

    #[test]
    fn an_estimate_takes_what_its_tool_takes() {
        let read = |arguments: Value| EstimateCost::read(arguments.as_object().cloned().unwrap());
        let read_one = read(json!({ "tool": "parse_document", "path": "a.pdf" })).unwrap();
        assert_eq!(read_one.tool, ToolName::ParseDocument);
        assert!(read(json!({ "tool": "get_job", "id": "x" })).is_err());
        assert!(read(json!({ "path": "a.pdf" })).is_err());
    }
}
