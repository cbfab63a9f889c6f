//! Bodies of the login commands.

use jobs_core::Secret;
use serde::{Serialize, Serializer};

use crate::envelope::{Answer, CommandBody};
use crate::lenient;
use crate::sign::{self, Nonce, Purpose, Signature};
use crate::{Command, ProtocolError};

/// Asks for the cloud's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct GetTimestamp;

impl CommandBody for GetTimestamp {
    const COMMAND: Command = Command::GetTimestamp;
    const HAS_BODY: bool = false;
}

/// The cloud's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServerTime {
    /// Unix seconds.
    pub timestamp: u64,
}

impl ServerTime {
    /// Reads the answer to [`GetTimestamp`].
    ///
    /// # Errors
    ///
    /// Refused, or no time in it.
    pub(crate) fn from_answer(answer: &Answer) -> Result<Self, ProtocolError> {
        let timestamp = lenient::unsigned(answer.accepted()?, "timestamp");
        let timestamp = timestamp.ok_or(ProtocolError::Shape { field: "timestamp" })?;
        Ok(Self { timestamp })
    }
}

/// Who we are and the proof of it, as `register` and `get_secret_no` send it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct SignedIdentity {
    sn: String,
    timestamp: u64,
    nonce: u64,
    #[serde(serialize_with = "write_signature")]
    device_signature: Signature,
}

impl SignedIdentity {
    fn new(purpose: Purpose<'_>, sn: &str, secret: &Secret, timestamp: u64, nonce: Nonce) -> Self {
        Self {
            sn: sn.to_owned(),
            timestamp,
            nonce: nonce.get(),
            device_signature: sign::sign(purpose, sn, secret, timestamp, nonce),
        }
    }
}

/// Exchanges the model's seed for the device's own SecretNo, once in its life.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub(crate) struct ExchangeSeed(SignedIdentity);

impl ExchangeSeed {
    /// Signs with the seed.
    pub(crate) fn new(sn: &str, seed: &Secret, timestamp: u64, nonce: Nonce) -> Self {
        Self(SignedIdentity::new(
            Purpose::SecretNo,
            sn,
            seed,
            timestamp,
            nonce,
        ))
    }
}

impl CommandBody for ExchangeSeed {
    const COMMAND: Command = Command::GetSecretNo;
}

/// Reads the answer to [`ExchangeSeed`]: the device's own SecretNo.
///
/// # Errors
///
/// Refused, or nothing in it.
pub(crate) fn own_secret_no(answer: &Answer) -> Result<Secret, ProtocolError> {
    secret_text(answer, "secret_no")
}

/// First step of the login.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Register {
    #[serde(flatten)]
    identity: SignedIdentity,
    #[serde(skip_serializing_if = "Option::is_none")]
    net_info: Option<NetInfo>,
}

/// Facts about the device's network, for the administrator's eyes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NetInfo {
    /// Name of the wireless network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wifi_name: Option<String>,
    /// Hardware address of the network card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac_address: Option<String>,
}

impl Register {
    /// Signs with the device's own SecretNo.
    pub(crate) fn new(
        sn: &str,
        secret_no: &Secret,
        timestamp: u64,
        nonce: Nonce,
        net_info: Option<NetInfo>,
    ) -> Self {
        Self {
            identity: SignedIdentity::new(Purpose::Register, sn, secret_no, timestamp, nonce),
            net_info,
        }
    }
}

impl CommandBody for Register {
    const COMMAND: Command = Command::Register;
}

/// What `register` gives.
#[derive(Debug, Clone)]
pub(crate) struct Registered {
    /// Long-lived code for [`Activate`].
    pub active_code: Secret,
}

impl Registered {
    /// Reads the answer to [`Register`].
    ///
    /// # Errors
    ///
    /// Refused, or no code in it.
    pub(crate) fn from_answer(answer: &Answer) -> Result<Self, ProtocolError> {
        let active_code = secret_text(answer, "active_code")?;
        Ok(Self { active_code })
    }
}

/// Second step of the login.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Activate {
    #[serde(serialize_with = "write_secret")]
    active_code: Secret,
}

impl Activate {
    /// With the code of `register`.
    pub(crate) fn new(active_code: Secret) -> Self {
        Self { active_code }
    }
}

impl CommandBody for Activate {
    const COMMAND: Command = Command::Active;
}

/// What `active` gives once a company has bound the device.
#[derive(Debug, Clone)]
pub(crate) struct Active {
    /// Valid until the company unbinds the device.
    pub secret: Secret,
}

impl Active {
    /// Reads the answer to [`Activate`].
    ///
    /// # Errors
    ///
    /// Refused, or the secret is missing or empty.
    pub(crate) fn from_answer(answer: &Answer) -> Result<Self, ProtocolError> {
        let secret = secret_text(answer, "secret")?;
        Ok(Self { secret })
    }
}

/// Last step of the login.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Subscribe {
    #[serde(serialize_with = "write_secret")]
    secret: Secret,
    firmware_version: String,
}

impl Subscribe {
    /// With the secret of `active`; the version is free text but must be there.
    pub(crate) fn new(secret: Secret, firmware_version: &str) -> Self {
        Self {
            secret,
            firmware_version: firmware_version.to_owned(),
        }
    }
}

impl CommandBody for Subscribe {
    const COMMAND: Command = Command::SubscribeCorp;
}

/// Heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Ping;

impl CommandBody for Ping {
    const COMMAND: Command = Command::Ping;
    const HAS_BODY: bool = false;
}

fn secret_text(answer: &Answer, field: &'static str) -> Result<Secret, ProtocolError> {
    lenient::text(answer.accepted()?, field)
        .and_then(|text| Secret::new(text).ok())
        .ok_or(ProtocolError::Shape { field })
}

/// Request bodies are the one place where a secret is written out.
fn write_secret<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

fn write_signature<S: Serializer>(signature: &Signature, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(signature.expose())
}
