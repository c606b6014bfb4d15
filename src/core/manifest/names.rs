//! Syntax of names (`k8s.io/apimachinery/pkg/util/validation`).

/// Lower-case letters, digits and `-`, at most 63, beginning and ending with a letter or digit (RFC 1123 label).
pub fn is_dns_label(name: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    name.len() <= 63
        && edge(name.chars().next())
        && edge(name.chars().last())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Labels joined by dots, at most 253 characters (RFC 1123 subdomain).
pub fn is_dns_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(|part| !part.is_empty() && is_subdomain_part(part))
}

fn is_subdomain_part(part: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    edge(part.chars().next())
        && edge(part.chars().last())
        && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// A label or annotation key: an optional subdomain and `/`, then up to 63 letters, digits, `-`, `_`, `.`.
pub fn is_qualified_name(name: &str) -> bool {
    let (prefix, name) = name.split_once('/').map_or((None, name), |(p, n)| (Some(p), n));
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    prefix.is_none_or(is_dns_subdomain)
        && name.len() <= 63
        && edge(name.chars().next())
        && edge(name.chars().last())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// A label value: like a name without prefix, or empty.
pub fn is_label_value(value: &str) -> bool {
    value.is_empty() || (!value.contains('/') && is_qualified_name(value))
}

/// A port name: at most 15 lower-case letters, digits and single `-`, with a letter.
pub fn is_port_name(name: &str) -> bool {
    name.len() <= 15 && is_dns_label(name) && !name.contains("--") && name.chars().any(|c| c.is_ascii_lowercase())
}
