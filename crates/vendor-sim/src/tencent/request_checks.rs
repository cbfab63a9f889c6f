//! What stands before every operation: headers, signature, time, version, action, host and rate.

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};

use super::Shared;
use super::answer::Refusal;
use super::body_reader::Received;
use super::params::{self, Shape};
use super::sign::{Authorization, Signed, UNSIGNED, digest, utc_date};
use super::state::Family;
use crate::lock::lock;
use crate::sliding_window::slack;

/// Tolerated difference between the clocks.
const TOLERANCE: u64 = 300;

/// One of the two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    General,
    Upload,
}

/// What an action does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Upload,
    Create,
    Query,
}

/// A known action of one of the two products.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Action {
    pub(crate) product: &'static str,
    pub(crate) deed: Deed,
    pub(crate) family: Family,
    pub(crate) shape: &'static Shape,
}

/// The name under which faults are scripted.
pub(crate) fn operation(headers: &HeaderMap) -> &'static str {
    match header(headers, "x-tc-action") {
        "UploadFiles" => "upload",
        "CreateFileConvertTask" | "ChannelCreateConvertTaskApi" | "CreateConvertTaskApi" => {
            "create"
        }
        "DescribeFileConvertTask" | "ChannelGetTaskResultApi" | "GetTaskResultApi" => "query",
        _ => "other",
    }
}

/// Lets a request through, as what it asks for and who asks (the id of the key).
pub(crate) fn pass(
    shared: &Shared,
    host: Host,
    parts: &Parts,
    received: &Received,
) -> Result<(Action, String), Refusal> {
    let headers = &parts.headers;
    let kind = header(headers, CONTENT_TYPE.as_str());
    let json = kind
        .split(';')
        .next()
        .is_some_and(|kind| kind.trim() == "application/json");
    if parts.method != Method::POST || parts.uri.path() != "/" || !json {
        return Err(Refusal::about(
            "UnsupportedProtocol",
            "method, path or content type",
        ));
    }
    for name in ["X-TC-Action", "X-TC-Version", "X-TC-Timestamp"] {
        if header(headers, &name.to_lowercase()).is_empty() {
            return Err(Refusal::missing(name));
        }
    }
    let name = header(headers, "x-tc-action");
    let account = authenticate(shared, host, parts, received)?;
    if received.too_large {
        return Err(Refusal::about("RequestSizeLimitExceeded", "body"));
    }
    let action = action(header(headers, "x-tc-version"), name)?;
    match (host, action.deed) {
        (Host::General, Deed::Upload) => return Err(no_such(name)),
        (Host::Upload, Deed::Create | Deed::Query) => {
            return Err(Refusal::new(
                "OperationDenied.Forbid",
                "操作禁止",
                "The operation is forbidden on this host.",
            ));
        }
        (Host::General, _) | (Host::Upload, Deed::Upload) => {}
    }
    if action.family == Family::Legacy && shared.rule(|options| options.legacy_retired) {
        return Err(Refusal::new(
            "ActionOffline",
            format!("接口 {name} 已下线"),
            format!("The action {name} has been taken offline."),
        ));
    }
    let slack = slack(
        &shared.common.clock,
        shared.rule(|options| options.qps_slack_ms),
    );
    lock(&shared.state).admit(&account, name, shared.now(), slack)?;
    Ok((action, account))
}

fn authenticate(
    shared: &Shared,
    host: Host,
    parts: &Parts,
    received: &Received,
) -> Result<String, Refusal> {
    let headers = &parts.headers;
    let malformed = || Refusal::about("AuthFailure.InvalidAuthorization", "Authorization");
    let wrong = || {
        Refusal::new(
            "AuthFailure.SignatureFailure",
            "签名错误，请检查签名计算过程",
            "The provided credentials could not be validated. Check your signature.",
        )
    };
    let authorization =
        Authorization::parse(header(headers, AUTHORIZATION.as_str())).ok_or_else(malformed)?;
    let named = |name: &str| authorization.signed.iter().any(|signed| signed == name);
    if !named("content-type") || !named("host") || !authorization.signed.is_sorted() {
        return Err(malformed());
    }
    let timestamp: u64 = header(headers, "x-tc-timestamp")
        .parse()
        .map_err(|_| Refusal::about("InvalidParameter", "X-TC-Timestamp"))?;
    let server = u64::try_from(shared.server_unix()).unwrap_or(0);
    if server.abs_diff(timestamp) > TOLERANCE {
        return Err(Refusal::new(
            "AuthFailure.SignatureExpire",
            format!("签名过期，请求时间与服务器时间相差超过五分钟，服务器时间 {server}"),
            format!(
                "The signature has expired: the request time differs from the server time by more than {TOLERANCE} seconds, server time {server}"
            ),
        ));
    }
    let options = shared.options();
    let key = lock(&shared.state)
        .secret_key(&authorization.secret_id)
        .map(str::to_owned);
    let key = key.ok_or_else(|| {
        Refusal::new(
            "AuthFailure.SecretIdNotFound",
            "密钥不存在",
            "The SecretId is not found.",
        )
    })?;
    if let Some(token) = &options.session_token
        && authorization.secret_id == options.secret_id
        && header(headers, "x-tc-token") != token
    {
        return Err(Refusal::about("AuthFailure.TokenFailure", "X-TC-Token"));
    }
    let product = match header(headers, "x-tc-version") {
        "2020-11-11" => "ess",
        _ => "essbasic",
    };
    let service = authorization.service.as_str();
    let known = service == product || (host == Host::Upload && service == "file");
    if authorization.date != utc_date(timestamp) || (options.check_service && !known) {
        return Err(wrong());
    }
    let values: Vec<(&str, &str)> = authorization
        .signed
        .iter()
        .map(|name| match name.as_str() {
            "host" => ("host", header(headers, HOST.as_str())),
            name => (name, header(headers, name)),
        })
        .collect();
    let unsigned = digest(UNSIGNED.as_bytes());
    let waived = options.unsigned_payload && header(headers, "x-tc-content-sha256") == UNSIGNED;
    let signed = Signed {
        method: parts.method.as_str(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &values,
        body_hash: if waived { &unsigned } else { &received.sha256 },
        timestamp,
        date: &authorization.date,
        service,
    };
    // A body beyond the limit was not hashed to its end.
    if !received.too_large && signed.signature(&key) != authorization.signature {
        return Err(wrong());
    }
    Ok(authorization.secret_id)
}

fn action(version: &str, name: &str) -> Result<Action, Refusal> {
    use Deed::{Create, Query, Upload};
    use Family::{Current, Legacy};
    let product = match version {
        "2021-05-26" => "essbasic",
        "2020-11-11" => "ess",
        _ => {
            return Err(Refusal::new(
                "NoSuchVersion",
                format!("接口版本 {version} 不存在"),
                format!("The version {version} does not exist; check endpoint and version."),
            ));
        }
    };
    let (deed, family, shape) = match (product, name) {
        ("essbasic", "UploadFiles") => (Upload, Current, &params::UPLOAD),
        ("essbasic", "CreateFileConvertTask") => (Create, Current, &params::CREATE),
        ("essbasic", "DescribeFileConvertTask") => (Query, Current, &params::QUERY),
        ("essbasic", "ChannelCreateConvertTaskApi") => (Create, Legacy, &params::LEGACY_CREATE),
        ("essbasic", "ChannelGetTaskResultApi") => (Query, Legacy, &params::LEGACY_QUERY),
        ("ess", "UploadFiles") => (Upload, Current, &params::COMPANY_UPLOAD),
        ("ess", "CreateFileConvertTask") => (Create, Current, &params::COMPANY_CREATE),
        ("ess", "DescribeFileConvertTask") => (Query, Current, &params::COMPANY_QUERY),
        ("ess", "CreateConvertTaskApi") => (Create, Legacy, &params::COMPANY_CREATE),
        ("ess", "GetTaskResultApi") => (Query, Legacy, &params::COMPANY_QUERY),
        _ => return Err(no_such(name)),
    };
    Ok(Action {
        product,
        deed,
        family,
        shape,
    })
}

fn no_such(name: &str) -> Refusal {
    Refusal::new(
        "InvalidAction",
        format!("接口 {name} 不存在"),
        format!("The action {name} does not exist."),
    )
}

/// A header's text, empty when there is none.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers
        .get(name)
        .and_then(|value| std::str::from_utf8(value.as_bytes()).ok())
        .unwrap_or_default()
}
