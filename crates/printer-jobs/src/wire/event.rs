//! What the cloud says by itself.

use std::fmt;

use serde_json::{Map, Value};

use crate::envelope::Push;
use crate::lenient;

/// A push with a meaning. Pushes are hints: they may be lost, doubled or late, so look before acting.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Jobs were submitted or released. The list may no longer hold them.
    JobsAvailable {
        /// Their ids.
        ids: Vec<String>,
    },
    /// Members deleted jobs.
    JobsDeleted {
        /// Their ids.
        ids: Vec<String>,
    },
    /// Somebody scanned the printer's or the login QR code.
    UserScan(UserScan),
    /// A company bound the device.
    Bound,
    /// The company unbound the device: everything of it must be erased.
    Unbound,
    /// An administrator asks for a firmware update.
    UpdateFirmware,
    /// Somebody asks for the device's log.
    FetchLog {
        /// Free text about what is wanted.
        hint: String,
    },
    /// Somebody asks for a restart.
    Restart,
    /// Something new.
    Unknown {
        /// Its name, as the cloud writes it.
        cmd: String,
        /// Its body.
        body: UnknownBody,
    },
}

/// The body of a push that is not known here. `Debug` shows its size only: it may hold a secret.
#[derive(Clone, PartialEq)]
pub struct UnknownBody(Map<String, Value>);

impl UnknownBody {
    /// The fields.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.0
    }
}

impl fmt::Debug for UnknownBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnknownBody({} fields)", self.0.len())
    }
}

/// A scan of a QR code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UserScan {
    /// Who scanned.
    pub userid: Option<String>,
    /// What the QR code carried.
    pub state: Option<String>,
    /// Opaque.
    pub op_type: Option<String>,
    /// Opaque.
    pub oper_id: Option<String>,
    /// Whether an administrator scanned; `None` when not said.
    pub by_admin: Option<bool>,
}

impl Event {
    /// Reads a push; none is an error.
    pub(crate) fn from_push(push: Push) -> Self {
        let body = push.body;
        match push.cmd.as_str() {
            "push_printer_job" => Self::JobsAvailable {
                ids: lenient::texts(&body, "jobid_list"),
            },
            "push_del_printer_job" => Self::JobsDeleted {
                ids: lenient::texts(&body, "jobid_list"),
            },
            "push_user_scan" => Self::UserScan(UserScan {
                userid: lenient::text(&body, "userid"),
                state: lenient::text(&body, "state"),
                op_type: lenient::text(&body, "op_type"),
                oper_id: lenient::text(&body, "oper_id"),
                by_admin: match lenient::signed(&body, "user_type") {
                    Some(0) => Some(false),
                    Some(1) => Some(true),
                    _ => None,
                },
            }),
            "push_bind_corp" => Self::Bound,
            "push_unbind_corp" => Self::Unbound,
            "push_update_firmware" => Self::UpdateFirmware,
            "push_fetch_log" => Self::FetchLog {
                hint: lenient::text(&body, "hint").unwrap_or_default(),
            },
            "push_restart_device" => Self::Restart,
            _ => Self::Unknown {
                cmd: push.cmd,
                body: UnknownBody(body),
            },
        }
    }
}
