//! Setters of optional fields, flat: a field of a nested struct is set by one call, too.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::model::{Field, Item, Setters, Struct, Type};
use super::tokens::{doc, ident, plain_type};

/// The setters of a struct on itself.
pub(super) fn on_itself(item: &Struct, items: &[Item]) -> Result<TokenStream> {
    let name = ident(&item.name);
    let setters = of(item, items, &quote!(self), &quote!())?;
    Ok(quote!(impl #name { #(#setters)* }))
}

/// The setters of every struct that a hand-written request holds; empty when there is none.
pub(super) fn on_requests(items: &[Item]) -> Result<TokenStream> {
    let mut blocks = Vec::new();
    for item in structs(items) {
        let Some(Setters::Request(request)) = &item.setters else {
            continue;
        };
        let request = ident(request);
        let setters = of(
            item,
            items,
            &quote!(self.options_mut()),
            &quote!(super::types::),
        )?;
        blocks.push(quote! {
            impl<C> crate::request::#request<C> { #(#setters)* }
        });
    }
    Ok(quote!(#(#blocks)*))
}

/// One setter for each optional field, from `place` on down.
///
/// `types` is the path to the generated types, from where the setters stand.
fn of(
    item: &Struct,
    items: &[Item],
    place: &TokenStream,
    types: &TokenStream,
) -> Result<Vec<TokenStream>> {
    let mut found = BTreeMap::new();
    collect(item, items, place, &mut Vec::new(), &mut |field, place| {
        let order = found.len();
        let setter = setter(field, place, types);
        found.insert(field.name.clone(), (order, setter)).is_none()
    })?;
    let mut setters: Vec<(usize, TokenStream)> = found.into_values().collect();
    setters.sort_by_key(|(order, _)| *order);
    Ok(setters.into_iter().map(|(_, setter)| setter).collect())
}

fn collect<'a>(
    item: &'a Struct,
    items: &'a [Item],
    place: &TokenStream,
    above: &mut Vec<&'a str>,
    take: &mut impl FnMut(&Field, &TokenStream) -> bool,
) -> Result<()> {
    above.push(&item.name);
    for field in item.fields.iter().filter(|field| !field.required) {
        let name = ident(&field.name);
        match nested(field, items).filter(|inner| !above.contains(&inner.name.as_str())) {
            Some(inner) => {
                let inner_place = quote!(#place.#name.get_or_insert_default());
                collect(inner, items, &inner_place, above, take)?;
            }
            None => {
                if !take(field, place) {
                    bail!(
                        "#/components/schemas/{}: two options are called `{}`; set `x-rust-name` of one",
                        item.name,
                        field.name
                    );
                }
            }
        }
    }
    above.pop();
    Ok(())
}

/// The struct of options that a field holds: one that can be made of nothing.
fn nested<'a>(field: &Field, items: &'a [Item]) -> Option<&'a Struct> {
    let Type::Named(name) = &field.ty else {
        return None;
    };
    let item = structs(items).find(|item| item.name == *name)?;
    let is_empty_by_default = !field.boxed && item.fields.iter().all(|field| !field.required);
    is_empty_by_default.then_some(item)
}

fn setter(field: &Field, place: &TokenStream, types: &TokenStream) -> TokenStream {
    let name = ident(&field.name);
    let setter = format_ident!("with_{}", field.name.trim_end_matches('_'));
    let doc = doc(&field.doc);
    let (ty, value) = match &field.ty {
        Type::Text => (quote!(impl Into<String>), quote!(value.into())),
        Type::Secret => (
            quote!(impl Into<String>),
            quote!(#types SecretText::new(value)),
        ),
        Type::List(entry) if **entry == Type::Text => (
            quote!(impl IntoIterator<Item = impl Into<String>>),
            quote!(value.into_iter().map(Into::into).collect()),
        ),
        Type::List(entry) => {
            let entry = qualified(entry, types);
            (
                quote!(impl IntoIterator<Item = #entry>),
                quote!(value.into_iter().collect()),
            )
        }
        ty => (qualified(ty, types), quote!(value)),
    };
    let value = if field.boxed {
        quote!(Box::new(#value))
    } else {
        value
    };
    quote! {
        #doc
        #[must_use]
        pub fn #setter(mut self, value: #ty) -> Self {
            #place.#name = Some(#value);
            self
        }
    }
}

/// A type by its path.
fn qualified(ty: &Type, types: &TokenStream) -> TokenStream {
    match ty {
        Type::Named(name) => {
            let name = ident(name);
            quote!(#types #name)
        }
        ty => plain_type(ty),
    }
}

fn structs(items: &[Item]) -> impl Iterator<Item = &Struct> {
    items.iter().filter_map(|item| match item {
        Item::Struct(item) => Some(item),
        Item::OpenEnum(_) => None,
    })
}
