//! The cloud's error codes: what each means and what to do about it.

use std::fmt;

/// A code as the cloud sent it; unknown ones keep their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code(i64);

/// What kind of trouble a code stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub(crate) enum Class {
    /// Accepted.
    Success,
    /// Refused because it was done before; nothing is wrong.
    AlreadyDone,
    /// Passing trouble of the cloud.
    Transient,
    /// Asked too often or too much at once.
    RateLimited,
    /// The device's settings or credentials are wrong; a person must act.
    Configuration,
    /// Something must be changed in the provider's console.
    ProviderSide,
    /// No company has bound the device.
    Unbound,
    /// A login step is missing or has lapsed.
    Login,
    /// The device's clock is off.
    Clock,
    /// The request itself is wrong.
    Request,
    /// The print job is not there.
    JobGone,
    /// Not for printers, or not known here.
    Unknown,
}

/// What to do about a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub(crate) enum Handling {
    /// Go on.
    Proceed,
    /// The wanted state is reached already: success.
    TreatAsSuccess,
    /// Repeat with backoff, at most this often.
    Retry {
        /// How many repetitions are worth it.
        attempts: u32,
    },
    /// Repeat once.
    RetryOnce,
    /// Nothing will help until a person acts.
    GiveUp,
    /// Another connection may hold this device: go on to `active` with a stored active code,
    /// else stay away long enough for the old connection to time out.
    HeldElsewhere,
    /// Go on to `active`.
    Activate,
    /// Go on to `subscribe_corp`.
    Subscribe,
    /// Forget the active code and register again.
    RenewActiveCode,
    /// Start again at `register`.
    Register,
    /// Erase everything of the company and wait to be bound.
    EraseAndAwaitBinding,
    /// Erase the secret and activate again.
    EraseAndActivate,
    /// Log in from the start, then repeat once.
    LogInAgain,
    /// Set the clock by the cloud's, sign again, repeat once.
    SyncClock,
    /// Run the exchange of the seed, or have the provider reset it.
    FixSecretExchange,
    /// Forget the job.
    DropJob,
    /// Download again from the first byte, once.
    RestartDownload,
    /// Fetch a new access token.
    RefreshToken,
    /// Ask less often.
    SlowDown,
    /// Ask less at once.
    LowerConcurrency,
    /// Hand the error to whoever asked.
    Surface,
}

impl Code {
    /// Accepted.
    pub const OK: Self = Self(0);
    /// System busy or system error.
    pub const SYSTEM: Self = Self(-1);
    /// The print job id does not exist.
    pub const NO_SUCH_JOB: Self = Self(600_040);
    /// Offset or limit of a download is invalid.
    pub const BAD_RANGE: Self = Self(600_041);

    /// Wraps the number.
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Whether the request was accepted.
    pub const fn is_ok(self) -> bool {
        self.0 == 0
    }

    /// The kind of trouble.
    pub(crate) fn class(self) -> Class {
        self.row().map_or(Class::Unknown, |row| row.class)
    }

    /// What to do about it.
    pub(crate) fn handling(self) -> Handling {
        self.row().map_or(Handling::Surface, |row| row.handling)
    }

    /// Its meaning in English.
    pub fn meaning(self) -> &'static str {
        self.row().map_or("unknown code", |row| row.meaning)
    }

    fn row(self) -> Option<&'static Row> {
        TABLE.iter().find(|row| row.code == self.0)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

struct Row {
    code: i64,
    class: Class,
    handling: Handling,
    meaning: &'static str,
}

const fn row(code: i64, class: Class, handling: Handling, meaning: &'static str) -> Row {
    Row {
        code,
        class,
        handling,
        meaning,
    }
}

#[rustfmt::skip]
const TABLE: &[Row] = &[
    row(0, Class::Success, Handling::Proceed, "ok"),
    row(-1, Class::Transient, Handling::Retry { attempts: 3 }, "system busy or system error"),
    row(600_001, Class::Configuration, Handling::GiveUp, "serial number invalid or not recorded by the provider"),
    row(600_002, Class::Login, Handling::HeldElsewhere, "device is registered already, maybe on another connection"),
    row(600_003, Class::Login, Handling::RenewActiveCode, "active code invalid"),
    row(600_004, Class::Unbound, Handling::EraseAndAwaitBinding, "device not authorised by any company"),
    row(600_005, Class::Unbound, Handling::EraseAndActivate, "secret invalid"),
    row(600_007, Class::Request, Handling::GiveUp, "serial number missing"),
    row(600_008, Class::Request, Handling::GiveUp, "nonce missing"),
    row(600_009, Class::Request, Handling::GiveUp, "timestamp missing"),
    row(600_010, Class::Request, Handling::GiveUp, "signature missing"),
    row(600_011, Class::Configuration, Handling::SyncClock, "signature wrong"),
    row(600_012, Class::AlreadyDone, Handling::Activate, "this connection has registered a device already"),
    row(600_013, Class::Request, Handling::GiveUp, "active code missing"),
    row(600_014, Class::Login, Handling::Register, "not registered"),
    row(600_015, Class::Request, Handling::GiveUp, "secret missing"),
    row(600_016, Class::Login, Handling::Activate, "not activated"),
    row(600_018, Class::Request, Handling::Surface, "start or end time invalid"),
    row(600_020, Class::Login, Handling::LogInAgain, "not logged in"),
    row(600_021, Class::ProviderSide, Handling::GiveUp, "serial number exists already"),
    row(600_023, Class::Clock, Handling::SyncClock, "timestamp expired"),
    row(600_024, Class::Request, Handling::GiveUp, "firmware information invalid"),
    row(600_025, Class::Request, Handling::GiveUp, "firmware information invalid"),
    row(600_026, Class::Request, Handling::GiveUp, "firmware information invalid"),
    row(600_027, Class::Request, Handling::GiveUp, "firmware information invalid"),
    row(600_028, Class::Request, Handling::GiveUp, "firmware information invalid"),
    row(600_029, Class::Request, Handling::GiveUp, "firmware information invalid"),
    row(600_030, Class::Request, Handling::GiveUp, "firmware version missing"),
    row(600_031, Class::Request, Handling::GiveUp, "firmware information invalid"),
    row(600_032, Class::Request, Handling::Surface, "hardware QR code cannot be parsed"),
    row(600_033, Class::ProviderSide, Handling::GiveUp, "model id conflict"),
    row(600_036, Class::ProviderSide, Handling::GiveUp, "serial number conflict"),
    row(600_037, Class::ProviderSide, Handling::GiveUp, "model id missing"),
    row(600_038, Class::ProviderSide, Handling::GiveUp, "model id unknown"),
    row(600_039, Class::Configuration, Handling::GiveUp, "device type not supported: the model is not a printer"),
    row(600_040, Class::JobGone, Handling::DropJob, "print job id does not exist"),
    row(600_041, Class::Request, Handling::RestartDownload, "offset or limit invalid"),
    row(600_042, Class::ProviderSide, Handling::GiveUp, "model id invalid"),
    row(600_045, Class::AlreadyDone, Handling::TreatAsSuccess, "subscribed to company information already"),
    row(600_046, Class::Request, Handling::Surface, "operation id and user id do not match"),
    row(600_047, Class::Configuration, Handling::FixSecretExchange, "SecretNo status illegal: exchange of the seed skipped or repeated"),
    row(600_051, Class::Configuration, Handling::GiveUp, "device expired"),
    row(600_052, Class::Request, Handling::RetryOnce, "invalid file chunk"),
    row(600_053, Class::AlreadyDone, Handling::Subscribe, "connection activated already"),
    row(600_054, Class::AlreadyDone, Handling::TreatAsSuccess, "connection subscribed already"),
    // HTTPS flavour.
    row(40_014, Class::Login, Handling::RefreshToken, "access token invalid"),
    row(42_001, Class::Login, Handling::RefreshToken, "access token expired"),
    row(45_009, Class::RateLimited, Handling::SlowDown, "call frequency exceeded"),
    row(45_033, Class::RateLimited, Handling::LowerConcurrency, "too many concurrent calls"),
    row(301_042, Class::Configuration, Handling::GiveUp, "source address not on the allow list"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_code_is_listed_twice() {
        let codes: HashSet<i64> = TABLE.iter().map(|row| row.code).collect();
        assert_eq!(codes.len(), TABLE.len());
    }

    #[test]
    fn already_done_codes_are_no_failures() {
        for (number, handling) in [
            (600_045, Handling::TreatAsSuccess),
            (600_054, Handling::TreatAsSuccess),
            (600_053, Handling::Subscribe),
            (600_012, Handling::Activate),
        ] {
            assert_eq!(Code::new(number).class(), Class::AlreadyDone, "{number}");
            assert_eq!(Code::new(number).handling(), handling, "{number}");
        }
        assert_eq!(Code::new(600_002).handling(), Handling::HeldElsewhere);
    }

    #[test]
    fn each_documented_code_is_handled_as_the_vendor_notes_say() {
        for (number, handling) in [
            (0, Handling::Proceed),
            (-1, Handling::Retry { attempts: 3 }),
            (600_001, Handling::GiveUp),
            (600_003, Handling::RenewActiveCode),
            (600_004, Handling::EraseAndAwaitBinding),
            (600_005, Handling::EraseAndActivate),
            (600_007, Handling::GiveUp),
            (600_010, Handling::GiveUp),
            (600_011, Handling::SyncClock),
            (600_013, Handling::GiveUp),
            (600_014, Handling::Register),
            (600_015, Handling::GiveUp),
            (600_016, Handling::Activate),
            (600_018, Handling::Surface),
            (600_020, Handling::LogInAgain),
            (600_023, Handling::SyncClock),
            (600_030, Handling::GiveUp),
            (600_039, Handling::GiveUp),
            (600_040, Handling::DropJob),
            (600_041, Handling::RestartDownload),
            (600_047, Handling::FixSecretExchange),
            (600_051, Handling::GiveUp),
            (600_052, Handling::RetryOnce),
            (40_014, Handling::RefreshToken),
            (42_001, Handling::RefreshToken),
            (45_009, Handling::SlowDown),
            (45_033, Handling::LowerConcurrency),
        ] {
            assert_eq!(Code::new(number).handling(), handling, "{number}");
        }
    }

    #[test]
    fn unknown_code_keeps_its_number_and_is_surfaced() {
        let code = Code::new(700_123);
        assert_eq!(code.get(), 700_123);
        assert_eq!(code.class(), Class::Unknown);
        assert_eq!(code.handling(), Handling::Surface);
        assert_eq!(code.to_string(), "700123");
        assert_eq!(
            Code::new(600_043).class(),
            Class::Unknown,
            "another device class"
        );
    }
}
