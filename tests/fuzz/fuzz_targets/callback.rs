//! Callbacks: forged ones are refused, right ones are opened, and no refusal repeats a key.
#![no_main]

use jobs_core::testing::debug_and_display;
use jobs_core::{Error, JobId, Secret};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use printer_jobs::cloud::{self, Framing};
use serde_json::Value;
use tencent_ess::webhook::parse;

const KEY: &str = "0123456789abcdef0123456789ABCDEF";
const AES_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
const TOKEN: &str = "s3cr3t-t0ken";

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    signature: &'a str,
    timestamp: &'a str,
    nonce: &'a str,
    target: &'a str,
    body: &'a [u8],
    encrypted: &'a str,
}

fuzz_target!(|input: Input<'_>| {
    webhook(input.body);
    query(&input);
    signed(&input);
    encrypted(&input);
    read(input.body);
});

/// The one without a signature names a job and nothing else.
fn webhook(body: &[u8]) {
    match textin::webhook::parse(body) {
        Ok(job) => {
            let plain: Result<Value, _> = serde_json::from_slice(body);
            if let Ok(plain) = plain {
                assert_eq!(plain["job_id"].as_str(), Some(job.as_str()));
            }
        }
        Err(error) => drop(debug_and_display(&error)),
    }
}

fn query(input: &Input<'_>) {
    let key = ppj::WebhookKey::new(Secret::new(TOKEN).unwrap()).with_older_rule();
    for callback in [
        ppj::WebhookRequest::get(input.target),
        ppj::WebhookRequest::post(input.target, input.body),
    ] {
        match callback.parse() {
            Ok(ppj::WebhookEvent::Verification { nonce }) => {
                let answer = callback.parse().unwrap().answer();
                let answer: Value = serde_json::from_str(&answer).unwrap();
                assert_eq!(answer["nonce"].as_str(), Some(&*nonce));
            }
            Ok(ppj::WebhookEvent::JobChanged(job)) => assert!(JobId::new(job.as_str()).is_ok()),
            Ok(other) => panic!("{other:?}"),
            // No key was given, so one in it is the sender's own word.
            Err(error) => drop(debug_and_display(&error)),
        }
        // Nobody but the vendor can sign.
        let signed = callback.with_signature(input.timestamp, input.signature);
        if let Ok(notice) = signed.parse_verified(&key) {
            assert!(
                matches!(notice, ppj::WebhookEvent::Verification { .. }),
                "{notice:?}"
            );
        }
    }
}

fn signed(input: &Input<'_>) {
    let plain = tencent_ess::WebhookKey::new();
    if let Err(error) = parse(input.body, Some(input.signature), &plain) {
        drop(debug_and_display(&error));
    }
    let keyed = plain.clone().with_key(Secret::new(KEY).unwrap()).unwrap();
    let body = serde_json::json!({ "encrypt": input.encrypted }).to_string();
    for body in [input.body, body.as_bytes()] {
        if let Err(error) = parse(body, None, &keyed) {
            refused(&error);
        }
        let guarded = keyed.clone().with_token(Secret::new(TOKEN).unwrap());
        refused(&parse(body, Some(input.signature), &guarded).unwrap_err());
        refused(&parse(body, None, &guarded).unwrap_err());
    }
}

fn encrypted(input: &Input<'_>) {
    let (token, aes_key) = (Secret::new(TOKEN).unwrap(), Secret::new(AES_KEY).unwrap());
    let bare = cloud::WebhookKey::new(token, &aes_key)
        .unwrap()
        .with_framing(Framing::Bare)
        .with_receiver("corp");
    let framed = bare.clone().with_framing(Framing::Prefixed);
    let Input {
        signature,
        timestamp,
        nonce,
        encrypted,
        ..
    } = *input;
    let forged = cloud::WebhookRequest::new(signature, timestamp, nonce, encrypted);
    refused(&framed.open(&forged).unwrap_err());
    if let Err(error) = cloud::WebhookRequest::from_body(signature, timestamp, nonce, input.body) {
        drop(debug_and_display(&error));
    }
    // Behind a signature that is right whatever it covers, the decryption is reached.
    let (bare, framed) = (
        bare.with_signature(|_| "x".into()),
        framed.with_signature(|_| "x".into()),
    );
    let callback = cloud::WebhookRequest::new("x", timestamp, nonce, encrypted);
    for key in [bare, framed] {
        match key.open(&callback) {
            Ok(text) => assert!(text.len() <= encrypted.len()),
            Err(error) => refused(&error),
        }
    }
}

/// What was decrypted is from the vendor, and may still be anything.
fn read(text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    match cloud::WebhookNotice::read(&text) {
        Ok(notice) => assert!(notice.req_id.is_none_or(|id| !id.is_empty())),
        Err(error) => drop(debug_and_display(&error)),
    }
}

/// By what was given the keys.
fn refused(error: &Error) {
    let said = debug_and_display(error);
    for secret in [KEY, AES_KEY, TOKEN] {
        assert!(!said.contains(secret), "{said}");
    }
}
