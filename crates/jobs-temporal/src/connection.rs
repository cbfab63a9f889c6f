//! The way to the Temporal server, by the variables that all of Temporal's tools read.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use temporalio_client::{
    Client, ClientOptions, ClientTlsOptions, Connection, ConnectionOptions, TlsOptions, Url,
};

/// How long a connection is tried before the worker says that the server is away.
const CONNECT: Duration = Duration::from_secs(10);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// A variable, or an option, cannot be used.
    #[error("{name} is not usable: {problem}")]
    Variable {
        /// The variable.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// The server does not answer.
    #[error("cannot reach the Temporal server at {address}: {problem}")]
    Unreachable {
        /// The server.
        address: String,
        /// What kept it from answering.
        problem: String,
    },
}

impl ConnectError {
    fn variable(name: &str, problem: impl ToString) -> Self {
        Self::Variable {
            name: name.to_owned(),
            problem: problem.to_string(),
        }
    }
}

/// Connects to `address` (else `TEMPORAL_ADDRESS`, else the server on this machine) and `namespace` (else
/// `TEMPORAL_NAMESPACE`, else `default`), with the API key and certificates that `TEMPORAL_API_KEY` and `TEMPORAL_TLS_*` name.
///
/// # Errors
/// [`ConnectError`].
pub async fn connect(
    address: Option<&str>,
    namespace: Option<&str>,
    identity: String,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Client, ConnectError> {
    let lookup = |name: &str| lookup(name).filter(|value| !value.is_empty());
    let text = |given: Option<&str>, name: &str, usual: &str| {
        given
            .map(str::to_owned)
            .or_else(|| lookup(name))
            .unwrap_or_else(|| usual.to_owned())
    };
    let address = text(address, "TEMPORAL_ADDRESS", "127.0.0.1:7233");
    let namespace = text(namespace, "TEMPORAL_NAMESPACE", "default");
    let api_key = lookup("TEMPORAL_API_KEY");
    let tls = tls(&lookup, api_key.is_some())?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = if address.contains("://") {
        address.clone()
    } else {
        format!("{scheme}://{address}")
    };
    let url: Url = url
        .parse()
        .map_err(|problem| ConnectError::variable("the address of the Temporal server", problem))?;
    let options = ConnectionOptions::new(url)
        .identity(identity)
        .connect_timeout(CONNECT)
        .maybe_tls_options(tls)
        .maybe_api_key(api_key)
        .maybe_headers(headers())
        .build();
    let unreachable = |problem: String| ConnectError::Unreachable {
        address: address.clone(),
        problem,
    };
    let connection = Connection::connect(options)
        .await
        .map_err(|problem| unreachable(chain(&problem)))?;
    Client::new(connection, ClientOptions::new(namespace).build())
        .map_err(|problem| unreachable(problem.to_string()))
}

/// TLS as the variables say: on where one of them names a certificate or an API key is in use, unless it is switched off.
fn tls(
    lookup: &impl Fn(&str) -> Option<String>,
    has_api_key: bool,
) -> Result<Option<TlsOptions>, ConnectError> {
    let ca = bytes(lookup, "TEMPORAL_TLS_SERVER_CA_CERT")?;
    let certificate = bytes(lookup, "TEMPORAL_TLS_CLIENT_CERT")?;
    let key = bytes(lookup, "TEMPORAL_TLS_CLIENT_KEY")?;
    let domain = lookup("TEMPORAL_TLS_SERVER_NAME");
    if switch(lookup, "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION")? == Some(true) {
        return Err(ConnectError::variable(
            "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION",
            "this worker carries credentials and always verifies the host",
        ));
    }
    let is_asked_for =
        has_api_key || ca.is_some() || certificate.is_some() || key.is_some() || domain.is_some();
    if !switch(lookup, "TEMPORAL_TLS")?.unwrap_or(is_asked_for) {
        return Ok(None);
    }
    let client = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(
            ClientTlsOptions::builder()
                .client_cert(certificate)
                .client_private_key(key)
                .build(),
        ),
        (None, None) => None,
        (Some(_), None) => {
            return Err(ConnectError::variable(
                "TEMPORAL_TLS_CLIENT_KEY_PATH",
                "a client certificate needs its key",
            ));
        }
        (None, Some(_)) => {
            return Err(ConnectError::variable(
                "TEMPORAL_TLS_CLIENT_CERT_PATH",
                "a client key needs its certificate",
            ));
        }
    };
    Ok(Some(
        TlsOptions::builder()
            .maybe_server_root_ca_cert(ca)
            .maybe_domain(domain)
            .maybe_client_tls_options(client)
            .build(),
    ))
}

/// The bytes that `NAME_DATA` holds or `NAME_PATH` names.
fn bytes(
    lookup: &impl Fn(&str) -> Option<String>,
    name: &str,
) -> Result<Option<Vec<u8>>, ConnectError> {
    let (data, path) = (format!("{name}_DATA"), format!("{name}_PATH"));
    match (lookup(&data), lookup(&path)) {
        (Some(_), Some(_)) => Err(ConnectError::variable(
            &data,
            format!("{path} is set too; set one of them"),
        )),
        (Some(text), None) => Ok(Some(text.into_bytes())),
        (None, Some(file)) => match std::fs::read(PathBuf::from(&file)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(problem) => Err(ConnectError::variable(
                &path,
                format!("cannot read {file}: {problem}"),
            )),
        },
        (None, None) => Ok(None),
    }
}

fn switch(
    lookup: &impl Fn(&str) -> Option<String>,
    name: &str,
) -> Result<Option<bool>, ConnectError> {
    match lookup(name).as_deref() {
        None => Ok(None),
        Some("true" | "1") => Ok(Some(true)),
        Some("false" | "0") => Ok(Some(false)),
        Some(other) => Err(ConnectError::variable(
            name,
            format!("it is {other:?}; set true or false"),
        )),
    }
}

/// `TEMPORAL_GRPC_META_SOME_KEY` is sent as the header `some-key`.
fn headers() -> Option<HashMap<String, String>> {
    let headers: HashMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter_map(|(name, value)| {
            let key = name.strip_prefix("TEMPORAL_GRPC_META_")?;
            Some((key.to_ascii_lowercase().replace('_', "-"), value))
        })
        .collect();
    (!headers.is_empty()).then_some(headers)
}

/// An error and its causes in one line, each said once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls_of(
        variables: &[(&str, &str)],
        has_api_key: bool,
    ) -> Result<Option<TlsOptions>, ConnectError> {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        tls(&lookup, has_api_key)
    }

    #[test]
    fn tls_is_on_where_a_variable_or_a_key_asks_for_it() {
        assert!(tls_of(&[], false).unwrap().is_none());
        assert!(tls_of(&[], true).unwrap().is_some());
        assert!(
            tls_of(&[("TEMPORAL_TLS", "true")], false)
                .unwrap()
                .is_some()
        );
        assert!(
            tls_of(&[("TEMPORAL_TLS", "false")], true)
                .unwrap()
                .is_none()
        );
        let named = tls_of(&[("TEMPORAL_TLS_SERVER_NAME", "t.example")], false)
            .unwrap()
            .unwrap();
        assert_eq!(named.domain.as_deref(), Some("t.example"));
    }

    #[test]
    fn half_a_client_certificate_and_an_unverified_host_are_refused() {
        for variables in [
            &[("TEMPORAL_TLS_CLIENT_CERT_DATA", "x")][..],
            &[("TEMPORAL_TLS_CLIENT_KEY_DATA", "x")],
            &[("TEMPORAL_TLS", "yes")],
            &[("TEMPORAL_TLS_DISABLE_HOST_VERIFICATION", "true")],
            &[("TEMPORAL_TLS_SERVER_CA_CERT_PATH", "/nowhere/ca.pem")],
            &[
                ("TEMPORAL_TLS_SERVER_CA_CERT_PATH", "/nowhere/ca.pem"),
                ("TEMPORAL_TLS_SERVER_CA_CERT_DATA", "x"),
            ],
        ] {
            assert!(tls_of(variables, false).is_err(), "{variables:?}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_named() {
        let error = connect(Some("127.0.0.1:9"), None, "test".to_owned(), |_| None)
            .await
            .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot reach the Temporal server at 127.0.0.1:9: "),
            "{error}"
        );
    }
}
