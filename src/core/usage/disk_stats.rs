//! Block devices of `/proc/diskstats` (`Documentation/admin-guide/iostats.rst`).

use crate::core::model::cgroup_sample::DiskCounters;

/// Every device with its counters; truncated lines are skipped.
pub fn parse_disk_stats(text: &str) -> Vec<DiskCounters> {
    text.lines().filter_map(device).collect()
}

fn device(line: &str) -> Option<DiskCounters> {
    let mut words = line.split_whitespace();
    let (major, minor, name) = (words.next()?, words.next()?, words.next()?);
    let mut count = || words.next()?.parse::<u64>().ok();
    Some(DiskCounters {
        number: format!("{major}:{minor}"),
        name: name.to_owned(),
        reads: count()?,
        reads_merged: count()?,
        sectors_read: count()?,
        read_millis: count()?,
        writes: count()?,
        writes_merged: count()?,
        sectors_written: count()?,
        write_millis: count()?,
        in_progress: count()?,
        busy_millis: count()?,
        weighted_millis: count()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_device_and_a_short_one_is_none() {
        let text = " 8 0 sda 1 2 3 4 5 6 7 8 9 10 11 0 0\n 8 1 sda1 1 2\n\n x\n";
        let found = parse_disk_stats(text);
        assert_eq!(found.len(), 1);
        let sda = &found[0];
        assert_eq!((sda.number.as_str(), sda.name.as_str()), ("8:0", "sda"));
        assert_eq!((sda.reads, sda.write_millis, sda.in_progress, sda.weighted_millis), (1, 8, 9, 11));
    }
}
