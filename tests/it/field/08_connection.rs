//! Trouble of a connection is told with the address, its last cause, and what to set.

use std::net::TcpListener;

use super::stand_in::{StandIn, Vendor};

fn vendor() -> StandIn {
    StandIn::new(Vendor::TextIn, |_, _| None)
}

/// An address at which nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn a_refused_connection_is_told_with_its_address() {
    let (vendor, address) = (vendor(), nobody());
    let url = format!("http://{address}");
    let variables = [("TEXTIN_SERVER_URL", url.as_str())];
    let ran = vendor.run_with(&vendor.purchase(), &variables);
    ran.ended(8, &[&address]);
    assert!(ran.stderr.to_lowercase().contains("refused"), "{ran:#?}");
    let doctor = vendor.run_with(&["doctor"], &variables);
    let told = format!("{}{}", doctor.stdout, doctor.stderr);
    assert!(
        told.contains(&address) && told.to_lowercase().contains("refused"),
        "{told}"
    );
}

#[test]
fn a_peer_that_speaks_no_tls_is_told_with_its_address() {
    let vendor = vendor();
    let address = vendor.url().trim_start_matches("http://").to_owned();
    let url = format!("https://{address}");
    let ran = vendor.run_with(&vendor.purchase(), &[("TEXTIN_SERVER_URL", &url)]);
    ran.ended(8, &[&address]);
    assert!(
        !ran.stderr.contains("HTTPS_PROXY"),
        "no proxy is set: {ran:#?}"
    );
}

#[test]
fn a_broken_list_of_certificates_is_named() {
    let vendor = vendor();
    std::fs::write(vendor.path("ca.pem"), "no certificate").unwrap();
    let (url, file) = (
        vendor.url().replace("http:", "https:"),
        vendor.path("ca.pem"),
    );
    let file = file.to_str().unwrap();
    let variables = [("TEXTIN_SERVER_URL", url.as_str()), ("SSL_CERT_FILE", file)];
    let ran = vendor.run_with(&vendor.purchase(), &variables);
    assert!(matches!(ran.exit, Some(2 | 8)), "{ran:#?}");
    assert!(ran.stderr.contains("SSL_CERT_FILE"), "{ran:#?}");
}

#[test]
fn a_proxy_is_named_without_its_password() {
    let (vendor, address) = (vendor(), nobody());
    let proxy = format!("http://user:s3cret@{address}");
    let variables = [
        ("TEXTIN_SERVER_URL", "https://vendor.example"),
        ("HTTPS_PROXY", &*proxy),
        ("DOCJOBS_TIME_SCALE", "1"),
    ];
    let parse = ["textin", "parse", "a.pdf", "-o", "r", "--deadline", "3s"];
    for line in [&parse[..], &["doctor"]] {
        let ran = vendor.run_with(line, &variables);
        let told = format!("{}{}", ran.stdout, ran.stderr);
        assert!(
            told.contains("HTTPS_PROXY") && told.contains(&address),
            "{told}"
        );
        assert!(!told.contains("s3cret"), "{told}");
    }
}
