//! Binary messages.

use proptest::prelude::*;
use sha1::{Digest, Sha1};

use crate::frame::{
    decode_extended_upload, decode_file_answer, decode_upload, encode_extended_upload,
    encode_file_answer, encode_upload, req_id_of_file_answer,
};
use crate::wire::ScanArgs;
use crate::{Command, ProtocolError};

const LAYOUT_A: &str = "0100000003000000722d310400000025504446";

fn layout_a() -> Vec<u8> {
    hex::decode(LAYOUT_A).unwrap()
}

#[test]
fn layout_a_vector_is_read_and_written() {
    let message = layout_a();
    assert_eq!(message.len(), 19);
    let file = decode_file_answer(&message).unwrap();
    assert_eq!(
        (file.req_id, file.data, file.trailing),
        ("r-1", &b"%PDF"[..], 0)
    );
    assert_eq!(encode_file_answer("r-1", b"%PDF").unwrap(), message);
}

#[test]
fn measured_sizes_of_real_downloads_match() {
    let req_id = "0".repeat(36);
    for (document, message) in [(464_652, 464_700), (120_026, 120_074)] {
        let encoded = encode_file_answer(&req_id, &vec![0; document]).unwrap();
        assert_eq!(encoded.len(), message);
    }
}

#[test]
fn layout_c_vector_is_read_and_written() {
    let args = r#"{"userid":"u1","filename":"a.pdf"}"#;
    assert_eq!(args.len(), 34);
    let message = encode_extended_upload(Command::UploadScanFile, "r-1", b"%PDF", args).unwrap();
    assert_eq!(message.len(), 85);
    assert_eq!(
        hex::encode(Sha1::digest(&message)),
        "30ffc215aa3f26a1dc4f052e4723fbc801ac66f1"
    );
    let scan = ScanArgs::new("u1", "a.pdf").unwrap();
    assert_eq!(scan.encode("r-1", b"%PDF").unwrap(), message);
    let upload = decode_extended_upload(&message).unwrap();
    assert_eq!(upload.cmd, "printer/upload_scan_file");
    assert_eq!(upload.cmd.len(), 24);
    assert_eq!(
        (upload.req_id, upload.data, upload.args),
        ("r-1", &b"%PDF"[..], Some(args))
    );
    assert_eq!(upload.trailing, 0);
}

#[test]
fn layout_b_has_no_arguments() {
    let message = encode_upload(Command::UploadLog, "r-1", b"log").unwrap();
    assert_eq!(
        hex::encode(&message),
        "010000000a00000075706c6f61645f6c6f6703000000722d31030000006c6f67"
    );
    let upload = decode_upload(&message).unwrap();
    assert_eq!(
        (upload.cmd, upload.req_id, upload.data),
        ("upload_log", "r-1", &b"log"[..])
    );
    assert_eq!(upload.args, None);
}

#[test]
fn another_version_is_refused() {
    let mut message = layout_a();
    message[0] = 2;
    assert!(matches!(
        decode_file_answer(&message),
        Err(ProtocolError::Version {
            expected: 1,
            found: 2
        })
    ));
    let plain = encode_upload(Command::UploadLog, "r", b"x").unwrap();
    assert!(matches!(
        decode_extended_upload(&plain),
        Err(ProtocolError::Version {
            expected: 2,
            found: 1
        })
    ));
}

#[test]
fn every_cut_of_a_message_is_refused() {
    let answer = layout_a();
    let upload = encode_extended_upload(Command::UploadScanFile, "r-1", b"%PDF", "{}").unwrap();
    for end in 0..answer.len() {
        let error = decode_file_answer(&answer[..end]).unwrap_err();
        assert!(matches!(error, ProtocolError::Truncated { .. }), "{end}");
    }
    for end in 0..upload.len() {
        let error = decode_extended_upload(&upload[..end]).unwrap_err();
        assert!(matches!(error, ProtocolError::Truncated { .. }), "{end}");
    }
}

#[test]
fn lying_length_is_refused_without_reading_on() {
    let mut message = layout_a();
    message[11..15].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(matches!(
        decode_file_answer(&message),
        Err(ProtocolError::Truncated {
            field: "data",
            needed: 0xffff_ffff,
            left: 4
        })
    ));
    assert_eq!(req_id_of_file_answer(&message), Some("r-1"));
    message[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(req_id_of_file_answer(&message), None);
}

#[test]
fn trailing_bytes_are_counted() {
    let mut message = layout_a();
    message.extend_from_slice(b"xyz");
    let file = decode_file_answer(&message).unwrap();
    assert_eq!((file.data, file.trailing), (&b"%PDF"[..], 3));
}

#[test]
fn request_id_must_be_text() {
    let mut message = layout_a();
    message[8] = 0xff;
    assert!(matches!(
        decode_file_answer(&message),
        Err(ProtocolError::NotUtf8 {
            field: "req_id",
            ..
        })
    ));
}

proptest! {
    #[test]
    fn file_answer_round_trips(
        req_id in "\\PC{1,30}", data in prop::collection::vec(any::<u8>(), 0..300), tail in 0_usize..5,
    ) {
        let mut message = encode_file_answer(&req_id, &data).unwrap();
        prop_assert_eq!(message.len(), 12 + req_id.len() + data.len());
        message.resize(message.len() + tail, 7);
        let file = decode_file_answer(&message).unwrap();
        prop_assert_eq!((file.req_id, file.data, file.trailing), (req_id.as_str(), &data[..], tail));
    }

    #[test]
    fn uploads_round_trip(
        req_id in "\\PC{1,30}", data in prop::collection::vec(any::<u8>(), 0..300), args in "\\PC{0,40}",
    ) {
        let plain = encode_upload(Command::UploadLog, &req_id, &data).unwrap();
        let upload = decode_upload(&plain).unwrap();
        prop_assert_eq!((upload.req_id, upload.data, upload.args), (req_id.as_str(), &data[..], None));
        let extended =
            encode_extended_upload(Command::UploadScanFile, &req_id, &data, &args).unwrap();
        let upload = decode_extended_upload(&extended).unwrap();
        prop_assert_eq!(upload.req_id, req_id.as_str());
        prop_assert_eq!((upload.data, upload.args), (&data[..], Some(args.as_str())));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = decode_file_answer(&bytes);
        let _ = decode_upload(&bytes);
        let _ = decode_extended_upload(&bytes);
        let _ = req_id_of_file_answer(&bytes);
    }

    #[test]
    fn mutated_length_never_yields_bytes_that_are_not_there(at in 0_usize..16, number in any::<u32>()) {
        let mut message = encode_file_answer("req-1", &[9; 40]).unwrap();
        message[at..at + 4].copy_from_slice(&number.to_le_bytes());
        if let Ok(file) = decode_file_answer(&message) {
            prop_assert_eq!(12 + file.req_id.len() + file.data.len() + file.trailing, message.len());
        }
    }
}
