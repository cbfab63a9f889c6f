//! The printer's connection goes through the proxy that the others take.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

use super::stand_in::{StandIn, Vendor};

/// A proxy that refuses everything with this status, and keeps what it is asked.
fn proxy(status: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let told = Arc::<Mutex<Vec<String>>>::default();
    let here = Arc::clone(&told);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) > 0 {
                head.push(byte[0]);
            }
            here.lock()
                .unwrap()
                .push(String::from_utf8_lossy(&head).into_owned());
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (address, told)
}

#[test]
fn the_proxy_is_asked_for_the_connection_with_its_login() {
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        let (address, told) = proxy("403 Forbidden");
        let vendor = StandIn::new(Vendor::TextIn, |_, _| None);
        let url = format!("http://user:s3cret@{address}");
        let ran = vendor.run_with(
            &["printer", "list"],
            &[
                (name, url.as_str()),
                ("WECOM_PRINTER_SN", "SN0001"),
                ("WECOM_PRINTER_SECRET_NO", "secret-no-0001"),
                ("WECOM_PRINTER_URL", "wss://printer.example/ws"),
                ("WECOM_PRINTER_STATE", "state"),
                ("DOCJOBS_TIME_SCALE", "1"),
            ],
        );
        ran.ended(8, &[]);
        assert!(!ran.stderr.contains("s3cret"), "{ran:#?}");
        let told = told.lock().unwrap();
        let first = told.first().map(String::as_str).unwrap_or_default();
        assert!(
            first.starts_with("CONNECT printer.example:443 "),
            "{name}: {told:?} {ran:#?}"
        );
        // `user:s3cret`
        assert!(
            first
                .to_lowercase()
                .contains("proxy-authorization: basic dxnlcjpzm2nyzxq="),
            "{first}"
        );
    }
}
