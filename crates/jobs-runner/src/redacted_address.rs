//! What of an address may be shown: neither the user nor what is asked of the server.

/// An input as it may be shown: of an address neither the user nor what is asked of the server, which may be a signature.
/// Anything else stays as it is.
pub fn redacted_address(input: &str) -> String {
    let Some((scheme, rest)) = input.split_once("://") else {
        return input.to_owned();
    };
    if !["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
    {
        return input.to_owned();
    }
    let (rest, hidden) = match rest.find(['?', '#']) {
        Some(at) => (rest.get(..at).unwrap_or_default(), "?…"),
        None => (rest, ""),
    };
    let (authority, path) = rest.split_at(rest.find(['/', '\\']).unwrap_or(rest.len()));
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}{hidden}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_what_may_be_secret() {
        for (url, public) in [
            ("https://h/a/b.pdf", "https://h/a/b.pdf"),
            (
                "https://h:8443/a.pdf?sig=hunter2&x=1",
                "https://h:8443/a.pdf?…",
            ),
            ("https://user:hunter2@h/a.pdf#hunter2", "https://h/a.pdf?…"),
            ("https://h?sig=hunter2", "https://h?…"),
            ("http://u@p@h/x@y", "http://h/x@y"),
            ("https://h/@a", "https://h/@a"),
            ("HTTPS://h/a?hunter2", "HTTPS://h/a?…"),
            ("what?.pdf", "what?.pdf"),
        ] {
            assert_eq!(redacted_address(url), public);
        }
    }
}
