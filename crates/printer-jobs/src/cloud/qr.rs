//! QR codes from the cloud: one a minute for each device, whichever kind it is.

use std::time::Duration;

use jobs_core::clock::Moment;
use jobs_core::{Error, ErrorKind, Secret};

use super::envelope::VENDOR;

/// The vendor makes one code a minute for each device, login and identity together.
const PAUSE: Duration = Duration::from_secs(60);

/// Whether a login code lapses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoginQrType {
    /// It stays valid.
    Static,
    /// It lapses after some minutes; the vendor's advice.
    Dynamic,
}

impl LoginQrType {
    pub(crate) fn number(self) -> u32 {
        match self {
            Self::Static => 0,
            Self::Dynamic => 1,
        }
    }
}

/// The content to draw as a QR code.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct QrCode {
    /// The text of the code.
    pub content: Secret,
    /// How much longer it is valid; `None` where the cloud sets no end.
    pub valid_for: Option<Duration>,
}

/// What a code was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    Login(LoginQrType, String),
    Identity(String),
}

/// The last code of the device.
#[derive(Debug, Default)]
pub(crate) struct QrCache(Option<Last>);

#[derive(Debug)]
struct Last {
    at: Moment,
    wanted: Wanted,
    /// `None` when the request brought none: the vendor may have counted it nevertheless.
    code: Option<(Secret, Option<Moment>)>,
}

impl QrCache {
    /// The code if it was drawn within the last minute; `None` when a new one may be asked for.
    ///
    /// # Errors
    /// [`ErrorKind::RateLimited`] with the time to wait when another code took this minute's turn. Nothing was sent.
    pub(crate) fn poll(
        &self,
        operation: &'static str,
        wanted: &Wanted,
        now: Moment,
    ) -> Result<Option<QrCode>, Error> {
        let Some(last) = &self.0 else {
            return Ok(None);
        };
        let left = PAUSE.saturating_sub(now.since(last.at));
        if left.is_zero() {
            return Ok(None);
        }
        match &last.code {
            Some((content, until)) if last.wanted == *wanted && until.is_none_or(|it| now < it) => {
                Ok(Some(QrCode {
                    content: content.clone(),
                    valid_for: until.map(|until| until.since(now)),
                }))
            }
            _ => Err(Error::new(ErrorKind::RateLimited, VENDOR, operation)
                .with_message("the device had its QR code of this minute")
                .with_retry_after(Some(left))
                .with_help("ask again when the minute is over")),
        }
    }

    pub(crate) fn remember(&mut self, wanted: Wanted, at: Moment, code: Option<&QrCode>) {
        self.0 = Some(Last {
            at,
            wanted,
            code: code.map(|code| {
                let until = code.valid_for.map(|life| at + life);
                (code.content.clone(), until)
            }),
        });
    }
}
