//! The signature of the first generation, recomputed from what arrived.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What a request with these parts must carry. Drops what is never signed: names that begin with `_`, and the file.
pub(crate) fn signature(
    secret: &str,
    timestamp: &str,
    method: &str,
    path: &str,
    parameters: &[(String, String)],
) -> String {
    let mut signed: Vec<&(String, String)> = parameters
        .iter()
        .filter(|(name, _)| !name.starts_with('_') && name != "file_source")
        .collect();
    signed.sort();
    let joined: Vec<String> = signed
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let text = format!("{method}\n{path}\n{}", joined.join("&"));
    // The timestamp is the key and the secret the message; the next key is the hex text, not its bytes.
    let derived = hmac(timestamp, secret);
    hmac(&derived, &text)
}

fn hmac(key: &str, message: &str) -> String {
    match Hmac::<Sha256>::new_from_slice(key.as_bytes()) {
        Ok(mut mac) => {
            mac.update(message.as_bytes());
            hex::encode(mac.finalize().into_bytes())
        }
        // HMAC takes keys of every length.
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "kKdBnfSJNnBjex9gczp6P9g2";

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    /// The numbers printed in the vendor's pages, and two of its older samples for the order and the last line feed.
    #[test]
    fn published_numbers_come_out() {
        let callback = [("code", "0"), ("token", "8v9iSKnj"), ("type", "completed")];
        let with_own = [&[("agent", "06875f8b")], callback.as_slice()].concat();
        let odd = [
            ("random", "false"),
            ("abc", "1"),
            ("Vdc", "2"),
            ("Jesus", "queries"),
        ];
        for (secret, time, method, path, list, expected) in [
            (
                SECRET,
                "1490089532",
                "POST",
                "/jobs",
                [("file_md5", "be92023d515907f5faaac32c3605d7ec")].as_slice(),
                "562ef9fee364f995dc9e0e5b1d57a855afd4e4bfed4fa414d4937dd1c7c5547f",
            ),
            (
                SECRET,
                "1490255398",
                "GET",
                "/notify",
                &with_own,
                "9b566f493c25afa7b57b6e2289f2382c32ab2393bdf0b0367ba77bb53dce36db",
            ),
            (
                SECRET,
                "1489820220",
                "GET",
                "/jobs/list",
                &[("status", "completed")],
                "ecebba8f5ca8965833c05797c1c4cff8f48c6346594bad5f2d86bcdef33a7495",
            ),
            (
                SECRET,
                "1490092579",
                "GET",
                "/notify",
                &callback,
                "1159af6662969062edb3d1dc303dda77af5fcf1de2a43bcf7c28b1c1e409b4e9",
            ),
            (
                "appid",
                "my_timestamp",
                "http_method",
                "my_path",
                &[],
                "0e8b444b883e7251f8b90e055a80c89dc688d7fb8a23d535494dcac9dd63d36f",
            ),
            (
                "appid",
                "2017022929",
                "get",
                "/path/by",
                &odd,
                "9b23e189d4a944db007ee3b3b19641eaeb8adf5d7657da471f18726fa3dc245a",
            ),
        ] {
            assert_eq!(
                signature(secret, time, method, path, &pairs(list)),
                expected,
                "{path}"
            );
        }
        assert_eq!(
            hmac("1490089532", SECRET),
            "ee17afa6d69f1221c07b1cd3edba30e3ae95331f663d04a606a3d53a5588bbb4"
        );
    }

    #[test]
    fn alias_and_rest_paths_differ_and_values_are_signed_raw() {
        let token = [("token", "8v9iSKnj")];
        let span = [
            ("state", "completed"),
            ("start_date", "2017-03-16T02:20:39+00:00"),
            ("end_date", "2017-03-17T02:20:39+00:00"),
        ];
        for (path, list, expected) in [
            (
                "/jobs/8v9iSKnj",
                token.as_slice(),
                "1817eca5f4f52427efa9d9db86880ac78f7cd4800e04e9fd5c2387a4199ef570",
            ),
            (
                "/job/status",
                &token,
                "18a5acebe4d389de0ac6f33831796b697ae08d2072769b296515820eaa905278",
            ),
            (
                "/jobs/8v9iSKnj/download",
                &token,
                "5e3422684b958d012dd6fd92b29866c88ddc38e4162cca3556416c8352cdf13c",
            ),
            (
                "/job/download",
                &token,
                "c818774e52f73a2310f77c57128c9695c687f1fb21e1be6bd1ebc35990a363da",
            ),
            (
                "/jobs",
                &[],
                "1b20d21319b9e8eef7dc54d72bac61161fe74cc340d5ad443ef0a7675460757f",
            ),
            (
                "/jobs",
                &span,
                "18ba8607e11b4d1a6aa0788a7f894a24cb03bde6f2b777b3a725d831bfa0b933",
            ),
        ] {
            assert_eq!(
                signature(SECRET, "1490089532", "GET", path, &pairs(list)),
                expected,
                "{path}"
            );
        }
    }

    #[test]
    fn file_and_underscore_names_are_never_signed() {
        let bare = signature(SECRET, "1", "POST", "/jobs", &pairs(&[("file_md5", "x")]));
        let more = [("_method", "GET"), ("file_source", "a"), ("file_md5", "x")];
        assert_eq!(signature(SECRET, "1", "POST", "/jobs", &pairs(&more)), bare);
    }
}
