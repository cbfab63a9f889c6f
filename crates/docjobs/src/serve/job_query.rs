//! Which jobs a request asks for: the same names in the API, on the page, in exports and in bulk actions.

use std::time::SystemTime;

use jobs_ledger::{JobFilter, LedgerId, Stage};
use url::form_urlencoded;

use crate::moment;

/// The names that a query may use.
const NAMES: [&str; 8] = [
    "stage", "vendor", "input", "error", "since", "until", "limit", "after",
];
/// The most that one answer holds.
const MOST: usize = 1000;
const USUAL: usize = 100;

/// A query that makes sense.
#[derive(Debug, Clone, Default)]
pub(super) struct JobQuery {
    pub(super) stages: Vec<Stage>,
    pub(super) vendor: Option<String>,
    pub(super) input: Option<String>,
    pub(super) error: Option<String>,
    pub(super) since: Option<SystemTime>,
    pub(super) until: Option<SystemTime>,
    pub(super) limit: usize,
    pub(super) after: Option<LedgerId>,
    /// As it was asked for, without what only leads through the pages.
    texts: Vec<(&'static str, String)>,
}

impl JobQuery {
    /// Reads a query; an error is a sentence. Names in `others` are the caller's own.
    pub(super) fn parse(query: &str, others: &[&str]) -> Result<Self, String> {
        let mut read = Self {
            limit: USUAL,
            ..Self::default()
        };
        let mut seen: Vec<&'static str> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let Some(name) = NAMES.into_iter().find(|known| *known == name) else {
                if others.contains(&&*name) {
                    continue;
                }
                return Err(format!(
                    "the parameter {name:?} is not known; there are {}",
                    NAMES.join(", ")
                ));
            };
            // A form of the page sends what was left empty.
            if value.is_empty() {
                continue;
            }
            if name != "stage" && seen.contains(&name) {
                return Err(format!("the parameter {name} stands twice"));
            }
            seen.push(name);
            if value.contains('\0') {
                return Err(format!("{name}: a NUL is in no text of a job"));
            }
            read.take(name, &value)?;
            if !matches!(name, "limit" | "after") {
                read.texts.push((name, value.into_owned()));
            }
        }
        Ok(read)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "stage" => {
                for word in value.split(',').map(str::trim) {
                    let stage = Stage::parse(word).ok_or_else(|| {
                        let known = Stage::ALL.map(Stage::as_str).join(", ");
                        format!("stage: {word:?} is none; the stages are {known}")
                    })?;
                    self.stages.push(stage);
                }
            }
            "vendor" => self.vendor = Some(value.to_owned()),
            "input" => self.input = Some(value.to_owned()),
            "error" => self.error = Some(value.to_owned()),
            "since" => self.since = Some(point(name, value)?),
            "until" => self.until = Some(point(name, value)?),
            "limit" => {
                let limit = value
                    .parse()
                    .ok()
                    .filter(|limit| (1..=MOST).contains(limit));
                self.limit =
                    limit.ok_or_else(|| format!("limit is a whole number from 1 to {MOST}"))?;
            }
            _ => {
                let id = value.parse();
                self.after =
                    Some(id.map_err(|_| format!("after: {value:?} is no cursor of this list"))?);
            }
        }
        Ok(())
    }

    /// As the ledger takes it.
    pub(super) fn filter(&self) -> JobFilter {
        let mut filter = JobFilter::all()
            .with_stages(self.stages.iter().copied())
            .with_limit(self.limit);
        filter.vendor.clone_from(&self.vendor);
        filter.input.clone_from(&self.input);
        filter.error.clone_from(&self.error);
        filter.since = self.since;
        filter.until = self.until;
        filter.after = self.after;
        filter
    }

    /// The same without the jobs that are settled.
    pub(super) fn unsettled(&self) -> JobFilter {
        let mut filter = self.filter();
        let named = |stage: &Stage| self.stages.is_empty() || self.stages.contains(stage);
        let stages = Stage::ALL.into_iter().filter(|stage| !stage.is_settled());
        filter.stages = stages.filter(named).collect();
        filter
    }

    /// Whether it asks for less than everything.
    pub(super) fn is_narrow(&self) -> bool {
        !self.texts.is_empty()
    }

    /// What was asked for under this name.
    pub(super) fn text(&self, name: &str) -> &str {
        let found = self.texts.iter().find(|(known, _)| *known == name);
        found.map_or("", |(_, value)| value)
    }

    /// The same query as part of an address, from `?` on; with this parameter set to another value, or taken out.
    pub(super) fn with(&self, changed: &str, value: Option<&str>) -> String {
        let kept = self.texts.iter().filter(|(name, _)| *name != changed);
        let kept = kept.map(|(name, value)| (*name, value.as_str()));
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(kept);
        query.extend_pairs(value.map(|value| (changed, value)));
        match query.finish() {
            query if query.is_empty() => query,
            query => format!("?{query}"),
        }
    }
}

fn point(name: &str, text: &str) -> Result<SystemTime, String> {
    moment::point(text).map_err(|problem| format!("{name}: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_that_makes_no_sense_is_refused() {
        for query in [
            "colour=red",
            "stage=nothing",
            "limit=0",
            "limit=1001",
            "limit=-1",
            "limit=ten",
            "since=yesterday",
            "until=2026-13-01",
            "after=..",
            "vendor=a&vendor=b",
            "vendor=%00",
            "input=a%00b",
        ] {
            assert!(JobQuery::parse(query, &[]).is_err(), "{query}");
        }
        assert!(JobQuery::parse("lang=zh", &["lang"]).is_ok());
    }

    #[test]
    fn a_query_leads_on_as_it_was_asked() {
        let query = JobQuery::parse("stage=failed,gone&input=a+b%26&limit=5&vendor=", &[]).unwrap();
        assert_eq!(query.stages, [Stage::Failed, Stage::Gone]);
        assert_eq!((query.limit, query.vendor.as_deref()), (5, None));
        assert_eq!(query.text("input"), "a b&");
        assert_eq!(
            query.with("after", Some("7")),
            "?stage=failed%2Cgone&input=a+b%26&after=7"
        );
        assert_eq!(query.with("stage", None), "?input=a+b%26");
        assert_eq!(JobQuery::default().with("stage", None), "");
    }
}
