//! The webhook, which only nudges.

use jobs_core::{Error, JobId};

use crate::code::VENDOR;
use crate::generated::types::WebhookBody;

/// The job that a webhook's body names: a reason to poll it now, and nothing more.
///
/// The vendor documents no signature, secret or repetition, so the claimed state and address are not handed out:
/// anybody may have sent them. Put an unguessable part into the webhook's path, and keep polling beside it.
///
/// # Errors
/// [`InvalidInput`](jobs_core::ErrorKind::InvalidInput) when the body is not the vendor's JSON or names no job.
///
/// ```
/// let body = br#"{"job_id":"c020a1f03c994091a94d6763cdbe0684","status":"completed"}"#;
/// assert_eq!(textin::webhook::parse(body).unwrap().as_str(), "c020a1f03c994091a94d6763cdbe0684");
/// ```
pub fn parse(body: &[u8]) -> Result<JobId, Error> {
    let error = |problem: &str| Error::invalid_input(VENDOR, "webhook", problem);
    let body: WebhookBody = serde_json::from_slice(body)
        .map_err(|cause| error("this is not the vendor's notice").with_source(cause))?;
    JobId::new(body.job_id)
        .map_err(|cause| error("the notice names no usable job id").with_source(cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_holds_nothing_but_the_id() {
        let forged =
            br#"{"job_id":"j1","status":"completed","result_url":"https://evil.example/x"}"#;
        assert_eq!(parse(forged).unwrap(), JobId::new("j1").unwrap());
        assert_eq!(
            parse(br#"{"job_id":"j1","status":"failed","message":"no"}"#)
                .unwrap()
                .as_str(),
            "j1"
        );
    }

    #[test]
    fn what_names_no_job_is_refused() {
        for body in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"job_id":7}"#,
            r#"{"job_id":"../x y"}"#,
        ] {
            assert!(parse(body.as_bytes()).is_err(), "{body}");
        }
    }
}
