//! Lists of words: which variant stands for which word.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::document::{Place, description};
use super::model::{OTHER, OpenEnum, Word};
use super::names;

pub(crate) fn read(name: &str, schema: &Place<'_>) -> Result<OpenEnum> {
    schema.only_keys(&[
        "type",
        "description",
        "nullable",
        "default",
        "example",
        "enum",
        "x-enum-names",
        "x-rust-name",
    ])?;
    let kind = schema.need("type")?;
    if kind.text()? != "string" {
        bail!(kind.error("only enums of strings are supported: declare the plain type and list the values in words"));
    }
    Ok(OpenEnum {
        name: name.to_owned(),
        doc: description(schema)?.unwrap_or_else(|| format!("`{name}` in the vendor's documents.")),
        words: words(schema)?,
    })
}

pub(crate) fn words(schema: &Place<'_>) -> Result<Vec<Word>> {
    let listed = schema.need("enum")?;
    let mut given: BTreeMap<&str, Place<'_>> = BTreeMap::new();
    if let Some(place) = schema.get("x-enum-names") {
        given.extend(place.entries()?);
    }
    let mut words: Vec<Word> = Vec::new();
    for place in listed.items()? {
        let word = place.text()?;
        let variant = match given.remove(word) {
            Some(name) => name.text()?.to_owned(),
            None => names::pascal(word),
        };
        if !names::is_type_name(&variant) {
            bail!(place.error(format_args!(
                "`{variant}` cannot name a variant; name `{word}` in `x-enum-names`"
            )));
        }
        if variant == OTHER || words.iter().any(|known| known.variant == variant) {
            bail!(place.error(format_args!(
                "variant `{variant}` is taken; name `{word}` in `x-enum-names`"
            )));
        }
        words.push(Word {
            word: word.to_owned(),
            variant,
        });
    }
    if let Some((word, place)) = given.into_iter().next() {
        bail!(place.error(format_args!("`{word}` is not one of the words")));
    }
    Ok(words)
}
