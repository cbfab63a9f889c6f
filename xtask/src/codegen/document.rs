//! A JSON document as an ordered tree whose parts know where they stand.
//!
//! Not `serde_json::Value`: that keeps the last of two equal keys, and its order depends on a feature that another
//! package of the build may switch on. Not `openapiv3`: it drops keywords it does not know, and here those are errors.

use std::fmt;

use anyhow::{Result, anyhow, bail};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// One JSON value; the keys of an object keep their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// A value of the document together with the JSON pointer that leads to it.
#[derive(Debug, Clone)]
pub(crate) struct Place<'a> {
    pub(crate) node: &'a Node,
    pub(crate) pointer: String,
}

impl<'a> Place<'a> {
    pub(crate) fn root(node: &'a Node) -> Self {
        Self {
            node,
            pointer: "#".to_owned(),
        }
    }

    pub(crate) fn error(&self, message: impl fmt::Display) -> anyhow::Error {
        anyhow!("{}: {message}", self.pointer)
    }

    pub(crate) fn entries(&self) -> Result<Vec<(&'a str, Place<'a>)>> {
        let Node::Object(entries) = self.node else {
            bail!(self.error("an object is expected here"));
        };
        Ok(entries
            .iter()
            .map(|(key, node)| (key.as_str(), self.child(key, node)))
            .collect())
    }

    pub(crate) fn items(&self) -> Result<Vec<Place<'a>>> {
        let Node::List(items) = self.node else {
            bail!(self.error("a list is expected here"));
        };
        Ok(items
            .iter()
            .enumerate()
            .map(|(index, node)| self.child(&index.to_string(), node))
            .collect())
    }

    pub(crate) fn get(&self, key: &str) -> Option<Place<'a>> {
        let Node::Object(entries) = self.node else {
            return None;
        };
        let (_, node) = entries.iter().find(|(name, _)| name == key)?;
        Some(self.child(key, node))
    }

    pub(crate) fn need(&self, key: &str) -> Result<Place<'a>> {
        self.get(key)
            .ok_or_else(|| self.error(format_args!("`{key}` is missing")))
    }

    pub(crate) fn text(&self) -> Result<&'a str> {
        match self.node {
            Node::Text(text) => Ok(text),
            _ => Err(self.error("a string is expected here")),
        }
    }

    pub(crate) fn flag(&self, key: &str) -> Result<bool> {
        match self.get(key) {
            None => Ok(false),
            Some(place) => match place.node {
                Node::Bool(value) => Ok(*value),
                _ => Err(place.error("true or false is expected here")),
            },
        }
    }

    /// Fails on the first key that is not listed: nothing is passed over in silence.
    pub(crate) fn only_keys(&self, known: &[&str]) -> Result<()> {
        for (key, place) in self.entries()? {
            if !known.contains(&key) {
                bail!(place.error(format_args!(
                    "`{key}` is not supported here (supported: {})",
                    known.join(", ")
                )));
            }
        }
        Ok(())
    }

    fn child(&self, key: &str, node: &'a Node) -> Place<'a> {
        let key = key.replace('~', "~0").replace('/', "~1");
        Place {
            node,
            pointer: format!("{}/{key}", self.pointer),
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        serde_json::Number::from_f64(value)
            .map(Node::Number)
            .ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        while let Some((key, value)) = access.next_entry::<String, Node>()? {
            if entries.iter().any(|(known, _)| *known == key) {
                return Err(A::Error::custom(format_args!("key `{key}` stands twice")));
            }
            entries.push((key, value));
        }
        Ok(Node::Object(entries))
    }
}

/// What a schema's `description` says.
pub(crate) fn description(schema: &Place<'_>) -> Result<Option<String>> {
    schema
        .get("description")
        .map(|place| place.text().map(|text| text.trim().to_owned()))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_order_and_pointers_are_escaped() {
        let node: Node = serde_json::from_str(r#"{"b/c":1,"a":[true]}"#).unwrap();
        let root = Place::root(&node);
        let pointers: Vec<_> = root
            .entries()
            .unwrap()
            .into_iter()
            .map(|(_, place)| place.pointer)
            .collect();
        assert_eq!(pointers, ["#/b~1c", "#/a"]);
        assert_eq!(root.need("a").unwrap().items().unwrap()[0].pointer, "#/a/0");
    }

    #[test]
    fn a_key_that_stands_twice_is_an_error() {
        let error = serde_json::from_str::<Node>(r#"{"a":1,"a":2}"#).unwrap_err();
        assert!(error.to_string().contains("`a` stands twice"), "{error}");
    }
}
