//! `UploadFiles`: the rules for files, all of them kept or none.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Shared;
use super::answer::Refusal;
use super::body_reader::Received;
use super::options::TencentOptions;
use super::params::required;
use super::sign::digest;
use super::source::{genuine, guess, is_image, suffix};
use super::state::{Owner, Upload};
use crate::clock::seconds;
use crate::lock::lock;

const MOST_FILES: usize = 20;
const LONGEST_NAME: usize = 200;
const YEAR: i64 = 365 * 86_400;

pub(crate) async fn upload(
    shared: &Shared,
    owner: &Owner,
    body: &Value,
    received: &Received,
) -> Result<Map<String, Value>, Refusal> {
    let options = shared.options();
    let types = accepted(required(body, "/BusinessType")?, &options)?;
    let infos = body
        .get("FileInfos")
        .and_then(Value::as_array)
        .filter(|infos| !infos.is_empty())
        .ok_or_else(|| Refusal::missing("FileInfos"))?;
    if infos.len() > MOST_FILES {
        return Err(Refusal::about("InvalidParameter", "FileInfos"));
    }
    let lifetime = lifetime(shared, body.get("Deadline"), &options)?;
    let mut uploads: Vec<Upload> = Vec::new();
    for info in infos {
        let upload = file(info, received, &types, &options).await?;
        if uploads
            .first()
            .is_some_and(|first| first.suffix != upload.suffix)
        {
            return Err(Refusal::about(
                "InvalidParameter",
                "FileInfos: files of different types",
            ));
        }
        uploads.push(upload);
    }
    let total = uploads.len();
    let (ids, expires) = lock(&shared.state).store(owner, uploads, lifetime, shared.now());
    let mut fields = Map::new();
    if owner.product == "essbasic" {
        let urls: Vec<String> = ids.iter().map(|id| link(shared, id)).collect();
        fields.insert("FileUrls".to_owned(), json!(urls));
    }
    fields.insert("FileIds".to_owned(), json!(ids));
    fields.insert("TotalCount".to_owned(), json!(total));
    if options.deadline_in_answer {
        let real = shared.common.clock.wall_of(expires).as_secs();
        fields.insert("Deadline".to_owned(), json!(real));
    }
    Ok(fields)
}

/// The address of an uploaded file.
pub(crate) fn link(shared: &Shared, id: &str) -> String {
    format!("{}/file/{id}?sign={}", shared.upload_base, mark(shared, id))
}

/// What makes an address genuine.
pub(crate) fn mark(shared: &Shared, id: &str) -> String {
    let mut text = digest(format!("{:032x} {id}", shared.link_key).as_bytes());
    text.truncate(24);
    text
}

fn accepted(business: &str, options: &TencentOptions) -> Result<Vec<String>, Refusal> {
    let list: &[&str] = match business {
        "DOCUMENT" => return Ok(options.document_types.clone()),
        "TEMPLATE" => &["pdf", "doc", "docx", "html"],
        "SEAL" | "BUSINESSLICENSE" => &["jpg", "jpeg", "png"],
        "ARCHIVE" => &["pdf", "zip"],
        _ => return Err(Refusal::about("InvalidParameter", "BusinessType")),
    };
    Ok(list.iter().map(|word| (*word).to_owned()).collect())
}

/// The wanted end is a time of day in the world; the lifetime made of it runs on the virtual clock.
fn lifetime(
    shared: &Shared,
    deadline: Option<&Value>,
    options: &TencentOptions,
) -> Result<Option<Duration>, Refusal> {
    let Some(deadline) = deadline else {
        return Ok(None);
    };
    if !options.deadline_allowed {
        return Err(Refusal::about("UnauthorizedOperation", "Deadline"));
    }
    let ahead = deadline
        .as_i64()
        .and_then(|deadline| deadline.checked_sub(shared.server_unix()))
        .filter(|ahead| (1..=YEAR).contains(ahead))
        .and_then(|ahead| u32::try_from(ahead).ok())
        .ok_or_else(|| Refusal::about("InvalidParameter", "Deadline"))?;
    Ok(Some(seconds(
        f64::from(ahead) * shared.common.clock.speed(),
    )))
}

async fn file(
    info: &Value,
    received: &Received,
    types: &[String],
    options: &TencentOptions,
) -> Result<Upload, Refusal> {
    let name = info.get("FileName").and_then(Value::as_str).unwrap_or("");
    if name.chars().count() > LONGEST_NAME {
        return Err(Refusal::about("InvalidParameter", "FileName"));
    }
    let encoded = required(info, "/FileBody")?;
    let limit = options.max_file_bytes.max(options.max_image_bytes);
    let bytes = received
        .file(encoded, limit)
        .await
        .filter(|bytes| bytes.size > 0)
        .ok_or_else(|| Refusal::about("InvalidParameter", "FileBody: not base64, or empty"))?;
    let suffix = if name.is_empty() {
        guess(&bytes.head).to_owned()
    } else {
        suffix(name).unwrap_or_default()
    };
    if !types.contains(&suffix) {
        return Err(Refusal::about(
            "InvalidParameter",
            "FileName: suffix not accepted",
        ));
    }
    if options.check_content && !genuine(&suffix, &bytes.head) {
        return Err(Refusal::about(
            "InvalidParameter",
            "FileName: suffix does not match the content",
        ));
    }
    let most = if is_image(&suffix) {
        options.max_image_bytes
    } else {
        options.max_file_bytes
    };
    if bytes.too_large || bytes.size > most {
        return Err(Refusal::about("LimitExceeded.FileSize", "FileBody"));
    }
    Ok(Upload {
        name: name.to_owned(),
        suffix,
        bytes,
    })
}
