//! Whose word the place of a result is, in a ledger that others write too.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::id::LedgerId;

/// A secret of one user on one machine, by which the places that this user gave there are told from all others.
///
/// A database is written by whoever may connect to it, so a path in it may be anybody's. A ledger that was opened with a
/// key seals each place that it writes, and knows its own again: [`is_own_output`](crate::Ledger::is_own_output).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PlaceKey([u8; 32]);

impl PlaceKey {
    /// The key of these bytes, which nobody else can read or guess.
    pub fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    /// What stands beside a place of this job.
    pub(crate) fn seal(&self, job: LedgerId, place: &str) -> Vec<u8> {
        self.mac(job, place).finalize().into_bytes().to_vec()
    }

    /// In constant time.
    pub(crate) fn is_seal(&self, seal: &[u8], job: LedgerId, place: &str) -> bool {
        self.mac(job, place).verify_slice(seal).is_ok()
    }

    fn mac(&self, job: LedgerId, place: &str) -> Hmac<Sha256> {
        // The key as a whole block of the hash, which is what a shorter one is made into.
        let mut block = [0; 64];
        for (to, from) in block.iter_mut().zip(self.0) {
            *to = from;
        }
        let mut mac = Hmac::<Sha256>::new(&block.into());
        // An id is of one length, so the two cannot run into each other.
        mac.update(job.to_string().as_bytes());
        mac.update(place.as_bytes());
        mac
    }
}

impl fmt::Debug for PlaceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PlaceKey(…)")
    }
}
