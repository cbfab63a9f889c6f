//! Binary messages: every layout reads any bytes without going astray, and writes back what it read.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| printer_jobs::fuzz_oracle::frame(bytes));
