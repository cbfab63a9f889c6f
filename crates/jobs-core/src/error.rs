//! One error for everything that can go wrong with a request.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::id::JobId;

/// What went wrong with one request to a vendor.
///
/// One pointer in size and cheap to clone. `Display` is one line with the vendor, the operation, the job, the
/// vendor's own words, code and request id, and the next step; it never holds a secret or a body. The cause is
/// kept as [`source`](StdError::source).
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    sent: Delivery,
    refusal: Refusal,
    vendor: &'static str,
    operation: &'static str,
    job: Option<JobId>,
    http_status: Option<u16>,
    code: Option<Box<str>>,
    message: Option<Box<str>>,
    request_id: Option<Box<str>>,
    wait: Option<Duration>,
    is_passing: bool,
    excerpt: Option<Box<str>>,
    address: Option<Box<str>>,
    advice: Option<Box<str>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The kinds of errors that callers tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input is wrong: found here before anything was sent, or said by the vendor.
    InvalidInput,
    /// The credentials were refused.
    Unauthenticated,
    /// A balance, quota or budget is used up.
    QuotaExceeded,
    /// Too many requests; slower ones will pass.
    RateLimited,
    /// The vendor does not know the job or resource.
    NotFound,
    /// The vendor refused for good, for another reason.
    Refused,
    /// The vendor has retired the operation.
    OperationRetired,
    /// The vendor is in trouble; the same request may pass later.
    Unavailable,
    /// No connection to the vendor.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// An answer that is not what the vendor documents.
    UnexpectedResponse,
    /// An answer larger than the caller allows.
    TooLarge,
    /// Trouble on this machine, such as a file that cannot be written.
    LocalIo,
}

/// Whether the vendor may have acted on the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// Provably not: it never left, or no connection was made.
    NotSent,
    /// It may have been acted upon: the answer is missing, or does not say.
    MaybeSent,
    /// The vendor answered, and its answer can be believed.
    Answered,
}

/// What a vendor's refusal says about repeating a call that costs money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Refusal {
    /// Asking again with the same input will not help, or nobody says that it is safe.
    #[default]
    Final,
    /// The vendor's notes list it as made before any work: it may be repeated `times` times, each after `wait`.
    BeforeWork {
        /// The shortest time before the next try.
        delay: Duration,
        /// How often at most.
        times: u32,
    },
}

impl Error {
    /// An error of `kind` in `operation` at `vendor`, not sent unless [`sent`](Self::with_delivery) says otherwise.
    pub fn new(kind: ErrorKind, vendor: &'static str, operation: &'static str) -> Self {
        Self(Arc::new(Inner {
            kind,
            sent: Delivery::NotSent,
            refusal: Refusal::Final,
            vendor,
            operation,
            job: None,
            http_status: None,
            code: None,
            message: None,
            request_id: None,
            wait: None,
            is_passing: false,
            excerpt: None,
            address: None,
            advice: None,
            source: None,
        }))
    }

    /// Bad input, found before anything was sent. `problem` names the thing and the way out.
    pub fn invalid_input(
        vendor: &'static str,
        operation: &'static str,
        problem: impl Into<String>,
    ) -> Self {
        Self::new(ErrorKind::InvalidInput, vendor, operation).with_message(problem)
    }

    /// Trouble on this machine.
    pub fn local_io(
        vendor: &'static str,
        operation: &'static str,
        problem: impl Into<String>,
        cause: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::new(ErrorKind::LocalIo, vendor, operation)
            .with_message(problem)
            .with_source(cause)
    }

    fn edit(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        // Copied only if it is shared; other clones stay as they are.
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Says whether the vendor may have acted.
    #[must_use]
    pub fn with_delivery(self, sent: Delivery) -> Self {
        self.edit(|inner| inner.sent = sent)
    }

    /// Names what was tried, for trouble that was met on the way to it.
    #[must_use]
    pub fn with_operation(self, vendor: &'static str, operation: &'static str) -> Self {
        self.edit(|inner| (inner.vendor, inner.operation) = (vendor, operation))
    }

    /// Says that the trouble may pass by itself, though others of its kind do not.
    #[must_use]
    pub fn with_transient(self) -> Self {
        self.edit(|inner| inner.is_passing = true)
    }

    /// Says what the refusal means for a call that costs money.
    #[must_use]
    pub fn with_refusal(self, refusal: Refusal) -> Self {
        self.edit(|inner| inner.refusal = refusal)
    }

    /// Names the job.
    #[must_use]
    pub fn with_job(self, job: JobId) -> Self {
        self.edit(|inner| inner.job = Some(job))
    }

    /// Adds the HTTP status.
    #[must_use]
    pub fn with_http_status(self, status: u16) -> Self {
        self.edit(|inner| inner.http_status = Some(status))
    }

    /// Adds the vendor's error code as text.
    #[must_use]
    pub fn with_code(self, code: impl fmt::Display) -> Self {
        self.edit(|inner| inner.code = Some(one_line(&code.to_string())))
    }

    /// Adds the vendor's message, or ours for what was found here. Made one line of at most 300 characters.
    #[must_use]
    pub fn with_message(self, message: impl Into<String>) -> Self {
        let message = one_line(&message.into());
        self.edit(|inner| inner.message = Some(message).filter(|text| !text.is_empty()))
    }

    /// Adds the vendor's id of the request.
    #[must_use]
    pub fn with_request_id(self, id: Option<impl AsRef<str>>) -> Self {
        self.edit(|inner| inner.request_id = id.map(|id| one_line(id.as_ref())))
    }

    /// Adds the vendor's word on when to come back.
    #[must_use]
    pub fn with_retry_after(self, wait: Option<Duration>) -> Self {
        self.edit(|inner| inner.wait = wait)
    }

    /// Keeps the redacted beginning of a body that was not understood, up to 2 KiB. The line shows less of it.
    #[must_use]
    pub fn with_body_excerpt(self, excerpt: impl AsRef<str>) -> Self {
        let excerpt = kept(excerpt.as_ref());
        self.edit(|inner| inner.excerpt = Some(excerpt).filter(|text| !text.is_empty()))
    }

    /// Says at which address it was tried: host and port, nothing else.
    #[must_use]
    pub fn with_address(self, address: impl Into<Box<str>>) -> Self {
        self.edit(|inner| inner.address = Some(address.into()))
    }

    /// Says what to do next.
    #[must_use]
    pub fn with_help(self, advice: impl Into<Box<str>>) -> Self {
        self.edit(|inner| inner.advice = Some(advice.into()))
    }

    /// Keeps the cause.
    #[must_use]
    pub fn with_source(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.edit(|inner| inner.source = Some(source.into().into()))
    }

    /// What callers decide by.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the vendor may have acted on the request.
    pub fn delivery(&self) -> Delivery {
        self.0.sent
    }

    /// What the refusal says about repeating a call that costs money.
    pub fn refusal(&self) -> Refusal {
        self.0.refusal
    }

    /// The vendor, by the name of its crate.
    pub fn vendor(&self) -> &'static str {
        self.0.vendor
    }

    /// What was tried.
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// The job it was tried on.
    pub fn job(&self) -> Option<&JobId> {
        self.0.job.as_ref()
    }

    /// The HTTP status of the answer.
    pub fn http_status(&self) -> Option<u16> {
        self.0.http_status
    }

    /// The vendor's error code.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The vendor's message, or ours for what was found here.
    pub fn message(&self) -> Option<&str> {
        self.0.message.as_deref()
    }

    /// The vendor's id of the request, for its support.
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// The vendor's word on when to come back.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.wait
    }

    /// The host and port where it was tried.
    pub fn address(&self) -> Option<&str> {
        self.0.address.as_deref()
    }

    /// The redacted beginning of a body that was not understood, at most 2 KiB.
    pub fn body_excerpt(&self) -> Option<&str> {
        self.0.excerpt.as_deref()
    }

    /// What to do next.
    pub fn help(&self) -> Option<&str> {
        self.0.advice.as_deref()
    }

    /// Whether the same harmless request may pass if repeated.
    ///
    /// Usually a network fault, an overloaded vendor or a gateway's error page. Repeat it with growing pauses; the
    /// waiting code does so by itself. Says nothing about calls that cost money: those go by
    /// [`decide::non_idempotent`](crate::retry::decide::non_idempotent).
    pub fn is_transient(&self) -> bool {
        use ErrorKind::{RateLimited, Timeout, Unavailable, UnexpectedResponse, Unreachable};
        self.0.is_passing
            || matches!(
                self.0.kind,
                UnexpectedResponse | RateLimited | Timeout | Unavailable | Unreachable
            )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        write!(f, "{} {}", inner.vendor, inner.operation)?;
        if let Some(job) = &inner.job {
            write!(f, " of job {job}")?;
        }
        if let Some(address) = &inner.address {
            write!(f, " at {address}")?;
        }
        write!(f, ": {}", inner.kind)?;
        if let Some(message) = &inner.message {
            write!(f, ": {message}")?;
        }
        let mut open = " (";
        let policy = [
            ("code", inner.code.clone()),
            (
                "http status",
                inner.http_status.map(|status| status.to_string().into()),
            ),
            ("request id", inner.request_id.clone()),
        ];
        for (name, value) in policy {
            if let Some(value) = value {
                write!(f, "{open}{name} {value}")?;
                open = ", ";
            }
        }
        if open == ", " {
            f.write_str(")")?;
        }
        if let Some(excerpt) = &inner.excerpt {
            write!(f, "; the answer begins {:?}", shown(excerpt))?;
        }
        if let Some(advice) = &inner.advice {
            write!(f, "; {advice}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.debug_struct("Error")
            .field("kind", &inner.kind)
            .field("sent", &inner.sent)
            .field("refusal", &inner.refusal)
            .field("text", &format_args!("{self}"))
            .field("wait", &inner.wait)
            .field("source", &inner.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidInput => "bad input",
            Self::Unauthenticated => "credentials refused",
            Self::QuotaExceeded => "balance or quota used up",
            Self::RateLimited => "too many requests",
            Self::NotFound => "not found",
            Self::Refused => "refused",
            Self::OperationRetired => "operation retired",
            Self::Unavailable => "service unavailable",
            Self::Unreachable => "not reachable",
            Self::Timeout => "no answer in time",
            Self::UnexpectedResponse => "answer not understood",
            Self::TooLarge => "answer too large",
            Self::LocalIo => "local I/O error",
        })
    }
}

/// One line of at most 300 characters, without control characters: a message goes to terminals and log lines.
fn one_line(text: &str) -> Box<str> {
    const LONGEST: usize = 300;
    let mut line: String = text
        .split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .flat_map(|word| [" ", word])
        .skip(1)
        .collect();
    if let Some((cut, _)) = line.char_indices().nth(LONGEST) {
        line.truncate(cut);
        line.push('…');
    }
    line.into()
}

/// The first 2 KiB, cut between characters.
fn kept(text: &str) -> Box<str> {
    const LONGEST: usize = 2048;
    let end = (0..=LONGEST.min(text.len())).rev();
    let end = end.into_iter().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default())
        .unwrap_or_default()
        .into()
}

/// The words of an excerpt for a line: those of a page are not between `<` and `>`.
fn shown(excerpt: &str) -> Box<str> {
    const LONGEST: usize = 200;
    let is_page = excerpt.trim_start().starts_with('<');
    let mut is_tag = false;
    let words: String = excerpt
        .chars()
        .filter_map(|c| match c {
            '<' if is_page => {
                is_tag = true;
                Some(' ')
            }
            '>' if is_tag => {
                is_tag = false;
                None
            }
            _ if is_tag => None,
            c => Some(c),
        })
        .collect();
    let line = one_line(&words);
    let line = if line.is_empty() {
        one_line(excerpt)
    } else {
        line
    };
    match line.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", line.get(..cut).unwrap_or_default()).into(),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_where_and_what_came_instead_of_an_answer() {
        let error = Error::new(ErrorKind::Unavailable, "acme", "submit")
            .with_address("api.acme.example:443")
            .with_http_status(403)
            .with_body_excerpt(
                "<html><style>p{}</style>\n<p>blocked by <b>policy</b> 4711</p></html>",
            );
        assert_eq!(
            error.to_string(),
            "acme submit at api.acme.example:443: service unavailable (http status 403); \
             the answer begins \"p{} blocked by policy 4711\""
        );
    }

    #[test]
    fn of_an_answer_two_kibibytes_are_kept_and_a_line_shows_less() {
        let error = Error::new(ErrorKind::UnexpectedResponse, "v", "op")
            .with_body_excerpt("é".repeat(5000));
        assert_eq!(error.body_excerpt().unwrap().len(), 2048);
        assert!(error.to_string().chars().count() < 300);
    }

    #[test]
    fn an_error_is_one_pointer() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn the_line_names_everything_and_ends_with_the_next_step() {
        let error = Error::new(ErrorKind::Unauthenticated, "acme", "submit")
            .with_job(JobId::new("j1").unwrap())
            .with_message("invalid\napp id")
            .with_code(1042)
            .with_http_status(200)
            .with_request_id(Some("r-9"))
            .with_help("check ACME_KEY");
        assert_eq!(
            error.to_string(),
            "acme submit of job j1: credentials refused: invalid app id \
             (code 1042, http status 200, request id r-9); check ACME_KEY"
        );
    }

    #[test]
    fn a_hostile_message_stays_short_and_on_one_line() {
        let message = "\u{1b}[2J\r\n".repeat(5000);
        let error = Error::invalid_input("v", "op", message);
        let line = error.to_string();
        assert!(line.chars().count() < 330, "{}", line.len());
        assert!(!line.contains(|c: char| c.is_control()));
    }

    #[test]
    fn a_clone_can_be_added_to_and_the_first_stays_as_it_was() {
        let first = Error::invalid_input("v", "op", "bad");
        let second = first.clone().with_job(JobId::new("j1").unwrap());
        assert_eq!(
            (first.job(), second.job().map(JobId::as_str)),
            (None, Some("j1"))
        );
    }

    #[test]
    fn the_cause_is_kept_as_source() {
        let error = Error::local_io(
            "v",
            "op",
            "cannot write",
            std::io::Error::other("disk full"),
        );
        assert_eq!(error.source().unwrap().to_string(), "disk full");
        assert!(!error.to_string().contains("disk full"));
    }
}
