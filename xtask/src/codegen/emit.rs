//! From the model to Rust text.

use anyhow::{Context as _, Result};
use proc_macro2::{Ident, TokenStream};
use quote::quote;

use super::model::{DefaultValue, EXTRA, Field, Item, OTHER, OpenEnum, Setters, Struct, Type};
use super::setters;
use super::tokens::{doc, ident, plain_type};

/// The items as Rust text, a blank line between any two of them.
pub(crate) fn emit(items: &[Item]) -> Result<String> {
    let mut parts = Vec::new();
    for item in items {
        match item {
            Item::Struct(item) => {
                parts.extend(structure(item));
                if item.setters == Some(Setters::Itself) {
                    parts.push(setters::on_itself(item, items)?);
                }
            }
            Item::OpenEnum(item) => parts.extend(open_enum(item)),
        }
    }
    if fields(items).any(|field| field.ty.mentions(&Type::Secret)) {
        parts.extend(secret_text());
    }
    if fields(items).any(|field| field.lenient) {
        parts.push(lenient(items));
    }
    written(parts)
}

/// The setters of hand-written requests as Rust text; empty when no schema asks for any.
pub(crate) fn emit_request_setters(items: &[Item]) -> Result<String> {
    let setters = setters::on_requests(items)?;
    if setters.is_empty() {
        return Ok(String::new());
    }
    written(vec![setters])
}

/// The options of requests as data; empty when no schema asks for any.
pub(crate) fn emit_option_lists(items: &[Item]) -> Result<String> {
    let lists = setters::option_lists(items)?;
    if lists.is_empty() {
        return Ok(String::new());
    }
    written(vec![lists])
}

fn written(parts: Vec<TokenStream>) -> Result<String> {
    let mut text = String::new();
    for part in parts {
        let file = syn::parse2(part).context("the emitter wrote something that is not Rust")?;
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&spaced(&prettyplease::unparse(&file)));
    }
    Ok(text)
}

/// A blank line behind every function of an `impl` or module but the last.
fn spaced(text: &str) -> String {
    let mut spaced = String::new();
    let mut behind_function = false;
    for line in text.lines() {
        if behind_function && line != "}" {
            spaced.push('\n');
        }
        spaced.push_str(line);
        spaced.push('\n');
        behind_function =
            line == "    }" || line.starts_with("    use ") || line.starts_with("use ");
    }
    spaced
}

fn structure(item: &Struct) -> Vec<TokenStream> {
    let name = ident(&item.name);
    let doc = doc(&item.doc);
    let required: Vec<&Field> = item.fields.iter().filter(|field| field.required).collect();
    let default = required.is_empty().then(|| quote!(Default,));
    let declarations = item.fields.iter().map(declaration);
    let extra = ident(EXTRA);
    let unknown = item.keeps_unknown.then(|| {
        quote! {
            /// Keys that the document does not list, as they came.
            #[serde(flatten)]
            pub #extra: serde_json::Map<String, serde_json::Value>,
        }
    });
    let mut parts = vec![quote! {
        #doc
        #[derive(Debug, Clone, PartialEq, #default serde::Serialize, serde::Deserialize)]
        #[non_exhaustive]
        pub struct #name {
            #(#declarations)*
            #unknown
        }
    }];
    let constructor = (!required.is_empty()).then(|| constructor(item, &required));
    let defaults: Vec<_> = item.fields.iter().filter_map(default_accessor).collect();
    if constructor.is_some() || !defaults.is_empty() {
        parts.push(quote! {
            impl #name {
                #constructor
                #(#defaults)*
            }
        });
    }
    parts
}

fn declaration(field: &Field) -> TokenStream {
    let name = ident(&field.name);
    let doc = doc(&field.doc);
    let ty = field_type(field);
    let mut settings = Vec::new();
    if field.name != field.key {
        let key = &field.key;
        settings.push(quote!(rename = #key));
    }
    if field.lenient {
        let path = match (&field.ty, field.required) {
            (Type::Number, true) => "lenient::number",
            (Type::Number, false) => "lenient::optional_number",
            (_, true) => "lenient::integer",
            (_, false) => "lenient::optional_integer",
        };
        if !field.required {
            settings.push(quote!(default));
        }
        settings.push(quote!(deserialize_with = #path));
    }
    if !field.required {
        settings.push(quote!(skip_serializing_if = "Option::is_none"));
    }
    let serde = (!settings.is_empty()).then(|| quote!(#[serde(#(#settings),*)]));
    quote! {
        #doc
        #serde
        pub #name: #ty,
    }
}

fn constructor(item: &Struct, required: &[&Field]) -> TokenStream {
    let arguments = required.iter().map(|field| {
        let name = ident(&field.name);
        let ty = field_type(field);
        quote!(#name: #ty)
    });
    let values = item.fields.iter().map(|field| {
        let name = ident(&field.name);
        if field.required {
            quote!(#name,)
        } else {
            quote!(#name: None,)
        }
    });
    let extra = ident(EXTRA);
    let unknown = item
        .keeps_unknown
        .then(|| quote!(#extra: serde_json::Map::new(),));
    let many = (required.len() > 7).then(|| quote!(#[allow(clippy::too_many_arguments)]));
    quote! {
        /// What is required; everything else is unset.
        #many
        pub fn new(#(#arguments),*) -> Self {
            Self { #(#values)* #unknown }
        }
    }
}

fn default_accessor(field: &Field) -> Option<TokenStream> {
    let default = field.default.as_ref()?;
    let name = ident(&field.name);
    let accessor = ident(&format!("{}_or_default", field.name.trim_end_matches('_')));
    let doc = doc(&format!(
        "`{}`, or the vendor's default when it is unset.",
        field.key
    ));
    let (ty, value) = match default {
        DefaultValue::Bool(value) => (quote!(bool), quote!(self.#name.unwrap_or(#value))),
        DefaultValue::Integer(value) => {
            let ty = plain_type(&field.ty);
            let value = proc_macro2::Literal::i64_unsuffixed(*value);
            (ty, quote!(self.#name.unwrap_or(#value)))
        }
        DefaultValue::Number(value) => {
            let value = proc_macro2::Literal::f64_unsuffixed(*value);
            (quote!(f64), quote!(self.#name.unwrap_or(#value)))
        }
        DefaultValue::Text(value) => (
            quote!(&str),
            quote!(self.#name.as_deref().unwrap_or(#value)),
        ),
        DefaultValue::Variant(ty, variant) => {
            let ty = ident(ty);
            let variant = ident(variant);
            (
                quote!(#ty),
                quote!(self.#name.clone().unwrap_or(#ty::#variant)),
            )
        }
    };
    Some(quote! {
        #doc
        pub fn #accessor(&self) -> #ty {
            #value
        }
    })
}

fn open_enum(item: &OpenEnum) -> Vec<TokenStream> {
    let name = ident(&item.name);
    let doc_of_enum = doc(&item.doc);
    let other = ident(OTHER);
    let words: Vec<&str> = item.words.iter().map(|word| word.word.as_str()).collect();
    let variants: Vec<Ident> = item.words.iter().map(|word| ident(&word.variant)).collect();
    let docs = words
        .iter()
        .map(|word| doc(&format!("The vendor's word `{word}`.")));
    vec![
        quote! {
            #doc_of_enum
            #[derive(Debug, Clone, PartialEq, Eq, Hash)]
            #[non_exhaustive]
            pub enum #name {
                #(#docs #variants,)*
                /// A word that the document does not list, as it came.
                #other(String),
            }
        },
        quote! {
            impl #name {
                /// The variant for a word of the vendor; a word that is not listed is kept.
                pub fn from_word(word: &str) -> Self {
                    match word {
                        #(#words => Self::#variants,)*
                        other => Self::#other(other.to_owned()),
                    }
                }

                /// The vendor's word.
                pub fn as_str(&self) -> &str {
                    match self {
                        #(Self::#variants => #words,)*
                        Self::#other(word) => word,
                    }
                }
            }
        },
        quote! {
            impl std::fmt::Display for #name {
                fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    formatter.write_str(self.as_str())
                }
            }
        },
        quote! {
            impl serde::Serialize for #name {
                fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.serialize_str(self.as_str())
                }
            }
        },
        quote! {
            impl<'de> serde::Deserialize<'de> for #name {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let word = <String as serde::Deserialize>::deserialize(deserializer)?;
                    Ok(Self::from_word(&word))
                }
            }
        },
    ]
}

fn secret_text() -> Vec<TokenStream> {
    vec![
        quote! {
            /// Text that is sent but never printed.
            #[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)]
            #[serde(transparent)]
            pub struct SecretText(String);
        },
        quote! {
            impl SecretText {
                /// Wraps a secret.
                pub fn new(secret: impl Into<String>) -> Self {
                    Self(secret.into())
                }

                /// The secret itself, for sending.
                pub fn expose(&self) -> &str {
                    &self.0
                }
            }
        },
        quote! {
            impl std::fmt::Debug for SecretText {
                fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    formatter.write_str("[redacted]")
                }
            }
        },
    ]
}

/// Only the readers that are used, so that no dead code has to be excused.
fn lenient(items: &[Item]) -> TokenStream {
    let used = |number: bool, required: bool| {
        fields(items).any(|field| {
            field.lenient && (field.ty == Type::Number) == number && field.required == required
        })
    };
    let needs_integer = used(false, true);
    let needs_number = used(true, true);
    let integer = needs_integer.then(|| {
        quote! {
            pub(super) fn integer<'de, D, N>(deserializer: D) -> Result<N, D::Error>
            where
                D: serde::Deserializer<'de>,
                N: std::str::FromStr,
            {
                optional_integer(deserializer)?.ok_or_else(|| D::Error::custom("a number is missing"))
            }
        }
    });
    let optional_integer = (needs_integer || used(false, false)).then(|| {
        quote! {
            pub(super) fn optional_integer<'de, D, N>(deserializer: D) -> Result<Option<N>, D::Error>
            where
                D: serde::Deserializer<'de>,
                N: std::str::FromStr,
            {
                let Some(text) = text(deserializer)? else {
                    return Ok(None);
                };
                let whole = match text.split_once('.') {
                    Some((whole, zeros)) if zeros.bytes().all(|digit| digit == b'0') => whole,
                    _ => &text,
                };
                match whole.parse() {
                    Ok(number) => Ok(Some(number)),
                    Err(_) => Err(D::Error::custom("expected an integer or its text")),
                }
            }
        }
    });
    let number = needs_number.then(|| {
        quote! {
            pub(super) fn number<'de, D>(deserializer: D) -> Result<f64, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                optional_number(deserializer)?.ok_or_else(|| D::Error::custom("a number is missing"))
            }
        }
    });
    let optional_number = (needs_number || used(true, false)).then(|| {
        quote! {
            pub(super) fn optional_number<'de, D>(deserializer: D) -> Result<Option<f64>, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                let Some(text) = text(deserializer)? else {
                    return Ok(None);
                };
                match text.parse::<f64>() {
                    Ok(number) if number.is_finite() => Ok(Some(number)),
                    _ => Err(D::Error::custom("expected a number or its text")),
                }
            }
        }
    });
    quote! {
        /// Numbers that may come as text. Empty text counts as absent.
        mod lenient {
            use serde::de::Error as _;

            #integer
            #optional_integer
            #number
            #optional_number

            fn text<'de, D>(deserializer: D) -> Result<Option<String>, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                let value = <serde_json::Value as serde::Deserialize>::deserialize(deserializer)?;
                match value {
                    serde_json::Value::Null => Ok(None),
                    serde_json::Value::Number(number) => Ok(Some(number.to_string())),
                    serde_json::Value::String(text) if text.trim().is_empty() => Ok(None),
                    serde_json::Value::String(text) => Ok(Some(text.trim().to_owned())),
                    _ => Err(D::Error::custom("expected a number or its text")),
                }
            }
        }
    }
}

fn field_type(field: &Field) -> TokenStream {
    let mut ty = plain_type(&field.ty);
    if field.boxed {
        ty = quote!(Box<#ty>);
    }
    if field.required {
        ty
    } else {
        quote!(Option<#ty>)
    }
}

fn fields(items: &[Item]) -> impl Iterator<Item = &Field> {
    items.iter().flat_map(|item| match item {
        Item::Struct(item) => item.fields.as_slice(),
        Item::OpenEnum(_) => &[],
    })
}

impl Type {
    fn mentions(&self, wanted: &Type) -> bool {
        self == wanted
            || match self {
                Type::Dict(inner) | Type::List(inner) | Type::Nullable(inner) => {
                    inner.mentions(wanted)
                }
                _ => false,
            }
    }
}
