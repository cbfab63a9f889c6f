//! From the document to the model: which schemas become which items.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use super::document::{Node, Place, description};
use super::model::{DefaultValue, EXTRA, Field, Item, Setters, Struct, Type};
use super::{names, open_enum, recursion, scalar};

/// Asks for setters: `true` for the struct itself, or the name of the request in `crate::request` that holds it.
const SETTERS: &str = "x-rust-setters";

/// Asks for a list of the options as data.
const OPTION_LIST: &str = "x-rust-option-list";

/// Deeper nesting than this is a reference that leads back to itself.
const MAX_DEPTH: usize = 40;

/// Begins with a document: whether it is one, and where its schemas are.
pub(crate) fn open<'a>(root: &Place<'a>) -> Result<Reader<'a>> {
    root.only_keys(&[
        "openapi",
        "info",
        "servers",
        "security",
        "tags",
        "paths",
        "components",
        "externalDocs",
    ])?;
    let version = root.need("openapi")?;
    if !version.text()?.starts_with("3.0.") {
        bail!(version.error("only OpenAPI 3.0.x is supported"));
    }
    let components = root.need("components")?;
    components.only_keys(&["schemas", "securitySchemes"])?;
    Ok(Reader {
        schemas: components.need("schemas")?,
    })
}

/// Resolves references and turns schemas into types.
pub(crate) struct Reader<'a> {
    schemas: Place<'a>,
}

/// What a schema says about a value.
struct Reading<'a> {
    ty: Type,
    nullable: bool,
    lenient: bool,
    doc: Option<String>,
    default: Option<DefaultValue>,
    rust_name: Option<Place<'a>>,
}

/// The properties of an object, those of `allOf` members included.
#[derive(Default)]
struct Members<'a> {
    properties: Vec<(&'a str, Place<'a>)>,
    required: Vec<(&'a str, Place<'a>)>,
    keeps_unknown: bool,
    setters: Option<Setters>,
    has_option_list: bool,
}

impl<'a> Reader<'a> {
    /// Every schema, in the document's own order.
    pub(crate) fn items(&self, root: &Place<'a>) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        for (name, schema) in self.schemas.entries()? {
            self.component(name, &schema, &mut items)?;
        }
        unique_names(&items, root)?;
        recursion::box_direct(&mut items);
        Ok(items)
    }

    /// The schema that a `$ref` names, and its name.
    pub(crate) fn resolve(&self, reference: &Place<'a>) -> Result<(&'a str, Place<'a>)> {
        reference.only_keys(&["$ref"]).map_err(|_| {
            reference
                .error("nothing may stand beside `$ref`: put the reference into an `allOf` of one")
        })?;
        let target = reference.need("$ref")?;
        let Some(name) = target.text()?.strip_prefix("#/components/schemas/") else {
            bail!(target.error("only references to #/components/schemas/ are supported"));
        };
        self.schemas
            .entries()?
            .into_iter()
            .find(|(known, _)| *known == name)
            .ok_or_else(|| target.error(format_args!("there is no schema `{name}`")))
    }

    fn component(&self, name: &str, schema: &Place<'a>, items: &mut Vec<Item>) -> Result<()> {
        if is_item(schema) {
            let name = type_name(name, schema)?;
            self.item(&name, schema, items, 0)
        } else {
            // Stands for a type without a name of its own; its users repeat it. Read once so that errors are seen.
            let mut made_by_users = Vec::new();
            self.value(schema, &names::pascal(name), &mut made_by_users, 0)
                .map(|_| ())
        }
    }

    fn item(
        &self,
        name: &str,
        schema: &Place<'a>,
        items: &mut Vec<Item>,
        depth: usize,
    ) -> Result<()> {
        if schema.get("enum").is_some() {
            items.push(Item::OpenEnum(open_enum::read(name, schema)?));
            return Ok(());
        }
        let mut members = Members::default();
        self.members(schema, &mut members, depth)?;
        let mut inner = Vec::new();
        let fields = self.fields(name, &members, &mut inner, depth)?;
        items.push(Item::Struct(Struct {
            name: name.to_owned(),
            doc: description(schema)?
                .unwrap_or_else(|| format!("`{name}` in the vendor's documents.")),
            fields,
            keeps_unknown: members.keeps_unknown,
            setters: members.setters,
            has_option_list: members.has_option_list,
        }));
        items.append(&mut inner);
        Ok(())
    }

    fn members(&self, schema: &Place<'a>, into: &mut Members<'a>, depth: usize) -> Result<()> {
        check_depth(schema, depth)?;
        if schema.get("$ref").is_some() {
            let (_, target) = self.resolve(schema)?;
            return self.members(&target, into, depth + 1);
        }
        if let Some(all) = schema.get("allOf") {
            schema.only_keys(&["allOf", "description", "nullable", "x-rust-name", "example"])?;
            for member in all.items()? {
                self.members(&member, into, depth + 1)?;
            }
            return Ok(());
        }
        schema.only_keys(&[
            "type",
            "description",
            "nullable",
            "example",
            "properties",
            "required",
            "additionalProperties",
            "x-rust-name",
            SETTERS,
            OPTION_LIST,
        ])?;
        if schema.need("type")?.text()? != "object" {
            bail!(schema.error("only objects can be merged"));
        }
        for (key, property) in schema.need("properties")?.entries()? {
            if into.properties.iter().any(|(known, _)| *known == key) {
                bail!(property.error(format_args!(
                    "`{key}` is declared by two members of one `allOf`"
                )));
            }
            into.properties.push((key, property));
        }
        into.has_option_list |= schema.flag(OPTION_LIST)?;
        if let Some(place) = schema.get(SETTERS) {
            into.setters = Some(setters(&place)?);
        }
        if let Some(required) = schema.get("required") {
            for name in required.items()? {
                into.required.push((name.text()?, name));
            }
        }
        if let Some(additional) = schema.get("additionalProperties") {
            if additional.node != &Node::Bool(true) {
                bail!(additional.error(
                    "beside `properties` only `true` is supported (unknown keys are ignored when it is left out)"
                ));
            }
            into.keeps_unknown = true;
        }
        Ok(())
    }

    fn fields(
        &self,
        owner: &str,
        members: &Members<'a>,
        items: &mut Vec<Item>,
        depth: usize,
    ) -> Result<Vec<Field>> {
        for (name, place) in &members.required {
            if !members.properties.iter().any(|(key, _)| key == name) {
                bail!(place.error(format_args!("`{name}` is required but not declared")));
            }
        }
        let mut fields: Vec<Field> = Vec::new();
        for (key, property) in &members.properties {
            let hint = format!("{owner}{}", names::pascal(key));
            let read = self.value(property, &hint, items, depth + 1)?;
            let name = match &read.rust_name {
                None => names::field(key),
                Some(place) => place.text()?.to_owned(),
            };
            if !names::is_field_name(&name) {
                bail!(property.error(format_args!(
                    "`{name}` cannot be a field name; set `x-rust-name`"
                )));
            }
            let taken = name == EXTRA && members.keeps_unknown;
            if taken || fields.iter().any(|field| field.name == name) {
                bail!(property.error(format_args!(
                    "field name `{name}` is taken; set `x-rust-name`"
                )));
            }
            let declared = members.required.iter().any(|(required, _)| required == key);
            if declared && read.default.is_some() {
                bail!(property.error("a required property has no default"));
            }
            fields.push(Field {
                key: (*key).to_owned(),
                name,
                doc: read
                    .doc
                    .unwrap_or_else(|| format!("`{key}` in the vendor's documents.")),
                ty: read.ty,
                required: declared && !read.nullable,
                lenient: read.lenient,
                boxed: false,
                default: read.default,
            });
        }
        Ok(fields)
    }

    /// The type of a value; objects and enums that stand inline become items called `hint`.
    fn value(
        &self,
        schema: &Place<'a>,
        hint: &str,
        items: &mut Vec<Item>,
        depth: usize,
    ) -> Result<Reading<'a>> {
        check_depth(schema, depth)?;
        if schema.get("$ref").is_some() {
            let (name, target) = self.resolve(schema)?;
            return self.referred(name, &target, hint, items, depth);
        }
        if let Some(reference) = sole_reference(schema)? {
            schema.only_keys(&[
                "allOf",
                "description",
                "nullable",
                "default",
                "example",
                "x-rust-name",
            ])?;
            let (name, target) = self.resolve(&reference)?;
            let read = self.referred(name, &target, hint, items, depth)?;
            let default = self.default(schema, &read.ty, Some(&target))?;
            return Ok(Reading {
                nullable: read.nullable || schema.flag("nullable")?,
                doc: description(schema)?.or(read.doc),
                default: default.or(read.default),
                rust_name: schema.get("x-rust-name"),
                ..read
            });
        }
        let (ty, lenient) = self.own_type(schema, hint, items, depth)?;
        Ok(Reading {
            default: self.default(schema, &ty, Some(schema))?,
            nullable: schema.flag("nullable")?,
            doc: description(schema)?,
            rust_name: schema.get("x-rust-name"),
            ty,
            lenient,
        })
    }

    fn referred(
        &self,
        name: &str,
        target: &Place<'a>,
        hint: &str,
        items: &mut Vec<Item>,
        depth: usize,
    ) -> Result<Reading<'a>> {
        if is_item(target) {
            Ok(Reading {
                ty: Type::Named(type_name(name, target)?),
                nullable: target.flag("nullable")?,
                lenient: false,
                doc: None,
                default: None,
                rust_name: None,
            })
        } else {
            let read = self.value(target, hint, items, depth + 1)?;
            Ok(Reading {
                rust_name: None,
                ..read
            })
        }
    }

    fn own_type(
        &self,
        schema: &Place<'a>,
        hint: &str,
        items: &mut Vec<Item>,
        depth: usize,
    ) -> Result<(Type, bool)> {
        if is_item(schema) {
            let name = inline_name(schema, hint)?;
            let mut inner = Vec::new();
            self.item(&name, schema, &mut inner, depth + 1)?;
            items.append(&mut inner);
            return Ok((Type::Named(name), false));
        }
        let Some(kind) = schema.get("type") else {
            schema.only_keys(&["description", "nullable", "example", "x-rust-name"])?;
            return Ok((Type::Any, false));
        };
        match kind.text()? {
            "string" => scalar::text(schema),
            "boolean" => {
                schema.only_keys(&[
                    "type",
                    "description",
                    "nullable",
                    "default",
                    "example",
                    "x-rust-name",
                ])?;
                Ok((Type::Bool, false))
            }
            "integer" => scalar::number(
                schema,
                &[("int32", Type::Int32), ("int64", Type::Int64)],
                Type::Int64,
            ),
            "number" => scalar::number(schema, &[("double", Type::Number)], Type::Number),
            "array" => {
                schema.only_keys(&[
                    "type",
                    "description",
                    "nullable",
                    "example",
                    "items",
                    "x-rust-name",
                ])?;
                let entries = schema.need("items")?;
                let entry = self.value(&entries, &format!("{hint}Item"), items, depth + 1)?;
                refuse_inside(&entries, &entry, "an entry of a list")?;
                let ty = if entry.nullable {
                    Type::Nullable(Box::new(entry.ty))
                } else {
                    entry.ty
                };
                Ok((Type::List(Box::new(ty)), false))
            }
            "object" => {
                schema.only_keys(&[
                    "type",
                    "description",
                    "nullable",
                    "example",
                    "additionalProperties",
                    "x-rust-name",
                ])?;
                let Some(values) = schema.get("additionalProperties") else {
                    bail!(schema.error("an object needs `properties` or `additionalProperties`"));
                };
                if values.node == &Node::Bool(true) {
                    return Ok((Type::AnyObject, false));
                }
                let value = self.value(&values, &format!("{hint}Value"), items, depth + 1)?;
                refuse_inside(&values, &value, "a value of an open object")?;
                let ty = if value.nullable {
                    Type::Nullable(Box::new(value.ty))
                } else {
                    value.ty
                };
                Ok((Type::Dict(Box::new(ty)), false))
            }
            other => bail!(kind.error(format_args!("type `{other}` is not supported"))),
        }
    }

    fn default(
        &self,
        schema: &Place<'a>,
        ty: &Type,
        declared_at: Option<&Place<'a>>,
    ) -> Result<Option<DefaultValue>> {
        let Some(place) = schema.get("default") else {
            return Ok(None);
        };
        let value = match (ty, place.node) {
            (Type::Bool, Node::Bool(value)) => DefaultValue::Bool(*value),
            (Type::Int32 | Type::Int64, Node::Number(number)) => match number.as_i64() {
                Some(value) if *ty == Type::Int64 || i32::try_from(value).is_ok() => {
                    DefaultValue::Integer(value)
                }
                _ => bail!(place.error("the default is not an integer of this format")),
            },
            (Type::Number, Node::Number(number)) => match number.as_f64() {
                Some(value) => DefaultValue::Number(value),
                None => bail!(place.error("the default is not a number")),
            },
            (Type::Text, Node::Text(text)) => DefaultValue::Text(text.clone()),
            (Type::Named(name), Node::Text(text)) => {
                let Some(declared) = declared_at.filter(|declared| declared.get("enum").is_some())
                else {
                    bail!(place.error("an object has no default"));
                };
                let known = open_enum::words(declared)?
                    .into_iter()
                    .find(|word| word.word == *text);
                match known {
                    Some(word) => DefaultValue::Variant(name.clone(), word.variant),
                    None => bail!(
                        place.error(format_args!("the default `{text}` is not one of the words"))
                    ),
                }
            }
            _ => bail!(place.error("this default is not supported for this type")),
        };
        Ok(Some(value))
    }
}

/// Objects with properties and lists of words become items; everything else is written where it is used.
fn is_item(schema: &Place<'_>) -> bool {
    schema.get("properties").is_some()
        || schema.get("allOf").is_some()
        || schema.get("enum").is_some()
}

/// The reference in an `allOf` of one: the way OpenAPI 3.0 puts a description beside a reference.
fn sole_reference<'a>(schema: &Place<'a>) -> Result<Option<Place<'a>>> {
    let Some(all) = schema.get("allOf") else {
        return Ok(None);
    };
    let members = all.items()?;
    Ok(match members.as_slice() {
        [member] if member.get("$ref").is_some() => Some(member.clone()),
        _ => None,
    })
}

fn setters(place: &Place<'_>) -> Result<Setters> {
    match place.node {
        Node::Bool(true) => Ok(Setters::Itself),
        Node::Text(name) if names::is_type_name(name) => Ok(Setters::Request(name.clone())),
        _ => Err(place.error("only `true` or the name of a request is supported")),
    }
}

fn refuse_inside(place: &Place<'_>, read: &Reading<'_>, what: &str) -> Result<()> {
    if read.lenient {
        bail!(place.error(format_args!("`x-lenient` is not supported for {what}")));
    }
    if read.default.is_some() {
        bail!(place.error(format_args!("{what} has no default")));
    }
    Ok(())
}

fn type_name(component: &str, schema: &Place<'_>) -> Result<String> {
    let name = match schema.get("x-rust-name") {
        Some(place) => place.text()?.to_owned(),
        None => names::pascal(component),
    };
    checked_type_name(schema, name)
}

/// On a property `x-rust-name` names the field, so the type of an inline schema takes the hint.
fn inline_name(schema: &Place<'_>, hint: &str) -> Result<String> {
    checked_type_name(schema, hint.to_owned())
}

fn checked_type_name(schema: &Place<'_>, name: String) -> Result<String> {
    if names::is_type_name(&name) {
        Ok(name)
    } else {
        Err(schema.error(format_args!(
            "`{name}` cannot name a type; set `x-rust-name`"
        )))
    }
}

fn check_depth(schema: &Place<'_>, depth: usize) -> Result<()> {
    if depth > MAX_DEPTH {
        bail!(schema.error("the reference leads back to itself without an object in between"));
    }
    Ok(())
}

fn unique_names(items: &[Item], root: &Place<'_>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for item in items {
        if !seen.insert(item.name()) {
            bail!(root.error(format_args!(
                "two schemas want the type name `{}`; set `x-rust-name` or name the inline schema as a component",
                item.name()
            )));
        }
    }
    Ok(())
}
