//! Prints the public API that the rustdoc JSON at a path describes, one item a line.

use std::error::Error;
use std::io::Write as _;

use public_api::Builder;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("say where the JSON is")?;
    // What every type has by itself says nothing about a change of ours.
    let api = Builder::from_rustdoc_json(std::path::PathBuf::from(path))
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()?;
    let mut out = std::io::stdout().lock();
    for item in api.items() {
        writeln!(out, "{item}")?;
    }
    Ok(())
}
