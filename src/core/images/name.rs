//! Image references as users write them (the grammar of `github.com/distribution/reference`).

/// Why a name is not an image reference; the text appears in the status `InvalidImageName`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("couldn't parse image name {image:?}: {reason}")]
pub struct NameError {
    /// The name as written, shortened if it is very long.
    pub image: String,
    /// The reference library's message.
    pub reason: String,
}

/// A parsed image reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageName {
    /// Registry and repository with defaults added, e.g. `docker.io/library/busybox`.
    pub repository: String,
    /// Tag as written; `None` if there is none, although it may mean `latest`.
    pub tag: Option<String>,
    /// Digest as written, e.g. `sha256:…`; `None` if there is none.
    pub digest: Option<String>,
}

const DEFAULT_REGISTRY: &str = "docker.io";
const MAX_NAME: usize = 255;
/// Most bytes of a reference: repository, a tag of 128 characters, the longest digest, and some reserve.
const MAX_REFERENCE: usize = 1024;
/// Most bytes of a name that an error repeats.
const MAX_SHOWN: usize = 512;

/// Parses a reference.
///
/// # Errors
/// It does not follow the grammar.
pub fn parse_name(image: &str) -> Result<ImageName, NameError> {
    // The name is repeated in statuses and events, whose size is limited.
    let shown = image.get(..image.floor_char_boundary(MAX_SHOWN)).unwrap_or_default();
    let wrong = |reason: String| NameError { image: shown.to_owned(), reason };
    if image.len() > MAX_REFERENCE {
        return Err(wrong(format!("a reference must not be longer than {MAX_REFERENCE} bytes")));
    }
    let format = || wrong("invalid reference format".to_owned());
    if image.len() == 64 && image.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(wrong(format!("invalid repository name ({image}), cannot specify 64-byte hexadecimal strings")));
    }
    let (registry, rest) = split_registry(image);
    let (rest, digest) = match rest.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (rest, None),
    };
    let (path, tag) = match rest.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (rest, None),
    };
    let path =
        if registry == DEFAULT_REGISTRY && !path.contains('/') { format!("library/{path}") } else { path.into() };
    if path.chars().any(char::is_uppercase) {
        return Err(wrong(format!("invalid reference format: repository name ({path}) must be lowercase")));
    }
    if !is_registry(&registry) || !path.split('/').all(is_component) || tag.is_some_and(|t| !is_tag(t)) {
        return Err(format());
    }
    if let Some(digest) = digest {
        check_digest(digest).map_err(|reason| wrong(reason.to_owned()))?;
    }
    let repository = format!("{registry}/{path}");
    if repository.len() > MAX_NAME {
        return Err(wrong("repository name must not be more than 255 characters".to_owned()));
    }
    Ok(ImageName { repository, tag: tag.map(Into::into), digest: digest.map(Into::into) })
}

/// The name with `:latest` if it has neither tag nor digest; short names are not expanded.
///
/// # Errors
/// As [`parse_name`].
pub fn with_default_tag(image: &str) -> Result<String, NameError> {
    let name = parse_name(image)?;
    let bare = name.tag.is_none() && name.digest.is_none();
    Ok(if bare { format!("{image}:latest") } else { image.to_owned() })
}

/// The name as written, without tag and digest.
pub fn without_tag(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => path,
        _ => name,
    }
}

fn split_registry(image: &str) -> (String, &str) {
    match image.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':']) || first == "localhost" || first.chars().any(char::is_uppercase) =>
        {
            let registry = if first == "index.docker.io" { DEFAULT_REGISTRY } else { first };
            (registry.to_owned(), rest)
        }
        _ => (DEFAULT_REGISTRY.to_owned(), image),
    }
}

fn is_registry(registry: &str) -> bool {
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (registry, None),
    };
    if port.is_some_and(|p| p.is_empty() || !p.bytes().all(|b| b.is_ascii_digit())) {
        return false;
    }
    if let Some(address) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
    }
    host.split('.').all(|label| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

/// Alphanumeric runs separated by `.`, `_`, `__` or any number of `-`.
fn is_component(component: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends = bytes.first().copied().is_some_and(alphanumeric) && bytes.last().copied().is_some_and(alphanumeric);
    ends && component
        .split(|c: char| c.is_ascii() && alphanumeric(c as u8))
        .all(|separator| matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128 && tag.bytes().next().is_some_and(word) && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-')
}

fn check_digest(digest: &str) -> Result<(), &'static str> {
    let format = "invalid reference format";
    let (algorithm, hex) = digest.split_once(':').ok_or(format)?;
    let named = algorithm.split(['-', '_', '+', '.']).all(|part| {
        part.bytes().next().is_some_and(|b| b.is_ascii_alphabetic()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
    });
    if !named || hex.len() < 32 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(format);
    }
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Err("unsupported digest algorithm"),
    };
    if hex.len() != length {
        return Err("invalid checksum digest length");
    }
    if hex.bytes().any(|b| b.is_ascii_uppercase()) { Err("invalid checksum digest format") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_megabyte_is_refused_and_not_repeated() {
        for name in ["r.io/".to_owned() + &"a".repeat(1 << 20), "é".repeat(1 << 19)] {
            let error = parse_name(&name).expect_err("too long").to_string();
            assert!(error.len() < 1024 && error.ends_with("longer than 1024 bytes"), "{error}");
        }
    }

    #[test]
    fn short_names_are_completed_in_parsing_but_not_in_pulling() {
        for (image, repository, pulled) in [
            ("busybox", "docker.io/library/busybox", "busybox:latest"),
            ("busybox:1", "docker.io/library/busybox", "busybox:1"),
            ("a/b", "docker.io/a/b", "a/b:latest"),
            ("index.docker.io/a/b", "docker.io/a/b", "index.docker.io/a/b:latest"),
            ("localhost/b", "localhost/b", "localhost/b:latest"),
            ("r.io:5000/x/y__z-a.b", "r.io:5000/x/y__z-a.b", "r.io:5000/x/y__z-a.b:latest"),
            ("[::1]:5000/x", "[::1]:5000/x", "[::1]:5000/x:latest"),
        ] {
            assert_eq!(parse_name(image).map(|n| n.repository).as_deref(), Ok(repository), "{image}");
            assert_eq!(with_default_tag(image).as_deref(), Ok(pulled), "{image}");
        }
        let digest = format!("r.io/x@sha256:{}", "0".repeat(64));
        assert_eq!(with_default_tag(&digest), Ok(digest));
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for image in [
            "",
            " ",
            "a b",
            "Busybox",
            "a//b",
            "a/",
            "-a",
            "a-",
            "a___b",
            "a..b",
            "a:",
            "a:-x",
            "a@sha256:00",
            "r.io:x/a",
            "a@md5:00000000000000000000000000000000",
            "-r.io/a",
            "a:b:c",
            "http://r.io/a",
            "é",
            "a/../b",
            "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        ] {
            assert!(parse_name(image).is_err(), "{image}");
        }
        assert!(parse_name(&"a".repeat(300)).is_err());
        let error = parse_name("FAILED_IMAGE").map_err(|e| e.to_string());
        assert_eq!(
            error,
            Err("couldn't parse image name \"FAILED_IMAGE\": invalid reference format: repository name \
                 (library/FAILED_IMAGE) must be lowercase"
                .into())
        );
    }

    #[test]
    fn tags_and_digests_can_be_cut_off() {
        for (image, bare) in [("a:1", "a"), ("r.io:5000/a", "r.io:5000/a"), ("r.io:5000/a:1@sha256:x", "r.io:5000/a")] {
            assert_eq!(without_tag(image), bare);
        }
    }
}
