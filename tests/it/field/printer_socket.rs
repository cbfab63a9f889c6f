//! A cloud that only takes, or only talks, must end a printer's command in time and fill no memory. The peer is a bare
//! socket: what it says is said byte for byte.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tokio::process::Command;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::stand_in::header;
use crate::clock;
use crate::docjobs;
use crate::faults::commands::{Pace, SPEED, ended};

const PACE: Pace = Pace::new(SPEED, 120);

/// What the peer does with a connection whose request it has read.
type Manner = fn(&mut TcpStream, &str) -> std::io::Result<()>;

/// Runs a printer once against such a peer. Says how it ended, and how much was said to it.
async fn printed(manner: Manner) -> (String, u64) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let said = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&said);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let counted = Arc::clone(&counted);
            thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) > 0 {
                    head.push(byte[0]);
                }
                counted.fetch_add(1, Ordering::SeqCst);
                let _ = manner(&mut stream, &String::from_utf8_lossy(&head));
            });
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let child = Command::new(docjobs())
        .args(["printer", "run", "--spool", "out", "--exec", "true"])
        .args(["--once", "--deadline", &PACE.deadline()])
        .current_dir(folder.path())
        .env_clear()
        .env("HOME", folder.path())
        .env("DOCJOBS_LEDGER", folder.path().join("ledger.db"))
        .env("DOCJOBS_TIME_SCALE", SPEED.to_string())
        .env("WECOM_PRINTER_SN", "SN0001")
        .env("WECOM_PRINTER_SECRET_NO", "secret-no-0001")
        .env("WECOM_PRINTER_URL", url)
        .env("WECOM_PRINTER_STATE", folder.path().join("state"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let ended = ended(child).await;
    let how = format!("{}{}", ended.exit(), ended.excess(PACE));
    (how + "\n" + &ended.stderr, said.load(Ordering::SeqCst))
}

async fn ends_in_time(manner: Manner) {
    let (how, connections) = printed(manner).await;
    assert!(how.starts_with("8\n"), "{how}");
    assert!(connections > 0, "{how}");
}

fn upgrade(stream: &mut TcpStream, head: &str) -> std::io::Result<()> {
    let key = header(head, "sec-websocket-key").unwrap_or_default();
    let accept = derive_accept_key(key.as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes())
}

fn for_ever(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    let many = bytes.repeat(1 + 65_536 / bytes.len());
    loop {
        stream.write_all(&many)?;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_takes_the_connection_and_nothing_more() {
    ends_in_time(|stream, head| {
        upgrade(stream, head)?;
        // Longer than any patience; nothing is read meanwhile.
        clock::hold(Duration::from_secs(90));
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_pings_and_never_reads() {
    ends_in_time(|stream, head| {
        upgrade(stream, head)?;
        for_ever(stream, &[&[0x89, 125][..], &[b'p'; 125]].concat())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_pieces_that_never_ends() {
    ends_in_time(|stream, head| {
        upgrade(stream, head)?;
        stream.write_all(&[0x01, 0])?;
        for_ever(stream, &[&[0x00, 125][..], &[b't'; 125]].concat())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_run_of_interim_heads() {
    ends_in_time(|stream, _| for_ever(stream, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_never_ends() {
    ends_in_time(|stream, _| {
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\n")?;
        for_ever(stream, b"X-Padding: 0123456789abcdef\r\n")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_never_ends() {
    ends_in_time(|stream, _| {
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nX-Padding: ")?;
        for_ever(stream, b"0123456789abcdef")
    })
    .await;
}
