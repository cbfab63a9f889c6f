//! Text messages: any bytes are read or refused, and what is read is what the JSON says.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| printer_jobs::fuzz_oracle::envelope(bytes));
