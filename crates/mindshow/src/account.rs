//! The account: its balance, and what was charged.

use std::time::SystemTime;

use jobs_core::Error;

use crate::client::Client;
use crate::generated::types::{AccountInfo, ListRequest, NoArguments, ScoreEntry};
use crate::lost_submit::moment;
use crate::operation::{ACCOUNT_INFO, SCORE_LOG};
use crate::page::{Listing, Page, Pages};

impl Client {
    /// The account and its balance. Free and harmless to repeat.
    ///
    /// # Errors
    /// [`Unauthenticated`](jobs_core::ErrorKind::Unauthenticated) for a refused key, and network trouble.
    pub async fn account_info(&self) -> Result<AccountInfo, Error> {
        self.api.read(ACCOUNT_INFO, &NoArguments::default()).await
    }

    /// A page of the credit log, newest first. Free and harmless to repeat.
    ///
    /// Entries name no job: a charge is matched to a call by its time and title.
    ///
    /// # Errors
    /// As [`account_info`](Self::account_info).
    pub async fn list_score_log(&self, request: &ListRequest) -> Result<Page<ScoreEntry>, Error> {
        let listing: Listing<ScoreEntry> = self.api.read(SCORE_LOG, request).await?;
        Ok(listing.into())
    }

    /// The whole credit log, page by page.
    pub fn score_log_pages(&self, request: &ListRequest) -> Pages<ScoreEntry> {
        Pages::new(&self.api, SCORE_LOG, request)
    }

    /// The entries of the credit log since `since`, newest first: evidence for a call whose outcome is unknown.
    ///
    /// By the vendor's clock, in whole seconds: begin a minute before the call. An entry whose time cannot be read is kept.
    ///
    /// # Errors
    /// As [`account_info`](Self::account_info).
    pub async fn charges_since(&self, since: SystemTime) -> Result<Vec<ScoreEntry>, Error> {
        let mut pages = self.score_log_pages(&ListRequest::default());
        let mut charges = Vec::new();
        while let Some(page) = pages.next().await {
            for entry in page? {
                match entry.log_time.as_deref().and_then(moment) {
                    Some(at) if at < since => return Ok(charges),
                    _ => charges.push(entry),
                }
            }
        }
        Ok(charges)
    }
}
