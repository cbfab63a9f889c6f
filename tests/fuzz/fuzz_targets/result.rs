//! Results of a parse: both ways of reading one agree, and neither takes a part for the whole.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| textin::fuzz_oracle::result(bytes));
