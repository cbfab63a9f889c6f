//! Structs that hold themselves.

use std::collections::{BTreeMap, BTreeSet};

use super::model::{Item, Type};

/// A struct that holds itself, directly or through others, needs a `Box`; a list or map in between already is one.
pub(crate) fn box_direct(items: &mut [Item]) {
    let mut holds: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for item in items.iter() {
        if let Item::Struct(item) = item {
            let targets = item.fields.iter().filter_map(|field| match &field.ty {
                Type::Named(target) => Some(target.clone()),
                _ => None,
            });
            holds.insert(item.name.clone(), targets.collect());
        }
    }
    for item in items {
        if let Item::Struct(item) = item {
            for field in &mut item.fields {
                if let Type::Named(target) = &field.ty {
                    field.boxed = reaches(&holds, target, &item.name);
                }
            }
        }
    }
}

fn reaches(holds: &BTreeMap<String, Vec<String>>, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(name) = open.pop() {
        if name == to {
            return true;
        }
        if seen.insert(name) {
            open.extend(holds.get(name).into_iter().flatten().map(String::as_str));
        }
    }
    false
}
