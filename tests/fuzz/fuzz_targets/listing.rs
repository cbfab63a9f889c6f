//! Answers to lists of jobs: whatever they hold, they are read or refused without repeating a credential.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let [vendor, status, body @ ..] = input else {
        return;
    };
    let status = if *status < 128 {
        200
    } else {
        u16::from(*status) * 4
    };
    match vendor % 3 {
        0 => mindshow::fuzz_oracle::listing(status, body),
        1 => ppj::fuzz_oracle::listing(status, body),
        _ => printer_jobs::cloud::fuzz_oracle::listing(status, body),
    }
});
