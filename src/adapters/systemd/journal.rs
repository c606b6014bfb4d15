//! The journal's native protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>): one datagram for each entry.

use std::io;

use async_trait::async_trait;
use tokio::net::UnixDatagram;

use crate::ports::kubelet::Journal;

const SOCKET: &str = "/run/systemd/journal/socket";

/// A connection to the journal.
#[derive(Debug)]
pub struct NativeJournal {
    socket: UnixDatagram,
}

impl NativeJournal {
    /// Opens a socket; whether the journal listens is only known with the first entry.
    ///
    /// # Errors
    /// No socket can be created.
    pub fn open() -> io::Result<Self> {
        Ok(Self { socket: UnixDatagram::unbound()? })
    }
}

#[async_trait]
impl Journal for NativeJournal {
    async fn write(&self, fields: &[(&'static str, &[u8])]) -> io::Result<()> {
        self.socket.send_to(&encode(fields), SOCKET).await.map(drop)
    }
}

/// `NAME=value` for plain values, and the form with a length for those with line feeds.
pub(crate) fn encode(fields: &[(&'static str, &[u8])]) -> Vec<u8> {
    let mut entry = Vec::with_capacity(512);
    for (name, value) in fields {
        entry.extend_from_slice(name.as_bytes());
        if value.contains(&b'\n') {
            entry.push(b'\n');
            entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
        } else {
            entry.push(b'=');
        }
        entry.extend_from_slice(value);
        entry.push(b'\n');
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_feed_in_a_value_makes_no_field_of_its_own() {
        let entry = encode(&[("MESSAGE", b"a\nPRIORITY=0"), ("POD", b"web")]);
        assert_eq!(entry, b"MESSAGE\n\x0c\0\0\0\0\0\0\0a\nPRIORITY=0\nPOD=web\n");
    }
}
