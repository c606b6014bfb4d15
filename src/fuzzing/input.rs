//! The input's bytes in the forms that properties need.

/// The input as text; `None` if it is not UTF-8.
pub fn text(input: &[u8]) -> Option<&str> {
    std::str::from_utf8(input).ok()
}

/// The input up to the first line feed, and the rest.
pub fn first_line(input: &[u8]) -> (&[u8], &[u8]) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    (&input[..end], input.get(end + 1..).unwrap_or_default())
}

/// An open file with the input that has a path, but is not on a disk.
pub struct MemoryFile(std::fs::File);

impl MemoryFile {
    pub fn new(content: &[u8]) -> Self {
        use std::os::unix::fs::FileExt;
        let file = rustix::fs::memfd_create("fuzz", rustix::fs::MemfdFlags::CLOEXEC).expect("a file in memory");
        let file = std::fs::File::from(file);
        file.write_all_at(content, 0).expect("written");
        Self(file)
    }

    pub fn path(&self) -> std::path::PathBuf {
        use std::os::fd::AsRawFd;
        format!("/proc/self/fd/{}", self.0.as_raw_fd()).into()
    }
}
