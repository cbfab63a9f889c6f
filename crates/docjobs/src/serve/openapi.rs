//! The description of the API, as it is committed; a test compares it with the routes.

use axum::http::header;
use axum::response::{IntoResponse, Response};

const DOCUMENT: &str = include_str!("../../assets/openapi.json");

/// `GET /v1/openapi.json`
pub(super) async fn serve() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// `GET /v1/jobs` and so on, as the source of the routes says it.
    fn routed() -> BTreeSet<String> {
        let mut calls = BTreeSet::new();
        let source = include_str!("routes.rs");
        for route in source.split(".route(").skip(1) {
            let path = route.split('"').nth(1).unwrap();
            let route = route.split("\n        .").next().unwrap();
            for method in ["get", "post", "put", "delete"] {
                if path.starts_with("/v1/") && route.contains(&format!("{method}(")) {
                    calls.insert(format!("{} {path}", method.to_uppercase()));
                }
            }
        }
        calls
    }

    #[test]
    fn the_document_has_every_route_and_no_other() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let mut described = BTreeSet::new();
        for (path, calls) in document["paths"].as_object().unwrap() {
            for method in calls.as_object().unwrap().keys() {
                described.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
        assert_eq!(described, routed());
        assert!(described.len() >= 15);
    }

    #[test]
    fn every_reference_of_the_document_leads_somewhere() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(fields) => {
                    found.extend(
                        fields
                            .get("$ref")
                            .and_then(Value::as_str)
                            .map(str::to_owned),
                    );
                    fields.values().for_each(|value| references(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let mut found = Vec::new();
        references(&document, &mut found);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        let stages = &document["components"]["schemas"]["Job"]["properties"]["stage"]["enum"];
        let ours: Vec<&str> = jobs_ledger::Stage::ALL
            .map(jobs_ledger::Stage::as_str)
            .to_vec();
        let listed: Vec<&str> = stages
            .as_array()
            .unwrap()
            .iter()
            .map(|stage| stage.as_str().unwrap())
            .collect();
        assert_eq!(
            ours.iter().collect::<BTreeSet<_>>(),
            listed.iter().collect::<BTreeSet<_>>()
        );
    }
}
