//! What callers are told when something goes wrong: kinds, advice, and whether the cloud may have acted.

use jobs_core::vendor::Delivery;
use jobs_core::{Error, ErrorKind, JobId};

use crate::code::{Class, Code};
use crate::integrity::FileProblem;
use crate::login::LoginFailure;
use crate::proxy::Untunnelled;
use crate::socket::ConnectionError;
use crate::{ProtocolError, Rejection};

pub(crate) const VENDOR: &str = "printer-jobs";

/// The code of an answer to a device that no company has bound.
pub(crate) const NOT_BOUND: Code = Code::new(600_004);

/// What was being done, for the error's text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OperationContext<'a> {
    pub(crate) operation: &'static str,
    pub(crate) job: Option<&'a str>,
}

impl OperationContext<'_> {
    pub(crate) fn error(self, kind: ErrorKind) -> Error {
        let error = Error::new(kind, VENDOR, self.operation);
        match self.job.and_then(|id| JobId::new(id).ok()) {
            Some(job) => error.with_job(job),
            None => error,
        }
    }

    /// The rate could not be drawn on, so nothing was sent.
    pub(crate) fn not_admitted(self, cause: Error) -> Error {
        let error = cause.with_operation(VENDOR, self.operation);
        match self.job.and_then(|id| JobId::new(id).ok()) {
            Some(job) => error.with_job(job),
            None => error,
        }
    }

    /// A message could not be built, sent or understood, or the cloud refused.
    pub(crate) fn protocol(self, error: ProtocolError) -> Error {
        let (kind, sent) = match &error {
            ProtocolError::Refused(refusal) => return self.refused(refusal.as_ref().clone()),
            ProtocolError::Argument { .. } => (ErrorKind::InvalidInput, Delivery::NotSent),
            ProtocolError::DuplicateRequest | ProtocolError::Busy { .. } => {
                (ErrorKind::LocalIo, Delivery::NotSent)
            }
            ProtocolError::TooLarge { .. } => (ErrorKind::TooLarge, Delivery::MaybeSent),
            // What is not understood does not say whether the cloud acted.
            _ => (ErrorKind::UnexpectedResponse, Delivery::MaybeSent),
        };
        self.error(kind)
            .with_delivery(sent)
            .with_message(error.to_string())
            .with_source(error)
    }

    pub(crate) fn refused(self, refusal: Rejection) -> Error {
        let code = refusal.code();
        let request = refusal.req_id().or(refusal.hint()).map(str::to_owned);
        self.code(code, refusal.message())
            .with_request_id(request)
            .with_source(refusal)
    }

    /// The connection went away before the answer came.
    pub(crate) fn lost(self, cause: &Error) -> Error {
        self.error(cause.kind())
            .with_delivery(Delivery::MaybeSent)
            .with_message("the connection was lost before the answer came")
            .with_source(cause.clone())
    }

    pub(crate) fn timed_out(self) -> Error {
        self.error(ErrorKind::Timeout)
            .with_delivery(Delivery::MaybeSent)
    }

    /// No company has bound the device.
    pub(crate) fn not_bound(self) -> Error {
        self.error(kind_of(NOT_BOUND))
            .with_delivery(Delivery::NotSent)
            .with_code(NOT_BOUND)
            .with_message("no company has bound the device")
            .with_help("bind it in WeCom with its QR code")
    }

    /// A bad file or a job that cannot have one.
    pub(crate) fn file(self, problem: FileProblem) -> Error {
        let kind = match problem {
            FileProblem::Empty | FileProblem::Pages(_) => ErrorKind::Refused,
            FileProblem::Oversize { .. } => ErrorKind::TooLarge,
            _ => ErrorKind::UnexpectedResponse,
        };
        self.error(kind)
            .with_delivery(Delivery::Answered)
            .with_message(problem.to_string())
            .with_help("report the job as failed if this happens again")
            .with_source(problem)
    }

    fn code(self, code: Code, message: &str) -> Error {
        let message = match message {
            "" => code.meaning(),
            message => message,
        };
        let error = self
            .error(kind_of(code))
            .with_delivery(Delivery::Answered)
            .with_code(code)
            .with_message(message);
        match help(code) {
            Some(advice) => error.with_help(advice),
            None => error,
        }
    }
}

/// A login step was refused.
pub(crate) fn login_failure(setback: LoginFailure) -> Error {
    let doing = OperationContext {
        operation: setback.command.name(),
        job: None,
    };
    doing
        .code(setback.code, &setback.message)
        .with_source(setback)
}

/// There is no connection, or it broke.
pub(crate) fn broken(broken: ConnectionError) -> Error {
    let advice = match &broken {
        ConnectionError::Connect { .. } => Some("check the network and WECOM_PRINTER_URL"),
        ConnectionError::ProxyUnreachable { .. } => Some("check the network and HTTPS_PROXY"),
        ConnectionError::Tls { cause, .. } if cause.to_string().contains("CaUsedAsEndEntity") => {
            Some(
                "the server shows a certificate that is made for a certificate authority; give it one that an authority has \
                 signed, and name that authority in SSL_CERT_FILE, not the server's own certificate",
            )
        }
        ConnectionError::Tls { .. } => Some(
            "name the root certificates to trust in SSL_CERT_FILE, as behind a proxy that looks into TLS, and check the \
             clock",
        ),
        ConnectionError::Proxy {
            cause: Untunnelled::Login,
            ..
        } => Some("write its login into HTTPS_PROXY: http://USER:PASSWORD@HOST:PORT"),
        ConnectionError::Proxy { .. } => {
            Some("ask for the host to be let through, or set NO_PROXY")
        }
        ConnectionError::Foreign { .. } => Some("check WECOM_PRINTER_URL and what stands between"),
        _ => None,
    };
    let kind = match &broken {
        ConnectionError::Oversize(_) => ErrorKind::TooLarge,
        _ => ErrorKind::Unreachable,
    };
    let error = Error::new(kind, VENDOR, "connect")
        .with_message(broken.to_string())
        .with_source(broken);
    match advice {
        Some(advice) => error.with_help(advice),
        None => error,
    }
}

pub(crate) fn kind_of(code: Code) -> ErrorKind {
    match code.class() {
        // A refused login step heals with the next connection.
        Class::Transient | Class::Login | Class::Clock => ErrorKind::Unavailable,
        Class::RateLimited => ErrorKind::RateLimited,
        Class::Configuration | Class::Unbound => ErrorKind::Unauthenticated,
        Class::Request => ErrorKind::InvalidInput,
        Class::JobGone => ErrorKind::NotFound,
        _ => ErrorKind::Refused,
    }
}

fn help(code: Code) -> Option<&'static str> {
    match code.class() {
        Class::Configuration => {
            Some("compare WECOM_PRINTER_SN and WECOM_PRINTER_SECRET_NO with the provider console")
        }
        Class::Unbound => Some("bind the device in WeCom with its QR code"),
        Class::ProviderSide => Some("mend the device's entry in the provider console"),
        Class::Clock => Some("set the clock of this machine"),
        Class::JobGone => Some("the job was deleted or is older than seven days"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_read_as_kinds() {
        for (code, kind) in [
            (-1, ErrorKind::Unavailable),
            (600_001, ErrorKind::Unauthenticated),
            (600_002, ErrorKind::Unavailable),
            (600_004, ErrorKind::Unauthenticated),
            (600_005, ErrorKind::Unauthenticated),
            (600_011, ErrorKind::Unauthenticated),
            (600_020, ErrorKind::Unavailable),
            (600_023, ErrorKind::Unavailable),
            (600_033, ErrorKind::Refused),
            (600_040, ErrorKind::NotFound),
            (600_041, ErrorKind::InvalidInput),
            (600_051, ErrorKind::Unauthenticated),
            (45_009, ErrorKind::RateLimited),
            (999_999, ErrorKind::Refused),
        ] {
            assert_eq!(kind_of(Code::new(code)), kind, "{code}");
        }
    }

    #[test]
    fn a_servers_own_certificate_is_told_from_one_of_an_authority() {
        let broken = |words: &str| {
            let cause = std::io::Error::other(words.to_owned());
            let to = "cloud.example:443".to_owned();
            broken(ConnectionError::Tls { to, cause }).to_string()
        };
        let own = broken("invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))");
        assert!(own.contains("not the server's own certificate"), "{own}");
        let unknown = broken("invalid peer certificate: UnknownIssuer");
        assert!(!unknown.contains("own certificate"), "{unknown}");
    }

    #[test]
    fn refusal_keeps_code_words_and_hint() {
        let doing = OperationContext {
            operation: "download",
            job: Some("job-1"),
        };
        let refusal = Rejection::new(Code::NO_SUCH_JOB, "no such job, hint: [17_1_ab]".to_owned());
        assert_eq!(
            doing.refused(refusal).to_string(),
            "printer-jobs download of job job-1: not found: no such job, hint: [17_1_ab] \
             (code 600040, request id 17_1_ab); the job was deleted or is older than seven days"
        );
    }

    #[test]
    fn not_bound_is_told_apart_from_wrong_credentials() {
        let doing = OperationContext {
            operation: "online",
            job: None,
        };
        assert_eq!(doing.not_bound().code(), Some("600004"));
        assert_eq!(
            doing.not_bound().to_string(),
            "printer-jobs online: credentials refused: no company has bound the device (code 600004); \
             bind it in WeCom with its QR code"
        );
    }
}
