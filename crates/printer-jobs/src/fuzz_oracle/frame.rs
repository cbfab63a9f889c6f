//! Binary messages: every layout reads any bytes without going astray, and writes back what it read.
use crate::frame::{
    FileAnswer, Upload, decode_extended_upload, decode_file_answer, decode_upload,
    encode_extended_upload, encode_file_answer, encode_upload, req_id_of_file_answer,
};
use crate::{Command, ProtocolError};

/// The bytes as a message from the other side, and as what we send.
pub fn frame(bytes: &[u8]) {
    read(bytes);
    write(bytes);
}

/// The bytes as a message from the other side.
fn read(message: &[u8]) {
    match decode_file_answer(message) {
        Ok(file) => check_file(message, &file),
        Err(error) => check_error(message, &error),
    }
    match decode_upload(message) {
        Ok(upload) => check_upload(message, &upload, false),
        Err(error) => check_error(message, &error),
    }
    match decode_extended_upload(message) {
        Ok(upload) => check_upload(message, &upload, true),
        Err(error) => check_error(message, &error),
    }
}

fn check_file(message: &[u8], file: &FileAnswer<'_>) {
    let size = 12 + file.req_id.len() + file.data.len();
    assert_eq!(size + file.trailing, message.len());
    assert_eq!(req_id_of_file_answer(message), Some(file.req_id));
    if let Ok(written) = encode_file_answer(file.req_id, file.data) {
        assert_eq!(written, message[..size]);
    } else {
        assert!(!is_usable(file.req_id));
    }
}

fn check_upload(message: &[u8], upload: &Upload<'_>, extended: bool) {
    assert_eq!(upload.args.is_some(), extended);
    let args = upload.args.map_or(0, |args| 4 + args.len());
    let size = 16 + upload.cmd.len() + upload.req_id.len() + upload.data.len() + args;
    assert_eq!(size + upload.trailing, message.len());
    let known = Command::ALL
        .into_iter()
        .find(|known| known.name() == upload.cmd);
    let Some(command) = known else { return };
    let written = match upload.args {
        Some(args) => encode_extended_upload(command, upload.req_id, upload.data, args),
        None => encode_upload(command, upload.req_id, upload.data),
    };
    match written {
        Ok(written) => assert_eq!(written, message[..size]),
        Err(_) => assert!(!is_usable(upload.req_id)),
    }
}

/// What an error says about the message is true.
fn check_error(message: &[u8], error: &ProtocolError) {
    match error {
        ProtocolError::Truncated { needed, left, .. } => {
            assert!(left < needed && *left <= message.len());
        }
        ProtocolError::Version { found, .. } => {
            assert!(message.starts_with(&found.to_le_bytes()));
        }
        // A field may end inside a character, so the whole may be UTF-8 although the field is not.
        ProtocolError::NotUtf8 { source, .. } => assert!(source.valid_up_to() < message.len()),
        other => panic!("{other:?}"),
    }
}

/// The bytes as what we send: its parts come back, and no cut of it is taken for the whole.
fn write(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let req_id: String = text.chars().take(30).collect();
    let command = Command::ALL[bytes.len() % Command::ALL.len()];
    if !is_usable(&req_id) {
        assert!(encode_file_answer(&req_id, bytes).is_err());
        return;
    }
    let answer = encode_file_answer(&req_id, bytes).unwrap();
    let file = decode_file_answer(&answer).unwrap();
    assert_eq!(
        (file.req_id, file.data, file.trailing),
        (&*req_id, bytes, 0)
    );

    let plain = encode_upload(command, &req_id, bytes).unwrap();
    let upload = decode_upload(&plain).unwrap();
    assert_eq!((upload.cmd, upload.req_id), (command.name(), &*req_id));
    assert_eq!(
        (upload.data, upload.args, upload.trailing),
        (bytes, None, 0)
    );

    let extended = encode_extended_upload(command, &req_id, bytes, &text).unwrap();
    let upload = decode_extended_upload(&extended).unwrap();
    assert_eq!((upload.cmd, upload.req_id), (command.name(), &*req_id));
    assert_eq!(
        (upload.data, upload.args, upload.trailing),
        (bytes, Some(&*text), 0)
    );

    let share = usize::from(bytes[0]);
    let cut = |message: &[u8]| message.len() * share / 256;
    assert!(decode_file_answer(&answer[..cut(&answer)]).is_err());
    assert!(decode_upload(&plain[..cut(&plain)]).is_err());
    assert!(decode_extended_upload(&extended[..cut(&extended)]).is_err());
}

fn is_usable(req_id: &str) -> bool {
    (1..=127).contains(&req_id.len())
}
