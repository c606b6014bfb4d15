//! The sizes by which pulls are counted (upstream `imageSizeBuckets` in `pkg/kubelet/metrics/metrics.go`).

const MB: u64 = 1024 * 1024;
const GB: u64 = 1024 * MB;

/// Each label with the size that an image must exceed for it.
const LABELS: [(u64, &str); 12] = [
    (100 * GB, "GT100GB"),
    (60 * GB, "60GB-100GB"),
    (40 * GB, "40GB-60GB"),
    (30 * GB, "30GB-40GB"),
    (20 * GB, "20GB-30GB"),
    (10 * GB, "10GB-20GB"),
    (5 * GB, "5GB-10GB"),
    (GB, "1GB-5GB"),
    (500 * MB, "500MB-1GB"),
    (100 * MB, "100MB-500MB"),
    (10 * MB, "10MB-100MB"),
    (0, "0-10MB"),
];

/// The label of an image of that size in bytes; 0 is one that the runtime did not tell.
pub fn size_label(bytes: u64) -> &'static str {
    LABELS.iter().find(|(above, _)| bytes > *above).map_or("N/A", |(_, label)| label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_on_the_bound_belongs_to_the_smaller_images() {
        let sizes = [0, 1, 10 * MB, 10 * MB + 1, 5 * GB, u64::MAX];
        assert_eq!(sizes.map(size_label), ["N/A", "0-10MB", "0-10MB", "10MB-100MB", "1GB-5GB", "GT100GB"]);
    }
}
