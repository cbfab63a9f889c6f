//! Matching answers to requests, against a cloud that answers in order, echoes what it likes, and loses or doubles answers.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| printer_jobs::fuzz_oracle::correlate(bytes));
