//! Optional fields, flat: a setter for each, and a list of them as data. A field of a nested struct is reached at once, too.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::model::{Field, Item, Setters, Struct, Type};
use super::names;
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

/// The options of every struct that asks for it, as data; empty when there is none.
pub(super) fn option_lists(items: &[Item]) -> Result<TokenStream> {
    let mut lists = Vec::new();
    for item in structs(items).filter(|item| item.has_option_list) {
        let mut specs = Vec::new();
        let mut names = BTreeSet::new();
        collect(item, items, &[], &mut Vec::new(), &mut |field, path| {
            specs.push(spec(field, path, items));
            names.insert(field.name.clone())
        })?;
        let name = format_ident!("{}", names::field(&item.name).to_uppercase());
        let doc = doc(&format!("The options of `{}`.", item.name));
        lists.push(quote! {
            #doc
            pub(crate) const #name: &[OptionSpec] = &[#(#specs,)*];
        });
    }
    if lists.is_empty() {
        return Ok(TokenStream::new());
    }
    Ok(quote! {
        use jobs_runner::{OptionKind, OptionSpec};

        #(#lists)*
    })
}

fn spec(field: &Field, path: &[&Field], items: &[Item]) -> TokenStream {
    let name = field.name.trim_end_matches('_');
    let keys = path.iter().map(|field| &field.key).chain([&field.key]);
    let help = &field.doc;
    let kind = match &field.ty {
        Type::Bool => quote!(OptionKind::Switch),
        Type::Int32 | Type::Int64 => quote!(OptionKind::Integer),
        Type::Text | Type::Secret => quote!(OptionKind::Text),
        Type::List(entry) if **entry == Type::Text => quote!(OptionKind::TextList),
        Type::Named(named) => match words(named, items) {
            Some(words) => quote!(OptionKind::Word(&[#(#words),*])),
            None => quote!(OptionKind::Json),
        },
        _ => quote!(OptionKind::Json),
    };
    quote! {
        OptionSpec {
            name: #name,
            path: &[#(#keys),*],
            help: #help,
            kind: #kind,
        }
    }
}

fn words<'a>(name: &str, items: &'a [Item]) -> Option<Vec<&'a str>> {
    items.iter().find_map(|item| match item {
        Item::OpenEnum(item) if item.name == name => {
            Some(item.words.iter().map(|word| word.word.as_str()).collect())
        }
        _ => None,
    })
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
    collect(item, items, &[], &mut Vec::new(), &mut |field, path| {
        let order = found.len();
        let place = path.iter().fold(place.clone(), |place, field| {
            let name = ident(&field.name);
            quote!(#place.#name.get_or_insert_default())
        });
        let setter = setter(field, &place, types);
        found.insert(field.name.clone(), (order, setter)).is_none()
    })?;
    let mut setters: Vec<(usize, TokenStream)> = found.into_values().collect();
    setters.sort_by_key(|(order, _)| *order);
    Ok(setters.into_iter().map(|(_, setter)| setter).collect())
}

/// Hands every optional field to `take`, with the fields that lead to it; it says whether the name was still free.
fn collect<'a>(
    item: &'a Struct,
    items: &'a [Item],
    path: &[&'a Field],
    above: &mut Vec<&'a str>,
    take: &mut impl FnMut(&'a Field, &[&'a Field]) -> bool,
) -> Result<()> {
    above.push(&item.name);
    for field in item.fields.iter().filter(|field| !field.required) {
        match nested(field, items).filter(|inner| !above.contains(&inner.name.as_str())) {
            Some(inner) => {
                let path = [path, &[field]].concat();
                collect(inner, items, &path, above, take)?;
            }
            None => {
                if !take(field, path) {
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
    let setter = format_ident!(
        "with_{}",
        field.name.trim_start_matches("with_").trim_end_matches('_')
    );
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
