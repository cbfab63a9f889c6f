//! Requests that a simulator makes itself (webhooks, files fetched by address): plain HTTP to loopback, nothing else.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::uri::Scheme;
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use bytes::Bytes;
use futures_util::StreamExt;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::clock::VirtualClock;
use crate::spool::{Spool, Spooled};

/// Real time that a foreign server may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// More of a foreign answer is not looked at.
const ANSWER_LIMIT: usize = 64 << 10;

/// Fetches a file into a spool.
///
/// # Errors
///
/// Why it could not be had, in words fit for a failed job's message.
pub async fn fetch(clock: &VirtualClock, url: &str, limit: u64) -> Result<Spooled, String> {
    let work = async {
        let response = send(url, Method::GET, None).await?;
        if !response.status().is_success() {
            return Err(format!(
                "file_url answered HTTP {}",
                response.status().as_u16()
            ));
        }
        let mut spool = Spool::new(limit).map_err(|error| error.to_string())?;
        let mut data = response.into_body().into_data_stream();
        while let Some(bytes) = data.next().await {
            let bytes = bytes.map_err(|error| format!("file_url broke off: {error}"))?;
            spool
                .write(&bytes)
                .await
                .map_err(|error| error.to_string())?;
        }
        spool.finish().await.map_err(|error| error.to_string())
    };
    clock
        .within_real(PATIENCE, work)
        .await
        .unwrap_or_else(|| Err("file_url did not answer in time".to_owned()))
}

/// Posts JSON and returns the status of the answer.
///
/// # Errors
///
/// Why there was none.
pub async fn post_json(clock: &VirtualClock, url: &str, body: String) -> Result<u16, String> {
    let work = async { Ok(send(url, Method::POST, Some(body)).await?.status().as_u16()) };
    clock
        .within_real(PATIENCE, work)
        .await
        .unwrap_or_else(|| Err("no answer in time".to_owned()))
}

/// A request of any kind: status and the first bytes of the answer's body.
///
/// # Errors
///
/// Why there was no answer.
pub async fn exchange(
    clock: &VirtualClock,
    url: &str,
    method: Method,
    headers: &[(HeaderName, HeaderValue)],
    body: String,
) -> Result<(u16, Vec<u8>), String> {
    let work = async {
        let response = send_with(url, method, headers, body).await?;
        let status = response.status().as_u16();
        let mut data = response.into_body().into_data_stream();
        let mut kept = Vec::new();
        while let Some(bytes) = data.next().await {
            let bytes = bytes.map_err(|error| format!("the answer broke off: {error}"))?;
            kept.extend_from_slice(&bytes);
            if kept.len() > ANSWER_LIMIT {
                break;
            }
        }
        Ok((status, kept))
    };
    clock
        .within_real(PATIENCE, work)
        .await
        .unwrap_or_else(|| Err("no answer in time".to_owned()))
}

/// The socket address of a plain HTTP address on this machine; `None` for everything else.
#[must_use]
pub fn loopback(url: &Uri) -> Option<SocketAddr> {
    if url.scheme() != Some(&Scheme::HTTP) {
        return None;
    }
    let host = url.host()?.trim_matches(['[', ']']);
    let address = match host {
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => host.parse().ok()?,
    };
    address
        .is_loopback()
        .then(|| SocketAddr::new(address, url.port_u16().unwrap_or(80)))
}

async fn send(url: &str, method: Method, body: Option<String>) -> Result<Response<Body>, String> {
    let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let headers = body.as_ref().map(|_| json);
    send_with(url, method, headers.as_slice(), body.unwrap_or_default()).await
}

async fn send_with(
    url: &str,
    method: Method,
    headers: &[(HeaderName, HeaderValue)],
    body: String,
) -> Result<Response<Body>, String> {
    let url: Uri = url.parse().map_err(|_| "not an address".to_owned())?;
    let address =
        loopback(&url).ok_or("the simulator reaches loopback addresses by plain HTTP only")?;
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| format!("cannot connect: {error}"))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    // Ends by itself when the answer's body has been read or dropped.
    tokio::spawn(connection);
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let host = url.authority().map_or("", |authority| authority.as_str());
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, host);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let body = Body::from(Bytes::from(body));
    let request = request.body(body).map_err(|error| error.to_string())?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| format!("no answer: {error}"))?;
    Ok(response.map(Body::new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_on_this_machine_is_reached() {
        let reach = |url: &str| loopback(&url.parse().unwrap()).map(|address| address.to_string());
        assert_eq!(
            reach("http://127.0.0.1:81/x").as_deref(),
            Some("127.0.0.1:81")
        );
        assert_eq!(reach("http://localhost/x").as_deref(), Some("127.0.0.1:80"));
        assert_eq!(reach("http://[::1]:9/x").as_deref(), Some("[::1]:9"));
        assert_eq!(reach("https://127.0.0.1/x"), None);
        assert_eq!(reach("http://example.com/x"), None);
        assert_eq!(reach("http://127.0.0.1.example.com/x"), None);
        assert_eq!(reach("/x"), None);
    }
}
