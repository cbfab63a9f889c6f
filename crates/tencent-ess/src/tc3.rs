//! The signature TC3-HMAC-SHA256, as pure functions of text.

use chrono::DateTime;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

const ALGORITHM: &str = "TC3-HMAC-SHA256";

/// What is signed of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a str,
    /// Names in lower case and in alphabetical order; `content-type` and `host` must be among them.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// [`hash`] of the body's exact bytes.
    pub(crate) body_hash: &'a str,
}

/// For which service and day a signature is good.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) service: &'a str,
    /// Unix seconds.
    pub(crate) timestamp: i64,
}

/// The `Authorization` header.
pub(crate) fn authorization(
    secret_id: &str,
    secret_key: &str,
    signed: &Signed<'_>,
    scope: &Scope<'_>,
) -> String {
    let signature = hex::encode(hmac(
        &signing_key(secret_key, scope),
        &text_to_sign(&signed.canonical(), scope),
    ));
    format!(
        "{ALGORITHM} Credential={secret_id}/{}, SignedHeaders={}, Signature={signature}",
        scope.text(),
        signed.names()
    )
}

/// SHA-256 in lower-case hexadecimal.
pub(crate) fn hash(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(bytes))
}

impl Signed<'_> {
    fn canonical(&self) -> String {
        let headers: String = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}:{}\n", value.trim().to_lowercase()))
            .collect();
        [
            self.method,
            self.path,
            self.query,
            &headers,
            &self.names(),
            self.body_hash,
        ]
        .join("\n")
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| *name).collect();
        names.join(";")
    }
}

impl Scope<'_> {
    /// The day in UTC: by local time the signature would be wrong for the first eight hours of every day in Beijing.
    fn date(&self) -> String {
        DateTime::from_timestamp(self.timestamp, 0)
            .unwrap_or_default()
            .format("%Y-%m-%d")
            .to_string()
    }

    fn text(&self) -> String {
        format!("{}/{}/tc3_request", self.date(), self.service)
    }
}

fn text_to_sign(canonical: &str, scope: &Scope<'_>) -> String {
    format!(
        "{ALGORITHM}\n{}\n{}\n{}",
        scope.timestamp,
        scope.text(),
        hash(canonical)
    )
}

fn date_key(secret_key: &str, scope: &Scope<'_>) -> [u8; 32] {
    hmac(format!("TC3{secret_key}").as_bytes(), &scope.date())
}

fn service_key(secret_key: &str, scope: &Scope<'_>) -> [u8; 32] {
    hmac(&date_key(secret_key, scope), scope.service)
}

fn signing_key(secret_key: &str, scope: &Scope<'_>) -> [u8; 32] {
    hmac(&service_key(secret_key, scope), "tc3_request")
}

fn hmac(key: &[u8], text: &str) -> [u8; 32] {
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mac) => mac.chain_update(text).finalize().into_bytes().into(),
        Err(never) => unreachable!("HMAC takes keys of any length: {never}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: &str = "application/json";
    const JSON_UTF8: &str = "application/json; charset=utf-8";

    /// One vector: what goes in, and every hash on the way that is known.
    #[derive(Clone, Copy)]
    struct Vector<'a> {
        id: &'a str,
        key: &'a str,
        service: &'a str,
        time: i64,
        method: &'a str,
        query: &'a str,
        headers: &'a [(&'a str, &'a str)],
        body: &'a str,
        body_hash: Option<&'a str>,
        canonical_hash: Option<&'a str>,
        keys: [Option<&'a str>; 3],
        scope: &'a str,
        signature: &'a str,
    }

    impl Vector<'_> {
        fn check(&self, name: &str) {
            let body_hash = hash(self.body);
            if let Some(expected) = self.body_hash {
                assert_eq!(body_hash, expected, "{name}: body");
            }
            self.check_hashed(name, &body_hash);
        }

        fn check_hashed(&self, name: &str, body_hash: &str) {
            let signed = Signed {
                method: self.method,
                path: "/",
                query: self.query,
                headers: self.headers,
                body_hash,
            };
            let scope = Scope {
                service: self.service,
                timestamp: self.time,
            };
            if let Some(expected) = self.canonical_hash {
                assert_eq!(hash(signed.canonical()), expected, "{name}: canonical");
            }
            let keys = [date_key, service_key, signing_key].map(|key| key(self.key, &scope));
            for (key, expected) in keys.iter().zip(self.keys) {
                if let Some(expected) = expected {
                    assert_eq!(hex::encode(key), expected, "{name}: key");
                }
            }
            let names: Vec<_> = self.headers.iter().map(|(name, _)| *name).collect();
            assert_eq!(
                authorization(self.id, self.key, &signed, &scope),
                format!(
                    "TC3-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, Signature={}",
                    self.id,
                    self.scope,
                    names.join(";"),
                    self.signature
                ),
                "{name}"
            );
        }
    }

    /// Of the vendor's documentation, older edition.
    const V1: Vector<'_> = Vector {
        id: "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE",
        key: "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE",
        service: "cvm",
        time: 1_551_113_065,
        method: "POST",
        query: "",
        headers: &[
            ("content-type", JSON_UTF8),
            ("host", "cvm.tencentcloudapi.com"),
        ],
        body: r#"{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}"#,
        body_hash: Some("35e9c5b0e3ae67532d3c9f17ead6c90222632e5b1ff7f6e89887f1398934f064"),
        canonical_hash: Some("5ffe6a04c0664d6b969fab9a13bdab201d63ee709638e2749d62a09ca18d7031"),
        keys: [
            Some("d1308c81fe71cfd4e06437bbc067b2b8a3d2d8c0e375d547f15c41d5214b395a"),
            Some("3c7cb7c7795393edc14fd2e0e6434a518564b4504b88e94f5d11bf59ba3e7050"),
            Some("ac658d5dde49e9bfdd14e04e062f66b05d9f637d44b8a8d845327d4a77f666b1"),
        ],
        scope: "2019-02-25/cvm/tc3_request",
        signature: "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168",
    };

    #[test]
    fn v1_of_the_older_documentation() {
        assert_eq!(V1.body.len(), 86);
        V1.check("V1");
    }

    #[test]
    fn v2_of_the_newer_documentation_signs_the_action_too() {
        let id = format!("AKID{}", "*".repeat(32));
        Vector {
            id: &id,
            key: &"*".repeat(32),
            headers: &[
                ("content-type", JSON_UTF8),
                ("host", "cvm.tencentcloudapi.com"),
                ("x-tc-action", "DescribeInstances"),
            ],
            canonical_hash: Some(
                "7019a55be8395899b900fb5564e4200d984910f34794a27cb3fb7d10ff6a1e84",
            ),
            keys: [
                Some("da98fb70dcf6b112dc21038d1eeeb3a95c74b4dcb12c1131f864f6066bd02be0"),
                Some("8d70cbefb03939f929db64d32dc2ba89b1095620119fe3e050e2b18c5bd2752f"),
                Some("b596b923aad85185e2d1f6659d2a062e0a86731226e021e61bfe06f7ed05f5af"),
            ],
            signature: "10b1a37a7301a02ca19a647ad722d5e43b4b3cff309d421d85b46093f6ab6c4f",
            ..V1
        }
        .check("V2");
    }

    #[test]
    fn v3_of_the_documentation_is_a_get() {
        Vector {
            time: 1_539_084_154,
            method: "GET",
            query: "Limit=10&Offset=0",
            headers: &[
                ("content-type", "application/x-www-form-urlencoded"),
                ("host", "cvm.tencentcloudapi.com"),
            ],
            body: "",
            body_hash: None,
            canonical_hash: Some(
                "91c9c192c14460df6c1ffc69e34e6c5e90708de2a6d282cccf957dbf1aa7f3a7",
            ),
            keys: [None; 3],
            scope: "2018-10-09/cvm/tc3_request",
            signature: "5da7a33f6993f0614b047e5df4582db9e9bf4672ba50567dba16c6ccf174c474",
            ..V1
        }
        .check("V3");
    }

    /// Made for this product, with dummy keys.
    const V4: Vector<'_> = Vector {
        id: "AKIDEXAMPLEtencentess00000000000001",
        key: "EXAMPLEsecretKEYtencentess0000001",
        service: "essbasic",
        time: 1_698_837_600,
        method: "POST",
        query: "",
        headers: &[
            ("content-type", JSON),
            ("host", "essbasic.tencentcloudapi.com"),
        ],
        body: r#"{"Agent": {"AppId": "yDTESTAPPID00000000000000000001", "ProxyOrganizationOpenId": "org_demo", "ProxyOperator": {"OpenId": "n9527"}}, "TaskId": "20231101191954296703"}"#,
        body_hash: Some("e946396562da46725f0c24e9e8ca448db55d106e907ad319b8efaf12d663bd8d"),
        canonical_hash: Some("b1a3995138e26c78e20fb914efec8c99d185e7cdb4c7c9bc717eba0c5d23b002"),
        keys: [
            None,
            None,
            Some("55faddd601dd3b0d74b3dbf1c99e5d4abe36a2532011172c7fe9e042d126c3a7"),
        ],
        scope: "2023-11-01/essbasic/tc3_request",
        signature: "5e40bfd92de2c7ea339a5c0c9ac762d51ac2f4450576def729c90fa003867f97",
    };

    #[test]
    fn v4_is_a_poll() {
        assert_eq!(V4.body.len(), 166);
        V4.check("V4");
    }

    #[test]
    fn v5_is_in_the_last_second_of_a_year_in_utc() {
        Vector {
            time: 1_704_067_199,
            headers: &[
                ("content-type", JSON),
                ("host", "essbasic.test.ess.tencent.cn"),
            ],
            body: r#"{"Agent": {"AppId": "yDTESTAPPID00000000000000000001", "ProxyOrganizationOpenId": "org_demo", "ProxyOperator": {"OpenId": "n9527"}}, "ResourceType": "docx", "ResourceName": "\u5458\u5de5\u52b3\u52a8\u5408\u540c.docx", "ResourceId": "yDRSRUUgygj6rq2wUuO4zjEyBZ2NHiyT"}"#,
            body_hash: Some("89319e56b1af958a4e1a2abd47cedfddfc1a26f9005767a68919c991a7fdd9cf"),
            canonical_hash: Some(
                "2b7d818eef8ab81712238d59c04ab9b7015fabd42106b399e82acb80f57c4b70",
            ),
            keys: [None; 3],
            scope: "2023-12-31/essbasic/tc3_request",
            signature: "5a54030becc70ecea4bb9de843a3ab1f85f68934a9d54afb30819beb148c7a15",
            ..V4
        }
        .check("V5");
    }

    const V6: Vector<'_> = Vector {
        time: 1_704_067_200,
        headers: &[("content-type", JSON), ("host", "file.ess.tencent.cn")],
        body: r#"{"Agent": {"AppId": "yDTESTAPPID00000000000000000001", "ProxyOrganizationOpenId": "org_demo", "ProxyOperator": {"OpenId": "n9527"}}, "BusinessType": "DOCUMENT", "FileInfos": [{"FileBody": "aGVsbG8=", "FileName": "a.docx"}]}"#,
        body_hash: Some("449234d40e8aca0f94d045dd984419a5a0e52c29d475d50a6c01af40357a41b5"),
        canonical_hash: Some("b5ed8576108fc3cf96e3f6de1f8c2c3843e503f5c3cc32428d6d15f4d2956fba"),
        keys: [None; 3],
        scope: "2024-01-01/essbasic/tc3_request",
        signature: "2e0e3f1530b361926f22edeb2ec81342c30f392c87d855feb7571d99ee3277eb",
        ..V4
    };

    #[test]
    fn v6_is_an_upload_with_either_name_of_the_service() {
        assert_eq!(V6.body.len(), 223);
        V6.check("V6");
        Vector {
            service: "file",
            scope: "2024-01-01/file/tc3_request",
            signature: "110a485c0f8cfa66dd9b476422049787386160f602dfbaff7df4a7b8010c4156",
            ..V6
        }
        .check("V6 file");
    }

    #[test]
    fn v7_leaves_the_body_unsigned() {
        let unsigned = hash("UNSIGNED-PAYLOAD");
        assert_eq!(
            unsigned,
            "438d4109ef0d676b8c2c7ed13cdfcb418e494d53b843d4634ce3b1085f07bb96"
        );
        Vector {
            canonical_hash: None,
            signature: "c8073903af6f7a26957699a48bd1f54383ed55828514847653eedb1496dab6e5",
            ..V6
        }
        .check_hashed("V7", &unsigned);
    }

    const V8: Vector<'_> = Vector {
        time: 1_704_067_200,
        headers: &[
            ("content-type", JSON_UTF8),
            ("host", "essbasic.tencentcloudapi.com"),
        ],
        body: r#"{"Agent":{"AppId":"yDTESTAPPID00000000000000000001","ProxyOrganizationOpenId":"org_demo","ProxyOperator":{"OpenId":"n9527"}},"ResourceType":"docx","ResourceName":"员工劳动合同.docx","ResourceId":"yDRSRUUgygj6rq2wUuO4zjEyBZ2NHiyT"}"#,
        body_hash: Some("b81b39f66739bbbc3ddefcaf752c0346e542442f00ea1625f89fbb0b9954dd9f"),
        canonical_hash: Some("4752be1ef6d1f2e47d4e6766d6e8ea4b41d6049a865acbfcb5c77ffbff47f213"),
        keys: [None; 3],
        scope: "2024-01-01/essbasic/tc3_request",
        signature: "78eaaecdf288ad632616f0cf65b419dbb02c65a1e2562be9e1a634eb09b0455a",
        ..V4
    };

    #[test]
    fn v8_has_plain_chinese_in_its_body() {
        assert_eq!(V8.body.len(), 236);
        V8.check("V8");
    }

    #[test]
    fn v9_signs_the_action_too() {
        Vector {
            headers: &[
                ("content-type", JSON_UTF8),
                ("host", "essbasic.tencentcloudapi.com"),
                ("x-tc-action", "ChannelCreateConvertTaskApi"),
            ],
            canonical_hash: Some(
                "5b4136d9f79a0ec4224d21eb73025c84778a3c09184e17ba616132ec826a4b7a",
            ),
            signature: "f3b7f23b2753e0d0c014be85e9880e884ce5153a69c13c3c7b9d9a2e2cab3650",
            ..V8
        }
        .check("V9");
    }

    #[test]
    fn v10_is_made_with_a_temporary_key() {
        Vector {
            time: 1_785_542_400,
            body: r#"{"TaskId": "20260704000000875611", "Agent": {"AppId": "yDTESTAPPID00000000000000000001", "ProxyOrganizationOpenId": "org_demo", "ProxyOperator": {"OpenId": "n9527"}}}"#,
            body_hash: Some("b3947010e92af5f20793036469e9c52d6e9d83b75add1ed6d737c6c0d8fba399"),
            canonical_hash: None,
            keys: [None; 3],
            scope: "2026-08-01/essbasic/tc3_request",
            signature: "0d399847804d4367d34b47567322431d7f5d923dca81ec01f3787bdf3ddfe3b2",
            ..V4
        }
        .check("V10");
    }
}
