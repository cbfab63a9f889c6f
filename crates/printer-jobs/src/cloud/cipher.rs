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
pub(super) struct FileKey(Zeroizing<[u8; 32]>);

/// Why bytes cannot be decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(super) enum CipherProblem {
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
    pub(super) fn parse(encoded: &Secret) -> Result<Self, CipherProblem> {
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
pub(super) struct Decryptor {
    cipher: cbc::Decryptor<Aes256>,
    /// Encrypted bytes that are no whole block yet.
    rest: Vec<u8>,
    /// Decrypted bytes that may be padding.
    held: Vec<u8>,
}

impl Decryptor {
    /// From the beginning: the first 16 bytes of the key are the initialisation vector.
    pub(super) fn new(key: &FileKey) -> Self {
        Self::resume(key, &key.first_block())
    }

    /// From a later multiple of 16 bytes on, where `previous` are the 16 encrypted bytes before it.
    pub(super) fn resume(key: &FileKey, previous: &[u8; BLOCK]) -> Self {
        Self {
            cipher: cbc::Decryptor::new(&Array(*key.0), &Array(*previous)),
            rest: Vec::new(),
            held: Vec::new(),
        }
    }

    /// Takes the next encrypted bytes, however many, and hands out what is certain to be content.
    pub(super) fn update(&mut self, encrypted: &[u8]) -> Vec<u8> {
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
    pub(super) fn finish(self) -> Result<Vec<u8>, CipherProblem> {
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
pub(super) fn decrypt(key: &FileKey, encrypted: &[u8]) -> Result<Vec<u8>, CipherProblem> {
    let mut decryptor = Decryptor::new(key);
    let mut plain = decryptor.update(encrypted);
    plain.append(&mut decryptor.finish()?);
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0x40 to 0x5f.
    const KEY: &str = "QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8";
    const PDF: &[u8] =
        b"%PDF-1.4\nsixty-four bytes and a few more, so that it has three blocks of its own.\n%%EOF\n";
    const ENCRYPTED_PDF: &str = "26f50f299f4340336b0c4a8d182e705094a439f77a4114a9477c58710dbbf62a\
        09e54848e5239282bfe4e4961184ef77c22df89441039272cf6f51e0539a651e\
        4bb18bd9e7086a7ec317944617a83b1666d24e799938bcf53453b3c4c616d1ff";

    fn secret(text: &str) -> Secret {
        Secret::new(text).unwrap()
    }

    fn key() -> FileKey {
        FileKey::parse(&secret(KEY)).unwrap()
    }

    #[test]
    fn pieces_of_any_size_decrypt_to_the_same_bytes() {
        let encrypted = hex::decode(ENCRYPTED_PDF).unwrap();
        for size in 1..=encrypted.len() {
            let mut decryptor = Decryptor::new(&key());
            let mut plain = Vec::new();
            for piece in encrypted.chunks(size) {
                plain.extend(decryptor.update(piece));
            }
            plain.extend(decryptor.finish().unwrap());
            assert_eq!(plain, PDF, "{size}");
        }
    }

    #[test]
    fn a_range_is_decrypted_with_the_block_before_it() {
        let encrypted = hex::decode(ENCRYPTED_PDF).unwrap();
        for start in (16..encrypted.len()).step_by(16) {
            let previous = encrypted[start - 16..start].try_into().unwrap();
            let mut decryptor = Decryptor::resume(&key(), &previous);
            let mut plain = decryptor.update(&encrypted[start..]);
            match decryptor.finish() {
                Ok(last) => plain.extend(last),
                // The last block alone holds padding only if the padding fits into it.
                Err(problem) => panic!("{problem} at {start}"),
            }
            assert_eq!(plain, PDF.get(start..).unwrap_or_default(), "{start}");
        }
    }

    #[test]
    fn padding_has_one_to_thirty_two_equal_bytes() {
        let vectors = [
            (
                "db3cfb0a1d9b68b5f2d65fafb6fec35c5d52e5402fdf1e1e9b32cae1f1e2074d\
                 19a6378cf809663ad6dbe957b38de4de9e2bad7571e8dcc1574cd7141c5fda4a",
                Ok([&b"%PDF"[..], &[b'x'; 28]].concat()),
            ),
            (
                "b0892d3c315554d55c76146adc83c2829d52c24ac36bc00aebe8baedeb0207e2",
                Ok(vec![b'y'; 31]),
            ),
            (
                "123daae9d0bd87ae77f119cf547afc49102e6eaf2d31cd5c12b48d8e4989de2b",
                Err(CipherProblem::Padding),
            ),
            (
                "123daae9d0bd87ae77f119cf547afc4921b267645c04ff6477a1eeb22567c421",
                Err(CipherProblem::Padding),
            ),
            (
                "123daae9d0bd87ae77f119cf547afc49b0028a594fe2739ff7ca27facce4766b",
                Err(CipherProblem::Padding),
            ),
            ("", Err(CipherProblem::Cut)),
            ("00", Err(CipherProblem::Cut)),
        ];
        for (encrypted, wanted) in vectors {
            let encrypted = hex::decode(encrypted).unwrap();
            assert_eq!(decrypt(&key(), &encrypted), wanted);
        }
    }

    #[test]
    fn keys_have_43_characters_whose_last_bits_do_not_matter() {
        // The last character carries two bits that no key byte takes.
        let odd = format!("{}9", &KEY[..42]);
        let encrypted = hex::decode(ENCRYPTED_PDF).unwrap();
        let odd = FileKey::parse(&secret(&odd)).unwrap();
        assert_eq!(decrypt(&odd, &encrypted).unwrap(), PDF);
        for wrong in [
            &KEY[..42],
            &format!("{KEY}=")[..],
            &KEY.replace('Q', "*")[..],
        ] {
            let problem = FileKey::parse(&secret(wrong)).unwrap_err();
            assert_eq!(problem, CipherProblem::Key, "{wrong}");
        }
        assert_eq!(format!("{odd:?}"), "FileKey(***)");
    }
}
