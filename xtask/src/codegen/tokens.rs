//! Names, types and doc comments as tokens.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

use super::model::Type;

pub(super) fn plain_type(ty: &Type) -> TokenStream {
    match ty {
        Type::Text => quote!(String),
        Type::Secret => quote!(SecretText),
        Type::Bool => quote!(bool),
        Type::Int32 => quote!(i32),
        Type::Int64 => quote!(i64),
        Type::Number => quote!(f64),
        Type::Any => quote!(serde_json::Value),
        Type::AnyObject => quote!(serde_json::Map<String, serde_json::Value>),
        Type::Dict(value) => {
            let value = plain_type(value);
            quote!(std::collections::BTreeMap<String, #value>)
        }
        Type::List(entry) => {
            let entry = plain_type(entry);
            quote!(Vec<#entry>)
        }
        Type::Nullable(inner) => {
            let inner = plain_type(inner);
            quote!(Option<#inner>)
        }
        Type::Named(name) => {
            let name = ident(name);
            quote!(#name)
        }
    }
}

pub(super) fn ident(name: &str) -> Ident {
    Ident::new(name, Span::call_site())
}

/// Doc comment lines; brackets outside code are escaped because rustdoc reads them as links.
pub(super) fn doc(text: &str) -> TokenStream {
    let lines = text.lines().map(|line| {
        let mut escaped = String::from(" ");
        let mut code = false;
        for c in line.trim_end().chars() {
            if c == '`' {
                code = !code;
            }
            if !code && matches!(c, '[' | ']' | '<' | '>') {
                escaped.push('\\');
            }
            escaped.push(c);
        }
        let line = if escaped == " " {
            String::new()
        } else {
            escaped
        };
        quote!(#[doc = #line])
    });
    quote!(#(#lines)*)
}
