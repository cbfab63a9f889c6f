//! The operations of a document: checked so that it stays true, but no code is made from them (clients are written by hand).

use anyhow::{Result, bail};

use super::document::{Node, Place};
use super::reader::Reader;

const METHODS: &[&str] = &["get", "put", "post", "delete", "patch"];

pub(crate) fn check<'a>(paths: &Place<'a>, reader: &Reader<'a>) -> Result<()> {
    let mut ids = Vec::new();
    for (_, path) in paths.entries()? {
        path.only_keys(METHODS)?;
        for (_, operation) in path.entries()? {
            check_operation(&operation, reader)?;
            let id = operation.need("operationId")?;
            if ids.contains(&id.text()?) {
                bail!(id.error(format_args!("operation id `{}` stands twice", id.text()?)));
            }
            ids.push(id.text()?);
        }
    }
    Ok(())
}

fn check_operation<'a>(operation: &Place<'a>, reader: &Reader<'a>) -> Result<()> {
    operation.only_keys(&[
        "operationId",
        "summary",
        "description",
        "tags",
        "parameters",
        "requestBody",
        "responses",
        "callbacks",
        "security",
    ])?;
    if let Some(parameters) = operation.get("parameters") {
        for parameter in parameters.items()? {
            parameter.only_keys(&["name", "in", "required", "description", "schema", "example"])?;
            check_plain(&parameter.need("schema")?, reader)?;
        }
    }
    if let Some(body) = operation.get("requestBody") {
        body.only_keys(&["description", "required", "content"])?;
        check_content(&body.need("content")?, reader)?;
    }
    for (_, response) in operation.need("responses")?.entries()? {
        response.only_keys(&["description", "content", "headers"])?;
        if let Some(content) = response.get("content") {
            check_content(&content, reader)?;
        }
    }
    if let Some(callbacks) = operation.get("callbacks") {
        for (_, callback) in callbacks.entries()? {
            for (_, path) in callback.entries()? {
                path.only_keys(METHODS)?;
                for (_, request) in path.entries()? {
                    check_operation(&request, reader)?;
                }
            }
        }
    }
    Ok(())
}

fn check_content<'a>(content: &Place<'a>, reader: &Reader<'a>) -> Result<()> {
    for (media, body) in content.entries()? {
        body.only_keys(&["schema", "encoding", "example", "examples"])?;
        let schema = body.need("schema")?;
        match media {
            "multipart/form-data" => check_form(&schema, reader)?,
            "application/json" => {
                if schema.get("$ref").is_none() {
                    bail!(schema.error("a JSON body is a reference to #/components/schemas/"));
                }
                reader.resolve(&schema)?;
            }
            _ => check_plain(&schema, reader)?,
        }
    }
    Ok(())
}

fn check_form<'a>(schema: &Place<'a>, reader: &Reader<'a>) -> Result<()> {
    schema.only_keys(&["type", "description", "properties", "required"])?;
    for (_, part) in schema.need("properties")?.entries()? {
        check_plain(&part, reader)?;
    }
    Ok(())
}

/// A part, parameter or raw body: a reference, or a scalar that the client writes by hand.
fn check_plain<'a>(schema: &Place<'a>, reader: &Reader<'a>) -> Result<()> {
    if schema.get("$ref").is_some() {
        return reader.resolve(schema).map(|_| ());
    }
    if let Some(all) = schema.get("allOf") {
        schema.only_keys(&["allOf", "description"])?;
        for member in all.items()? {
            reader.resolve(&member)?;
        }
        return Ok(());
    }
    schema.only_keys(&[
        "type",
        "format",
        "description",
        "example",
        "default",
        "enum",
        "x-secret",
    ])?;
    let kind = schema.need("type")?;
    match kind.node {
        Node::Text(kind) if ["string", "integer", "number", "boolean"].contains(&kind.as_str()) => {
            Ok(())
        }
        _ => Err(kind.error("a part or parameter is a scalar or a reference")),
    }
}
