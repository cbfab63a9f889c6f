//! Commands about the device itself: company, features, trouble, QR codes.

use serde::Serialize;
use serde_json::Value;

use crate::envelope::{Answer, CommandBody};
use crate::frame::PLAIN_VERSION;
use crate::{Command, ProtocolError, lenient};

/// Asks which company the device belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct CorpInfoRequest;

impl CommandBody for CorpInfoRequest {
    const COMMAND: Command = Command::GetCorpInfo;
    const HAS_BODY: bool = false;
}

/// The company the device belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CorpInfo {
    /// Its name.
    pub corp_name: String,
}

impl CorpInfo {
    /// Reads the answer to [`CorpInfoRequest`].
    ///
    /// # Errors
    ///
    /// Refused, or no name in it.
    pub(crate) fn from_answer(answer: &Answer) -> Result<Self, ProtocolError> {
        let corp_name = lenient::text(answer.accepted()?, "corp_name");
        let corp_name = corp_name.ok_or(ProtocolError::Shape { field: "corp_name" })?;
        Ok(Self { corp_name })
    }
}

/// Tells about trouble of the device, such as a network error. Not meant for single jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ErrorReport {
    errcode: u32,
    errmsg: String,
}

impl ErrorReport {
    /// A number of our choice and a text.
    pub(crate) fn new(code: u32, message: &str) -> Self {
        Self {
            errcode: code,
            errmsg: message.to_owned(),
        }
    }
}

impl CommandBody for ErrorReport {
    const COMMAND: Command = Command::ErrorReport;
}

/// Tells what the device is able to do; send it when online and after a firmware change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DeviceFeature {
    device_feature: String,
}

impl DeviceFeature {
    /// The content is free. On the wire it is a text that itself holds JSON.
    pub(crate) fn new(feature: &Value) -> Self {
        Self {
            device_feature: feature.to_string(),
        }
    }
}

impl CommandBody for DeviceFeature {
    const COMMAND: Command = Command::ReportDeviceFeature;
}

/// Asks for the image of the QR code that members scan to print here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct PrinterQr(Qr);

impl PrinterQr {
    /// The state is handed back in the scan event and in the jobs it releases.
    ///
    /// # Errors
    ///
    /// The state is empty.
    pub(crate) fn new(state: &str) -> Result<Self, ProtocolError> {
        Qr::new(state).map(Self)
    }
}

impl CommandBody for PrinterQr {
    const COMMAND: Command = Command::GenQrcode;
}

/// Asks for the image of the QR code that lets an administrator log in; it stays valid until the
/// device is bound to another company.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct LoginQr(Qr);

impl LoginQr {
    /// The state is handed back in the scan event.
    ///
    /// # Errors
    ///
    /// The state is empty.
    pub(crate) fn new(state: &str) -> Result<Self, ProtocolError> {
        Qr::new(state).map(Self)
    }
}

impl CommandBody for LoginQr {
    const COMMAND: Command = Command::GenLoginQrcode;
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Qr {
    state: String,
    format_version: u32,
}

impl Qr {
    fn new(state: &str) -> Result<Self, ProtocolError> {
        if state.is_empty() {
            return Err(ProtocolError::Argument {
                field: "state",
                rule: "must not be empty",
            });
        }
        Ok(Self {
            state: state.to_owned(),
            format_version: PLAIN_VERSION,
        })
    }
}
