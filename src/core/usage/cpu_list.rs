//! Lists of processors in the kernel's format (`Documentation/admin-guide/cputopology.rst`).

/// Number of processors in a list such as `0-3,8`; `None` if it is invalid or empty.
pub fn count_cpus(list: &str) -> Option<u32> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.trim().parse::<u32>().ok()?, last.trim().parse::<u32>().ok()?);
        last.checked_sub(first)?.checked_add(1)
    };
    let count = list.trim().split(',').try_fold(0_u32, |count, part| count.checked_add(range(part)?))?;
    Some(count).filter(|count| *count > 0)
}

/// Number of processors in `/proc/stat`, which has a line for each online one.
pub fn count_cpu_lines(stat: &str) -> Option<u32> {
    let of_one =
        |line: &&str| line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    u32::try_from(stat.lines().filter(of_one).count()).ok().filter(|count| *count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_single_processors_are_counted() {
        for (list, count) in [
            ("0\n", Some(1)),
            ("0-63\n", Some(64)),
            ("0-3,8,10-11\n", Some(7)),
            ("", None),
            ("3-1", None),
            ("a", None),
            ("0-4294967295", None),
        ] {
            assert_eq!(count_cpus(list), count, "{list:?}");
        }
        assert_eq!(count_cpu_lines("cpu  1 2\ncpu0 1\ncpu3 1\nintr 5\n"), Some(2));
        assert_eq!(count_cpu_lines("intr 5\n"), None);
    }
}
