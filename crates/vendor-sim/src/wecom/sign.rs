//! The device's signature, made again from what it sent.

use sha1::{Digest, Sha1};

/// SHA-1 over the values in byte order, without anything between them.
pub(crate) fn signature(values: &[&str]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    hex::encode(Sha1::digest(sorted.concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_the_product_notes_are_reproduced() {
        let base = [
            "TEST-SN-0001",
            "00112233445566778899aabbccddeeff",
            "1700000000",
            "987654321",
        ];
        for (words, expected) in [
            (vec!["register"], "54565649e5712308cca224166aecd589deedb899"),
            (
                vec!["secret_no"],
                "b49c1ad2c4ae2fe79f690692cf3b25078570db2a",
            ),
            (vec!["qrcode"], "b4dcd16a1cb853c7f72ee23ff9558f1242a206e8"),
            (
                vec!["dynamic_login", "tray-2"],
                "45fa8f0333e117b88ec8b54f6d758c7f7d8fc419",
            ),
        ] {
            let values = [&base[..], &words].concat();
            assert_eq!(signature(&values), expected);
        }
    }
}
