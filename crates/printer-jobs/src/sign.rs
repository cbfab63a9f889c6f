//! Signatures: the values' texts in byte order, joined, SHA-1, lower-case hex.

use std::fmt;

use jobs_core::Secret;
use sha1::{Digest, Sha1};

#[cfg(test)]
use crate::ProtocolError;

/// What a signature is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum Purpose<'a> {
    /// `register`, with the device's SecretNo.
    Register,
    /// `get_secret_no`, with the model's seed.
    SecretNo,
    /// The QR code a company binds the device with.
    BindQr,
    /// The QR code an administrator logs in with.
    LoginQr {
        /// Handed back after the scan.
        state: &'a str,
    },
}

/// A random number that every JSON reader keeps exact (below 2^53).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nonce(u64);

impl Nonce {
    const LIMIT: u64 = 1 << 53;

    /// Takes the low 53 bits of a random number, which should come from a secure source.
    pub(crate) const fn from_random(random: u64) -> Self {
        Self(random % Self::LIMIT)
    }

    /// Takes the number as it is.
    #[cfg(test)]
    ///
    /// # Errors
    ///
    /// The number is 2^53 or more.
    pub(crate) const fn new(number: u64) -> Result<Self, ProtocolError> {
        if number < Self::LIMIT {
            Ok(Self(number))
        } else {
            Err(ProtocolError::Argument {
                field: "nonce",
                rule: "must be below 2^53",
            })
        }
    }

    /// The number.
    pub(crate) const fn get(self) -> u64 {
        self.0
    }
}

/// Forty characters of lower-case hex. `Debug` hides them.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Signature(String);

impl Signature {
    /// The text, for the one place that sends it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(***)")
    }
}

/// Signs; `timestamp` is in seconds of the cloud's clock, which tolerates five minutes.
pub(crate) fn sign(
    purpose: Purpose<'_>,
    sn: &str,
    secret: &Secret,
    timestamp: u64,
    nonce: Nonce,
) -> Signature {
    let timestamp = timestamp.to_string();
    let nonce = nonce.get().to_string();
    let mut values = vec![
        sn,
        secret.expose(),
        &timestamp,
        &nonce,
        constant_word(purpose),
    ];
    if let Purpose::LoginQr { state } = purpose {
        values.push(state);
    }
    // Whole values in byte order; sorting characters or keeping the order of the page gives 600011.
    values.sort_unstable();
    let mut digest = Sha1::new();
    for value in values {
        digest.update(value.as_bytes());
    }
    Signature(hex::encode(digest.finalize()))
}

pub(crate) const fn constant_word(purpose: Purpose<'_>) -> &'static str {
    match purpose {
        Purpose::Register => "register",
        Purpose::SecretNo => "secret_no",
        Purpose::BindQr => "qrcode",
        Purpose::LoginQr { .. } => "dynamic_login",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(purpose: Purpose<'_>) -> Signature {
        let secret = Secret::new("00112233445566778899aabbccddeeff").unwrap();
        let nonce = Nonce::new(987_654_321).unwrap();
        sign(purpose, "TEST-SN-0001", &secret, 1_700_000_000, nonce)
    }

    #[test]
    fn all_vectors_match() {
        for (purpose, expected) in [
            (
                Purpose::Register,
                "54565649e5712308cca224166aecd589deedb899",
            ),
            (
                Purpose::SecretNo,
                "b49c1ad2c4ae2fe79f690692cf3b25078570db2a",
            ),
            (Purpose::BindQr, "b4dcd16a1cb853c7f72ee23ff9558f1242a206e8"),
            (
                Purpose::LoginQr { state: "tray-2" },
                "45fa8f0333e117b88ec8b54f6d758c7f7d8fc419",
            ),
        ] {
            assert_eq!(signature(purpose).expose(), expected, "{purpose:?}");
        }
    }

    #[test]
    fn nonce_stays_exact_in_every_json_reader() {
        assert_eq!(Nonce::from_random(u64::MAX).get(), (1 << 53) - 1);
        assert!(Nonce::new(1 << 53).is_err());
    }
}
