//! The reader of OpenAPI documents: any text is read or refused, and what is read can be written as Rust.
#![no_main]

#[path = "../../../xtask/src/codegen/document.rs"]
mod document;
#[path = "../../../xtask/src/codegen/emit.rs"]
mod emit;
#[path = "../../../xtask/src/codegen/model.rs"]
mod model;
#[path = "../../../xtask/src/codegen/names.rs"]
mod names;
#[path = "../../../xtask/src/codegen/open_enum.rs"]
mod open_enum;
#[path = "../../../xtask/src/codegen/operations.rs"]
mod operations;
#[path = "../../../xtask/src/codegen/reader.rs"]
mod reader;
#[path = "../../../xtask/src/codegen/recursion.rs"]
mod recursion;
#[path = "../../../xtask/src/codegen/scalar.rs"]
mod scalar;
#[path = "../../../xtask/src/codegen/setters.rs"]
mod setters;
#[path = "../../../xtask/src/codegen/tokens.rs"]
mod tokens;

use document::{Node, Place};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let text = match input.split_first() {
        // Only the schemas come from outside, so that they are reached at once.
        Some((b'S', schemas)) => format!(
            r#"{{"openapi":"3.0.3","info":{{}},"components":{{"schemas":{{{}}}}}}}"#,
            String::from_utf8_lossy(schemas)
        ),
        _ => String::from_utf8_lossy(input).into_owned(),
    };
    let Ok(node) = serde_json::from_str::<Node>(&text) else {
        return;
    };
    let root = Place::root(&node);
    match reader::open(&root).and_then(|reader| reader.items(&root)) {
        Ok(items) => {
            let written = emit::emit(&items);
            assert!(written.is_ok(), "{written:?}");
        }
        // Each refusal says where it was found.
        Err(refusal) => assert!(refusal.to_string().starts_with('#'), "{refusal}"),
    }
});
