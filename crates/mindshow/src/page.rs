//! Lists that come page by page.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use jobs_core::vendor::Delivery;
use jobs_core::{Error, ErrorKind};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::Api;
use crate::code::VENDOR;
use crate::operation::Operation;

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// What to ask for the next page with; `None` at the end.
    pub after: Option<Box<str>>,
}

/// A list's JSON below `data`.
#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
pub(crate) struct Listing<T> {
    list: Option<Vec<T>>,
    after: Option<String>,
}

impl<T> From<Listing<T>> for Page<T> {
    fn from(listing: Listing<T>) -> Self {
        Self {
            items: listing.list.unwrap_or_default(),
            after: listing
                .after
                .filter(|after| !after.is_empty())
                .map(Into::into),
        }
    }
}

/// All pages of a list, one after the other.
///
/// Ends at an empty page, too, and refuses a vendor that hands out the same cursor twice: it cannot go on for ever. Jobs or
/// charges that appear meanwhile may be seen twice.
pub struct Pages<T> {
    api: Api,
    operation: Operation,
    request: Value,
    seen: HashSet<Box<str>>,
    is_over: bool,
    entries: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Pages<T> {
    pub(crate) fn new(api: &Api, operation: Operation, request: &impl Serialize) -> Self {
        Self {
            api: api.clone(),
            operation,
            request: serde_json::to_value(request).unwrap_or_default(),
            seen: HashSet::new(),
            is_over: false,
            entries: PhantomData,
        }
    }

    /// The entries of the next page; `None` after the last. May be dropped and called again.
    ///
    /// # Errors
    /// As any free call; then the list is over. [`ErrorKind::UnexpectedResponse`] when a cursor comes back.
    pub async fn next(&mut self) -> Option<Result<Vec<T>, Error>> {
        if self.is_over {
            return None;
        }
        let listing: Result<Listing<T>, Error> = self.api.read(self.operation, &self.request).await;
        let page = match listing {
            Ok(listing) => Page::from(listing),
            Err(error) => {
                self.is_over = true;
                return Some(Err(error));
            }
        };
        match page.after {
            Some(after) if !page.items.is_empty() => {
                if !self.seen.insert(after.clone()) {
                    self.is_over = true;
                    return Some(Err(Error::new(
                        ErrorKind::UnexpectedResponse,
                        VENDOR,
                        self.operation.name,
                    )
                    .with_delivery(Delivery::Answered)
                    .with_message("the list leads back to a page that was read before")));
                }
                if let Value::Object(fields) = &mut self.request {
                    fields.insert("after".to_owned(), Value::from(&*after));
                }
            }
            _ => self.is_over = true,
        }
        Some(Ok(page.items))
    }
}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages")
            .field("operation", &self.operation.name)
            .field("pages", &self.seen.len())
            .field("is_over", &self.is_over)
            .finish_non_exhaustive()
    }
}
