//! Decides which rotated log files are kept, compressed and removed (upstream `pkg/kubelet/logs`).

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Suffix of a compressed file.
const COMPRESSED: &str = ".gz";
/// Suffix of a file that is being compressed.
const UNFINISHED: &str = ".tmp";

/// What to do with the rotated files beside a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RotationPlan {
    /// Files to remove: remains of an interrupted compression, and the oldest ones.
    pub remove: Vec<String>,
    /// Files to compress, oldest first.
    pub compress: Vec<String>,
}

/// Plans for a log named `log` in a directory with these `names`, before it is rotated again.
///
/// `max_files` counts the log itself; it is at least 2.
pub fn plan_rotation(log: &str, names: &[String], max_files: u32) -> RotationPlan {
    let mut plan = RotationPlan::default();
    let prefix = format!("{log}.");
    let mut rotated: Vec<&String> = Vec::new();
    for name in names.iter().filter(|n| n.starts_with(&prefix)) {
        if name.ends_with(UNFINISHED) {
            plan.remove.push(name.clone());
        } else if !name.ends_with(COMPRESSED) && names.contains(&format!("{name}{COMPRESSED}")) {
            // Compressed, but the original could not be removed.
            plan.remove.push(name.clone());
        } else {
            rotated.push(name);
        }
    }
    rotated.sort();
    // The log itself counts, and so does the file that it is renamed to.
    let keep = usize::try_from(max_files).unwrap_or(usize::MAX).saturating_sub(2);
    let excess = rotated.len().saturating_sub(keep);
    plan.remove.extend(rotated.iter().take(excess).map(|n| (*n).clone()));
    let kept = rotated.iter().skip(excess);
    plan.compress = kept.filter(|n| !n.ends_with(COMPRESSED)).map(|n| (*n).clone()).collect();
    plan
}

/// The name of a log that is rotated at `now`.
pub fn rotated_name(log: &str, now: Timestamp) -> String {
    let time = now.to_zoned(TimeZone::UTC);
    format!("{log}.{}", time.strftime("%Y%m%d-%H%M%S"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn oldest_files_go_and_the_rest_is_compressed() {
        let there = names(&[
            "0.log",
            "0.log.20240101-000003",
            "0.log.20240101-000001.gz",
            "0.log.20240101-000002.gz",
            "1.log.20240101-000001",
            "0.log.20240101-000002.tmp",
        ]);
        let plan = plan_rotation("0.log", &there, 4);
        assert_eq!(plan.remove, names(&["0.log.20240101-000002.tmp", "0.log.20240101-000001.gz"]));
        assert_eq!(plan.compress, names(&["0.log.20240101-000003"]));
    }

    #[test]
    fn two_files_keep_no_older_one() {
        let there = names(&["0.log", "0.log.20240101-000001"]);
        assert_eq!(plan_rotation("0.log", &there, 2).remove, names(&["0.log.20240101-000001"]));
    }

    #[test]
    fn an_original_left_beside_its_compressed_form_is_removed() {
        let there = names(&["0.log.20240101-000001", "0.log.20240101-000001.gz"]);
        let plan = plan_rotation("0.log", &there, 5);
        assert_eq!(plan.remove, names(&["0.log.20240101-000001"]));
        assert!(plan.compress.is_empty());
    }

    #[test]
    fn names_sort_by_time() {
        let name = rotated_name("0.log", "2024-02-03T04:05:06.7Z".parse().unwrap());
        assert_eq!(name, "0.log.20240203-040506");
    }
}
