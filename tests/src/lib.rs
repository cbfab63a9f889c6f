//! Properties that cross crates, checked against the simulators. The tests are in `it/`; the crash harness and the README's
//! example, which is compiled, are here.
#![doc = include_str!("../../README.md")]

/// Signals and `ptrace` are what it is made of.
#[cfg(unix)]
pub mod crash;

pub mod own_vendor;
