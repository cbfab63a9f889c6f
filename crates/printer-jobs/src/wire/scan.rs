//! `printer/upload_scan_file`: the arguments behind the file.

use serde::Serialize;

use crate::frame::encode_extended_upload;
use crate::{Command, ProtocolError};

/// Who gets the scan, and under which name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScanArgs {
    userid: String,
    filename: String,
}

impl ScanArgs {
    /// The member's id comes from a scan event or a job.
    ///
    /// # Errors
    ///
    /// The id has not 1 to 128 bytes, or the name not 1 to 256.
    pub fn new(userid: &str, filename: &str) -> Result<Self, ProtocolError> {
        check("userid", userid, 128, "must have 1 to 128 bytes")?;
        check("filename", filename, 256, "must have 1 to 256 bytes")?;
        Ok(Self {
            userid: userid.to_owned(),
            filename: filename.to_owned(),
        })
    }

    /// The binary message that delivers `data`.
    ///
    /// # Errors
    ///
    /// The request id is unusable or the data too long for the layout.
    pub(crate) fn encode(&self, req_id: &str, data: &[u8]) -> Result<Vec<u8>, ProtocolError> {
        let args = serde_json::to_string(self).map_err(ProtocolError::Json)?;
        encode_extended_upload(Command::UploadScanFile, req_id, data, &args)
    }
}

fn check(
    field: &'static str,
    text: &str,
    most: usize,
    rule: &'static str,
) -> Result<(), ProtocolError> {
    if text.is_empty() || text.len() > most {
        return Err(ProtocolError::Argument { field, rule });
    }
    Ok(())
}
