//! Properties that cross crates, checked against the simulators. The tests are in `it/`; the README's example is compiled
//! here.
#![doc = include_str!("../../README.md")]
