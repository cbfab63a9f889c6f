//! Links to results: what is followed stays on TLS and does not reach inside, what is signed is sent as it stands.
#![no_main]

use libfuzzer_sys::fuzz_target;

const BASES: [&str; 4] = [
    "https://api.example.com",
    "https://api.example.com:8443/v1/",
    "http://127.0.0.1:9000",
    "https://10.1.2.3",
];

fuzz_target!(|input: &[u8]| {
    let Some((base, link)) = input.split_first() else {
        return;
    };
    let link = String::from_utf8_lossy(link);
    match BASES.get(usize::from(*base % 8)) {
        Some(base) => jobs_core::fuzz_oracle::link(base, &link),
        None => {
            jobs_core::fuzz_oracle::link(&link, "https://files.example.com/x?sig=0123456789abcdef")
        }
    }
});
