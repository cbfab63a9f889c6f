//! Streams of events: the same events however the stream is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let [cut, step, stream @ ..] = input else {
        return;
    };
    mindshow::fuzz_oracle::events(stream, usize::from(*cut), usize::from(*step));
});
