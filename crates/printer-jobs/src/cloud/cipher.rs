//! How the vendor encrypts files and callbacks: AES-256 in CBC mode, padded to 32 bytes.

use std::fmt;

use aes::Aes256;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use cbc::cipher::{Array, BlockModeDecrypt, KeyIvInit};
use jobs_core::Secret;
use zeroize::Zeroizing;

/// Bytes of one block of the cipher. A piece of a file can be decrypted from any multiple of it on.
const BLOCK: usize = 16;
/// The largest padding: the vendor fills up to a multiple of 32 bytes, twice the block of the cipher.
const MOST_PADDING: usize = 32;

/// A key for AES-256. `Debug` hides it.
#[derive(Clone)]
pub struct FileKey(Zeroizing<[u8; 32]>);

/// Why bytes cannot be decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CipherProblem {
    /// The key is not 43 characters of Base64.
    #[error("the key is not 43 characters of base64")]
    Key,
    /// The bytes end within a block, or there are none.
    #[error("the encrypted bytes are not whole blocks")]
    Cut,
    /// The bytes at the end are no padding: the key is wrong, or the bytes were damaged.
    #[error("the padding at the end is wrong")]
    Padding,
}

impl FileKey {
    /// Reads the vendor's 43 characters, which are Base64 without its last `=`.
    ///
    /// # Errors
    /// [`CipherProblem::Key`].
    pub fn parse(encoded: &Secret) -> Result<Self, CipherProblem> {
        // 43 characters hold two bits more than the key, which nobody promises to be zero.
        const KEYS: GeneralPurpose = GeneralPurpose::new(
            &STANDARD,
            GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
        );
        let encoded = encoded.expose();
        if encoded.len() != 43 {
            return Err(CipherProblem::Key);
        }
        let padded = Zeroizing::new(format!("{encoded}="));
        let bytes = KEYS
            .decode(padded.as_bytes())
            .map_err(|_| CipherProblem::Key)?;
        let bytes = Zeroizing::new(bytes);
        let key = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| CipherProblem::Key)?;
        Ok(Self(Zeroizing::new(key)))
    }

    fn first_block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        for (to, from) in block.iter_mut().zip(self.0.iter()) {
            *to = *from;
        }
        block
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey(***)")
    }
}

/// Decrypts a piece at a time, in constant memory.
///
/// The last 32 bytes are held back until [`finish`](Self::finish), which takes the padding off.
pub struct Decryptor {
    cipher: cbc::Decryptor<Aes256>,
    /// Encrypted bytes that are no whole block yet.
    rest: Vec<u8>,
    /// Decrypted bytes that may be padding.
    held: Vec<u8>,
}

impl Decryptor {
    /// From the beginning: the first 16 bytes of the key are the initialisation vector.
    pub fn new(key: &FileKey) -> Self {
        Self::resume(key, &key.first_block())
    }

    /// From a later multiple of 16 bytes on, where `previous` are the 16 encrypted bytes before it.
    pub fn resume(key: &FileKey, previous: &[u8; BLOCK]) -> Self {
        Self {
            cipher: cbc::Decryptor::new(&Array(*key.0), &Array(*previous)),
            rest: Vec::new(),
            held: Vec::new(),
        }
    }

    /// Takes the next encrypted bytes, however many, and hands out what is certain to be content.
    pub fn update(&mut self, encrypted: &[u8]) -> Vec<u8> {
        self.rest.extend_from_slice(encrypted);
        let mut whole = std::mem::take(&mut self.rest);
        self.rest = whole.split_off(whole.len() - whole.len() % BLOCK);
        let (blocks, _) = Array::slice_as_chunks_mut(&mut whole);
        self.cipher.decrypt_blocks(blocks);
        let mut plain = std::mem::take(&mut self.held);
        plain.append(&mut whole);
        self.held = plain.split_off(plain.len().saturating_sub(MOST_PADDING));
        plain
    }

    /// Hands out the last bytes, without the padding.
    ///
    /// # Errors
    /// [`CipherProblem::Cut`] or [`CipherProblem::Padding`]; nothing that was handed out before can be trusted then.
    pub fn finish(self) -> Result<Vec<u8>, CipherProblem> {
        let mut last = self.held;
        if !self.rest.is_empty() || last.is_empty() {
            return Err(CipherProblem::Cut);
        }
        let padding = last.last().copied().map_or(0, usize::from);
        let content = last.len().checked_sub(padding);
        let content = content.filter(|_| (1..=MOST_PADDING).contains(&padding));
        let content = content.ok_or(CipherProblem::Padding)?;
        let filler = last.get(content..).unwrap_or_default();
        if filler.iter().any(|byte| usize::from(*byte) != padding) {
            return Err(CipherProblem::Padding);
        }
        last.truncate(content);
        Ok(last)
    }
}

impl fmt::Debug for Decryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decryptor(***)")
    }
}

/// Decrypts bytes that are all there.
///
/// # Errors
/// [`CipherProblem::Cut`] or [`CipherProblem::Padding`].
pub fn decrypt(key: &FileKey, encrypted: &[u8]) -> Result<Vec<u8>, CipherProblem> {
    let mut decryptor = Decryptor::new(key);
    let mut plain = decryptor.update(encrypted);
    plain.append(&mut decryptor.finish()?);
    Ok(plain)
}
