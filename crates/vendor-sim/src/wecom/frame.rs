//! The binary layouts: a download answer is made, an upload is taken apart strictly.

use bytes::Bytes;
use serde_json::Value;

/// Layout A: version 1, request id, data.
pub(crate) fn download(version: u32, req_id: &str, data_len: u32, data: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(12 + req_id.len() + data.len());
    frame.extend(version.to_le_bytes());
    frame.extend(length(req_id.as_bytes()).to_le_bytes());
    frame.extend(req_id.as_bytes());
    frame.extend(data_len.to_le_bytes());
    frame.extend(data);
    frame
}

pub(crate) fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// An upload from the device: layout B (version 1) or C (version 2, with arguments).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Uploaded {
    pub(crate) cmd: String,
    pub(crate) req_id: String,
    pub(crate) data: Bytes,
    pub(crate) args: Option<Value>,
}

/// Takes an upload apart. An error says what is wrong and carries the request id if it was read.
pub(crate) fn upload(message: &Bytes) -> Result<Uploaded, (&'static str, Option<String>)> {
    let mut rest = message.clone();
    let version = number(&mut rest).ok_or(("no format_version", None))?;
    if !matches!(version, 1 | 2) {
        return Err(("unknown format_version", None));
    }
    let cmd = text(&mut rest).ok_or(("cmd out of bounds", None))?;
    let req_id = text(&mut rest).ok_or(("req_id out of bounds", None))?;
    let known = Some(req_id.clone());
    let data = block(&mut rest).ok_or(("data out of bounds", known.clone()))?;
    let args = if version == 2 {
        let args = block(&mut rest).ok_or(("args out of bounds", known.clone()))?;
        Some(serde_json::from_slice(&args).map_err(|_| ("args are not JSON", known.clone()))?)
    } else {
        None
    };
    if !rest.is_empty() {
        return Err(("bytes behind the end", known));
    }
    Ok(Uploaded {
        cmd,
        req_id,
        data,
        args,
    })
}

fn number(rest: &mut Bytes) -> Option<u32> {
    let four = rest.get(..4)?.try_into().ok()?;
    let _ = rest.split_to(4);
    Some(u32::from_le_bytes(four))
}

fn block(rest: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(number(rest)?).ok()?;
    (length <= rest.len()).then(|| rest.split_to(length))
}

fn text(rest: &mut Bytes) -> Option<String> {
    String::from_utf8(block(rest)?.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout_c() -> Vec<u8> {
        let mut frame = 2_u32.to_le_bytes().to_vec();
        for part in [
            "printer/upload_scan_file",
            "r-1",
            "%PDF",
            r#"{"userid":"u1","filename":"a.pdf"}"#,
        ] {
            frame.extend(length(part.as_bytes()).to_le_bytes());
            frame.extend(part.as_bytes());
        }
        frame
    }

    #[test]
    fn download_answer_is_the_vector_of_the_product_notes() {
        let frame = download(1, "r-1", 4, b"%PDF");
        assert_eq!(hex::encode(frame), "0100000003000000722d310400000025504446");
    }

    #[test]
    fn scan_upload_is_the_vector_of_the_product_notes() {
        use sha1::{Digest, Sha1};
        let frame = layout_c();
        assert_eq!(frame.len(), 85);
        assert_eq!(
            hex::encode(Sha1::digest(&frame)),
            "30ffc215aa3f26a1dc4f052e4723fbc801ac66f1"
        );
        let uploaded = upload(&frame.into()).unwrap();
        assert_eq!(uploaded.cmd, "printer/upload_scan_file");
        assert_eq!(
            (uploaded.req_id.as_str(), &uploaded.data[..]),
            ("r-1", &b"%PDF"[..])
        );
        assert_eq!(uploaded.args.unwrap()["filename"], "a.pdf");
    }

    #[test]
    fn every_cut_and_every_lie_is_refused() {
        let frame = layout_c();
        for end in 0..frame.len() {
            assert!(upload(&Bytes::copy_from_slice(&frame[..end])).is_err());
        }
        for at in [0, 4, 32, 39, 47] {
            let mut lying = frame.clone();
            lying[at + 3] = 0xff;
            assert!(upload(&lying.into()).is_err(), "{at}");
        }
        let mut longer = frame;
        longer.push(0);
        let (_, req_id) = upload(&longer.into()).unwrap_err();
        assert_eq!(req_id.as_deref(), Some("r-1"));
    }
}
