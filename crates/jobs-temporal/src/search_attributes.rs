//! Vendor, kind, stage and money as search attributes, so that the engine's own page and queries show them.

use serde_json::Value;
use temporalio_client::grpc::OperatorService as _;
use temporalio_client::{Client, NamespacedClient as _, tonic};
use temporalio_common::protos::temporal::api::enums::v1::IndexedValueType;
use temporalio_common::protos::temporal::api::operatorservice::v1::{
    AddSearchAttributesRequest, ListSearchAttributesRequest,
};
use temporalio_common::search_attributes::{SearchAttributeKey, SearchAttributeUpdate};

const VENDOR: SearchAttributeKey<String> = SearchAttributeKey::keyword("DocjobsVendor");
const KIND: SearchAttributeKey<String> = SearchAttributeKey::keyword("DocjobsKind");
const STAGE: SearchAttributeKey<String> = SearchAttributeKey::keyword("DocjobsStage");
const CREDITS: SearchAttributeKey<i64> = SearchAttributeKey::int("DocjobsCredits");

/// The attributes for a record with the keys of `jobs --json`.
pub(crate) fn updates(job: &Value) -> Vec<SearchAttributeUpdate> {
    let text = |key: &str| job.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut updates = Vec::new();
    updates.extend(text("vendor").map(|vendor| VENDOR.value_set(vendor)));
    updates.extend(text("kind").map(|kind| KIND.value_set(kind)));
    updates.extend(text("stage").map(|stage| STAGE.value_set(stage)));
    let credits = job.get("credits").and_then(Value::as_i64);
    updates.extend(credits.map(|credits| CREDITS.value_set(credits)));
    updates
}

/// Registers the attributes in the client's namespace; those that are there stay.
///
/// # Errors
/// The server's.
pub async fn register(client: &Client) -> Result<(), tonic::Status> {
    if are_registered(client).await? {
        return Ok(());
    }
    let keyword = IndexedValueType::Keyword as i32;
    let attributes = [
        ("DocjobsVendor", keyword),
        ("DocjobsKind", keyword),
        ("DocjobsStage", keyword),
        ("DocjobsCredits", IndexedValueType::Int as i32),
    ];
    let request = AddSearchAttributesRequest {
        search_attributes: attributes
            .into_iter()
            .map(|(name, kind)| (name.to_owned(), kind))
            .collect(),
        namespace: client.namespace(),
    };
    client
        .connection()
        .clone()
        .add_search_attributes(tonic::Request::new(request))
        .await
        .map(drop)
}

/// Whether the client's namespace has them all.
pub(crate) async fn are_registered(client: &Client) -> Result<bool, tonic::Status> {
    let request = ListSearchAttributesRequest {
        namespace: client.namespace(),
    };
    let known = client
        .connection()
        .clone()
        .list_search_attributes(tonic::Request::new(request))
        .await?
        .into_inner()
        .custom_attributes;
    let names = [
        "DocjobsVendor",
        "DocjobsKind",
        "DocjobsStage",
        "DocjobsCredits",
    ];
    Ok(names.iter().all(|name| known.contains_key(*name)))
}
