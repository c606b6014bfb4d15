//! Limit of open files in `/proc/PID/limits`.

/// Soft limit of open files; -1 for unlimited.
pub fn parse_open_files_limit(limits: &str) -> Option<i64> {
    let rest = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match rest.split_whitespace().next()? {
        "unlimited" => Some(-1),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_read() {
        let text = |soft: &str| {
            format!("Limit    Soft Limit  Hard Limit Units\nMax open files            {soft}      524288     files\n")
        };
        assert_eq!(parse_open_files_limit(&text("1024")), Some(1024));
        assert_eq!(parse_open_files_limit(&text("unlimited")), Some(-1));
        assert_eq!(parse_open_files_limit("Max processes 1 1\n"), None);
        assert_eq!(parse_open_files_limit("Max open files"), None);
    }
}
