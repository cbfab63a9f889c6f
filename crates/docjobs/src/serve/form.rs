//! What a form of the page sends: few fields, read within bounds.

use axum::extract::Request;
use http_body_util::{BodyExt as _, Limited};
use url::form_urlencoded;

use super::access::Caller;
use super::problem::Problem;

/// No form of ours is longer.
const MOST: usize = 64 * 1024;

/// The fields of a form.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) async fn read(request: Request) -> Result<Self, Problem> {
        let body = Limited::new(request.into_body(), MOST).collect().await;
        let body = body.map_err(|_| Problem::too_large("the form is longer than 64 KiB"))?;
        let fields = form_urlencoded::parse(&body.to_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        Ok(Self(fields))
    }

    /// The form of a change, and who makes it.
    pub(super) async fn of_change(request: Request) -> Result<(Self, Caller), Problem> {
        let caller = request.extensions().get::<Caller>().cloned();
        let caller = caller.ok_or_else(|| Problem::unexpected("nobody was let in"))?;
        let form = Self::read(request).await?;
        caller.check_csrf(form.get("csrf"))?;
        Ok((form, caller))
    }

    /// The first value of a field.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let field = self.0.iter().find(|(known, _)| known == name);
        field.map(|(_, value)| value.as_str())
    }
}
