//! Tickets: any text is read or refused, what is read comes back as written, and a wrong character is noticed.
#![no_main]

use std::time::{Duration, SystemTime};

use jobs_core::vendor::{Account, InvalidTicket};
use jobs_core::{JobId, Ticket};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
enum Input<'a> {
    Text(&'a str),
    Parts(Parts<'a>),
}

#[derive(Debug, Arbitrary)]
struct Parts<'a> {
    vendor: &'a str,
    kind: &'a str,
    identity: &'a str,
    accepted: u32,
    id: &'a str,
    wrong_at: u8,
    wrong: u8,
}

fuzz_target!(|input: Input<'_>| {
    match input {
        Input::Text(text) => read(text),
        Input::Parts(parts) => write(&parts),
    }
});

fn read(text: &str) {
    let begins_so = text.trim_start().starts_with("docjobs");
    match text.parse::<Ticket>() {
        Ok(ticket) => {
            assert!(begins_so);
            comes_back(&ticket);
        }
        Err(error) => {
            assert_eq!(error.to_string().lines().count(), 1);
            assert!(begins_so || error == InvalidTicket::NotATicket, "{error}");
        }
    }
}

fn write(parts: &Parts<'_>) {
    let Ok(id) = JobId::new(parts.id) else {
        return;
    };
    let names = [parts.vendor, parts.kind].map(as_name);
    let [vendor, kind] = &names;
    let account = Account::of(vendor, parts.identity);
    let accepted = SystemTime::UNIX_EPOCH + Duration::from_secs(parts.accepted.into());
    let made = Ticket::new(vendor, kind, account, accepted, id.clone());
    let Ok(ticket) = made else {
        assert!(names.iter().any(|name| !(1..=20).contains(&name.len())));
        return;
    };
    assert_eq!((ticket.vendor(), ticket.kind()), (&**vendor, &**kind));
    assert_eq!((ticket.account(), ticket.accepted()), (account, accepted));
    assert_eq!(ticket.id(), &id);
    comes_back(&ticket);
    wrong_character_is_noticed(&ticket, parts.wrong_at, parts.wrong);
}

/// Most texts are no names; their length is what is tried here.
fn as_name(text: &str) -> String {
    let letter = |byte: u8| match byte {
        b'a'..=b'z' | b'0'..=b'9' | b'-' => char::from(byte),
        other => char::from(b'a' + other % 26),
    };
    text.bytes().map(letter).collect()
}

fn comes_back(ticket: &Ticket) {
    let text = ticket.to_string();
    assert!(text.len() <= Ticket::MAX_LEN, "{} bytes", text.len());
    assert_eq!(text.parse().as_ref(), Ok(ticket), "{text}");
    let padded = format!(" {text}\n");
    assert_eq!(padded.parse().as_ref(), Ok(ticket), "{text}");
}

fn wrong_character_is_noticed(ticket: &Ticket, at: u8, wrong: u8) {
    let mut bytes = ticket.to_string().into_bytes();
    let at = usize::from(at) % bytes.len();
    bytes[at] = wrong % 128;
    let Ok(text) = String::from_utf8(bytes) else {
        return;
    };
    if let Ok(read) = text.parse::<Ticket>() {
        assert_eq!(&read, ticket, "{text}");
    }
}
