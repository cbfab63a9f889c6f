//! TC3-HMAC-SHA256 as the receiver sees it: the authorization header taken apart, and the signature made again from what
//! arrived.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

const ALGORITHM: &str = "TC3-HMAC-SHA256";
/// The literal that stands for a body nobody hashed.
pub(crate) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// The `Authorization` header, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authorization {
    pub(crate) secret_id: String,
    pub(crate) date: String,
    pub(crate) service: String,
    pub(crate) signed: Vec<String>,
    pub(crate) signature: String,
}

impl Authorization {
    /// `None` if the header does not have the documented form.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let rest = header.strip_prefix(ALGORITHM)?.strip_prefix(' ')?;
        let (mut credential, mut signed, mut signature) = (None, None, None);
        for part in rest.split(',') {
            match part.trim().split_once('=')? {
                ("Credential", value) => credential = Some(value),
                ("SignedHeaders", value) => signed = Some(value),
                ("Signature", value) => signature = Some(value),
                _ => return None,
            }
        }
        let mut scope = credential?.split('/');
        let (secret_id, date, service, end) =
            (scope.next()?, scope.next()?, scope.next()?, scope.next()?);
        let signature = signature?;
        let hex = signature.len() == 64 && signature.bytes().all(|byte| byte.is_ascii_hexdigit());
        if scope.next().is_some() || end != "tc3_request" || secret_id.is_empty() || !hex {
            return None;
        }
        Some(Self {
            secret_id: secret_id.to_owned(),
            date: date.to_owned(),
            service: service.to_owned(),
            signed: signed?.split(';').map(str::to_owned).collect(),
            signature: signature.to_owned(),
        })
    }
}

/// Everything that goes into a signature.
#[derive(Clone, Debug)]
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a str,
    pub(crate) query: &'a str,
    /// Names and values of the signed headers, in the order in which they were named.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    /// SHA-256 of the body in hex.
    pub(crate) body_hash: &'a str,
    pub(crate) timestamp: u64,
    pub(crate) date: &'a str,
    pub(crate) service: &'a str,
}

impl Signed<'_> {
    pub(crate) fn canonical(&self) -> String {
        let lines: String = self
            .headers
            .iter()
            .map(|(name, value)| {
                format!("{}:{}\n", name.to_lowercase(), value.trim().to_lowercase())
            })
            .collect();
        let names: Vec<String> = self
            .headers
            .iter()
            .map(|(name, _)| name.to_lowercase())
            .collect();
        let names = names.join(";");
        [self.method, "/", self.query, &lines, &names, self.body_hash].join("\n")
    }

    pub(crate) fn signature(&self, secret_key: &str) -> String {
        let scope = format!("{}/{}/tc3_request", self.date, self.service);
        let canonical = digest(self.canonical().as_bytes());
        let text = format!("{ALGORITHM}\n{}\n{scope}\n{canonical}", self.timestamp);
        let date = mac(format!("TC3{secret_key}").as_bytes(), self.date);
        let signing = mac(&mac(&date, self.service), "tc3_request");
        hex::encode(mac(&signing, &text))
    }
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of any length, so there is always a result.
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mac| mac.chain_update(text).finalize().into_bytes().to_vec())
        .unwrap_or_default()
}

/// The UTC date of a timestamp; empty beyond the calendar.
pub(crate) fn utc_date(timestamp: u64) -> String {
    i64::try_from(timestamp)
        .ok()
        .and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0))
        .map(|time| time.format("%Y-%m-%d").to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST_KEY: &str = "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE";
    const OWN_KEY: &str = "EXAMPLEsecretKEYtencentess0000001";
    const LIMITS: &str =
        r#"{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}"#;
    const AGENT: &str = r#""Agent": {"AppId": "yDTESTAPPID00000000000000000001", "ProxyOrganizationOpenId": "org_demo", "ProxyOperator": {"OpenId": "n9527"}}"#;
    const COMPACT: &str = r#"{"Agent":{"AppId":"yDTESTAPPID00000000000000000001","ProxyOrganizationOpenId":"org_demo","ProxyOperator":{"OpenId":"n9527"}},"ResourceType":"docx","ResourceName":"员工劳动合同.docx","ResourceId":"yDRSRUUgygj6rq2wUuO4zjEyBZ2NHiyT"}"#;
    const PLAIN: &str = "application/json";
    const WITH_CHARSET: &str = "application/json; charset=utf-8";

    struct Row<'a> {
        key: &'a str,
        service: &'a str,
        host: &'a str,
        kind: &'a str,
        action: Option<&'a str>,
        timestamp: u64,
        date: &'a str,
        body: &'a str,
        canonical: Option<&'a str>,
        signature: &'a str,
    }

    fn check(row: &Row<'_>) {
        let mut headers = vec![("content-type", row.kind), ("host", row.host)];
        headers.extend(row.action.map(|action| ("x-tc-action", action)));
        assert_eq!(utc_date(row.timestamp), row.date);
        let signed = Signed {
            method: "POST",
            query: "",
            headers: &headers,
            body_hash: &digest(row.body.as_bytes()),
            timestamp: row.timestamp,
            date: row.date,
            service: row.service,
        };
        if let Some(canonical) = row.canonical {
            assert_eq!(digest(signed.canonical().as_bytes()), canonical);
        }
        assert_eq!(signed.signature(row.key), row.signature);
    }

    // V1 and V2 of the product notes: the two editions of the vendor's own example.
    #[test]
    fn published_examples_are_reproduced_with_both_sets_of_signed_headers() {
        let first = Row {
            key: FIRST_KEY,
            service: "cvm",
            host: "cvm.tencentcloudapi.com",
            kind: WITH_CHARSET,
            action: None,
            timestamp: 1_551_113_065,
            date: "2019-02-25",
            body: LIMITS,
            canonical: Some("5ffe6a04c0664d6b969fab9a13bdab201d63ee709638e2749d62a09ca18d7031"),
            signature: "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168",
        };
        check(&first);
        check(&Row {
            key: &"*".repeat(32),
            action: Some("DescribeInstances"),
            canonical: Some("7019a55be8395899b900fb5564e4200d984910f34794a27cb3fb7d10ff6a1e84"),
            signature: "10b1a37a7301a02ca19a647ad722d5e43b4b3cff309d421d85b46093f6ab6c4f",
            ..first
        });
    }

    // V3: the vendor's GET example.
    #[test]
    fn published_get_example_is_reproduced() {
        let signed = Signed {
            method: "GET",
            query: "Limit=10&Offset=0",
            headers: &[
                ("content-type", "application/x-www-form-urlencoded"),
                ("host", "cvm.tencentcloudapi.com"),
            ],
            body_hash: &digest(b""),
            timestamp: 1_539_084_154,
            date: "2018-10-09",
            service: "cvm",
        };
        assert_eq!(
            digest(signed.canonical().as_bytes()),
            "91c9c192c14460df6c1ffc69e34e6c5e90708de2a6d282cccf957dbf1aa7f3a7"
        );
        assert_eq!(
            signed.signature(FIRST_KEY),
            "5da7a33f6993f0614b047e5df4582db9e9bf4672ba50567dba16c6ccf174c474"
        );
    }

    // V4 to V6 and V8 to V10, made with official code and with a script of our own.
    #[test]
    fn own_vectors_are_reproduced() {
        let query = format!(r#"{{{AGENT}, "TaskId": "20231101191954296703"}}"#);
        let create = format!(
            r#"{{{AGENT}, "ResourceType": "docx", "ResourceName": "\u5458\u5de5\u52b3\u52a8\u5408\u540c.docx", "ResourceId": "yDRSRUUgygj6rq2wUuO4zjEyBZ2NHiyT"}}"#
        );
        let upload = format!(
            r#"{{{AGENT}, "BusinessType": "DOCUMENT", "FileInfos": [{{"FileBody": "aGVsbG8=", "FileName": "a.docx"}}]}}"#
        );
        let late = format!(r#"{{"TaskId": "20260704000000875611", {AGENT}}}"#);
        let general = "essbasic.tencentcloudapi.com";
        let row = |host, kind, timestamp, date, body, canonical, signature| Row {
            key: OWN_KEY,
            service: "essbasic",
            host,
            kind,
            action: None,
            timestamp,
            date,
            body,
            canonical,
            signature,
        };
        let upload_canonical = "b5ed8576108fc3cf96e3f6de1f8c2c3843e503f5c3cc32428d6d15f4d2956fba";
        let rows = [
            row(
                general,
                PLAIN,
                1_698_837_600,
                "2023-11-01",
                &*query,
                Some("b1a3995138e26c78e20fb914efec8c99d185e7cdb4c7c9bc717eba0c5d23b002"),
                "5e40bfd92de2c7ea339a5c0c9ac762d51ac2f4450576def729c90fa003867f97",
            ),
            row(
                "essbasic.test.ess.tencent.cn",
                PLAIN,
                1_704_067_199,
                "2023-12-31",
                &create,
                Some("2b7d818eef8ab81712238d59c04ab9b7015fabd42106b399e82acb80f57c4b70"),
                "5a54030becc70ecea4bb9de843a3ab1f85f68934a9d54afb30819beb148c7a15",
            ),
            row(
                "file.ess.tencent.cn",
                PLAIN,
                1_704_067_200,
                "2024-01-01",
                &upload,
                Some(upload_canonical),
                "2e0e3f1530b361926f22edeb2ec81342c30f392c87d855feb7571d99ee3277eb",
            ),
            Row {
                service: "file",
                ..row(
                    "file.ess.tencent.cn",
                    PLAIN,
                    1_704_067_200,
                    "2024-01-01",
                    &upload,
                    Some(upload_canonical),
                    "110a485c0f8cfa66dd9b476422049787386160f602dfbaff7df4a7b8010c4156",
                )
            },
            row(
                general,
                WITH_CHARSET,
                1_704_067_200,
                "2024-01-01",
                COMPACT,
                Some("4752be1ef6d1f2e47d4e6766d6e8ea4b41d6049a865acbfcb5c77ffbff47f213"),
                "78eaaecdf288ad632616f0cf65b419dbb02c65a1e2562be9e1a634eb09b0455a",
            ),
            Row {
                action: Some("ChannelCreateConvertTaskApi"),
                ..row(
                    general,
                    WITH_CHARSET,
                    1_704_067_200,
                    "2024-01-01",
                    COMPACT,
                    Some("5b4136d9f79a0ec4224d21eb73025c84778a3c09184e17ba616132ec826a4b7a"),
                    "f3b7f23b2753e0d0c014be85e9880e884ce5153a69c13c3c7b9d9a2e2cab3650",
                )
            },
            row(
                general,
                PLAIN,
                1_785_542_400,
                "2026-08-01",
                &late,
                None,
                "0d399847804d4367d34b47567322431d7f5d923dca81ec01f3787bdf3ddfe3b2",
            ),
        ];
        rows.iter().for_each(check);
    }

    // V7: the same upload with the literal in place of the body's hash.
    #[test]
    fn unsigned_payload_is_the_hash_of_its_own_name() {
        let hash = digest(UNSIGNED.as_bytes());
        assert_eq!(
            hash,
            "438d4109ef0d676b8c2c7ed13cdfcb418e494d53b843d4634ce3b1085f07bb96"
        );
        let signed = Signed {
            method: "POST",
            query: "",
            headers: &[("content-type", PLAIN), ("host", "file.ess.tencent.cn")],
            body_hash: &hash,
            timestamp: 1_704_067_200,
            date: "2024-01-01",
            service: "essbasic",
        };
        assert_eq!(
            signed.signature(OWN_KEY),
            "c8073903af6f7a26957699a48bd1f54383ed55828514847653eedb1496dab6e5"
        );
    }

    #[test]
    fn authorization_is_taken_apart_or_refused_whole() {
        let signature = "a".repeat(64);
        let good = format!(
            "TC3-HMAC-SHA256 Credential=AKID/2024-01-01/essbasic/tc3_request, SignedHeaders=content-type;host, Signature={signature}"
        );
        let parsed = Authorization::parse(&good).unwrap();
        assert_eq!(
            (parsed.secret_id.as_str(), parsed.service.as_str()),
            ("AKID", "essbasic")
        );
        assert_eq!(parsed.signed, ["content-type", "host"]);
        for bad in [
            good.replace("TC3-HMAC-SHA256", "TC3"),
            good.replace("/tc3_request", ""),
            good.replace("tc3_request", "tc3_request/more"),
            good.replace("Signature=a", "Signature="),
            good.replace("SignedHeaders=content-type;host, ", ""),
            good.replace("Credential=AKID", "Credential="),
            String::new(),
        ] {
            assert_eq!(Authorization::parse(&bad), None, "{bad}");
        }
    }
}
