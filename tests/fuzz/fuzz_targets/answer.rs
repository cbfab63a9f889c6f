//! Answers to polls: nothing but a documented success is one, and no error or word repeats a credential.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let [vendor, status, body @ ..] = input else {
        return;
    };
    // Mostly the status under which most bodies are read.
    let status = if *status < 128 {
        200
    } else {
        u16::from(*status) * 4
    };
    match vendor % 6 {
        0 => textin::fuzz_oracle::poll(status, body),
        1 => mindshow::fuzz_oracle::poll(status, body),
        2 => ppj::fuzz_oracle::poll(status, false, body),
        3 => ppj::fuzz_oracle::poll(status, true, body),
        other => tencent_ess::fuzz_oracle::poll(status, other == 4, body),
    }
});
