//! The signature, recomputed from what a server received.

use hmac::{Hmac, KeyInit, Mac};
use httpmock::HttpMockRequest;
use sha2::{Digest, Sha256};

use crate::{SECRET_ID, SECRET_KEY};

/// Whether a request is signed for `service` at its own timestamp.
pub(crate) fn is_signed(request: &HttpMockRequest, service: &str) -> bool {
    let headers = request.headers();
    let header = |name: &str| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap().to_owned())
            .unwrap_or_default()
    };
    let time = header("x-tc-timestamp");
    let Some(day) = time
        .parse()
        .ok()
        .and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0))
    else {
        return false;
    };
    let day = day.date_naive().to_string();
    let scope = format!("{day}/{service}/tc3_request");
    let canonical = format!(
        "POST\n/\n\ncontent-type:{}\nhost:{}\n\ncontent-type;host\n{}",
        header("content-type"),
        header("host"),
        hex::encode(Sha256::digest(request.body_ref()))
    );
    let text = format!(
        "TC3-HMAC-SHA256\n{time}\n{scope}\n{}",
        hex::encode(Sha256::digest(canonical))
    );
    let key = [day.as_str(), service, "tc3_request", &text]
        .into_iter()
        .fold(format!("TC3{SECRET_KEY}").into_bytes(), |key, text| {
            let mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
            mac.chain_update(text).finalize().into_bytes().to_vec()
        });
    header("authorization")
        == format!(
            "TC3-HMAC-SHA256 Credential={SECRET_ID}/{scope}, SignedHeaders=content-type;host, Signature={}",
            hex::encode(key)
        )
}
