//! Text and numbers: their formats and our extensions.

use anyhow::{Result, bail};

use super::document::Place;
use super::model::Type;

pub(crate) fn text(schema: &Place<'_>) -> Result<(Type, bool)> {
    schema.only_keys(&[
        "type",
        "description",
        "nullable",
        "default",
        "example",
        "format",
        "x-rust-name",
        "x-secret",
    ])?;
    if let Some(format) = schema.get("format") {
        let known = ["date", "date-time", "uri", "byte", "password"];
        if !known.contains(&format.text()?) {
            bail!(format.error(format_args!(
                "format `{}` is not supported here (supported: {})",
                format.text()?,
                known.join(", ")
            )));
        }
        if format.text()? == "password" && !schema.flag("x-secret")? {
            bail!(format.error("a password is a secret: set `x-secret`"));
        }
    }
    if !schema.flag("x-secret")? {
        return Ok((Type::Text, false));
    }
    match schema.get("default") {
        None => Ok((Type::Secret, false)),
        Some(default) => Err(default.error("a secret has no default")),
    }
}

pub(crate) fn number(
    schema: &Place<'_>,
    formats: &[(&str, Type)],
    plain: Type,
) -> Result<(Type, bool)> {
    schema.only_keys(&[
        "type",
        "description",
        "nullable",
        "default",
        "example",
        "format",
        "x-rust-name",
        "x-lenient",
    ])?;
    let ty = match schema.get("format") {
        None => plain,
        Some(format) => {
            let wanted = format.text()?;
            match formats.iter().find(|(name, _)| *name == wanted) {
                Some((_, ty)) => ty.clone(),
                None => {
                    bail!(format.error(format_args!("format `{wanted}` is not supported here")))
                }
            }
        }
    };
    Ok((ty, schema.flag("x-lenient")?))
}
