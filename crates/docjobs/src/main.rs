//! The `docjobs` command.

fn main() {}
