//! The journal's native protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>): one datagram for each entry.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;

use async_trait::async_trait;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, UCred, sendmsg_addr};
use rustix::process::{Pid, getgid, getuid};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

use crate::core::model::with_causes;
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
    async fn write(&self, fields: &[(&'static str, &[u8])], sender: Option<i32>) -> io::Result<()> {
        let entry = encode(fields);
        if let Some(pid) = sender.and_then(Pid::from_raw) {
            match self.send_as(pid, &entry, SOCKET).await {
                Ok(()) => return Ok(()),
                // The process has exited (ESRCH), or this one may not speak for others (EPERM).
                Err(error) => tracing::debug!(
                    error = with_causes(&error),
                    pid = pid.as_raw_nonzero().get(),
                    "a line of a static pod is not filed under its unit"
                ),
            }
        }
        self.socket.send_to(&entry, SOCKET).await.map(drop)
    }
}

impl NativeJournal {
    /// Sends an entry with the credentials of another process (SCM_CREDENTIALS in unix(7), for CAP_SYS_ADMIN): the journal
    /// derives `_SYSTEMD_UNIT` from the cgroup of that one, and `journalctl -u` shows the entry for its unit alone.
    async fn send_as(&self, pid: Pid, entry: &[u8], socket: &str) -> io::Result<()> {
        let address = SocketAddrUnix::new(socket)?;
        let credentials = UCred { pid, uid: getuid(), gid: getgid() };
        loop {
            self.socket.writable().await?;
            let sent = self.socket.try_io(Interest::WRITABLE, || {
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
                let mut control = SendAncillaryBuffer::new(&mut space);
                control.push(SendAncillaryMessage::ScmCredentials(credentials));
                let parts = [IoSlice::new(entry)];
                Ok(sendmsg_addr(&self.socket, &address, &parts, &mut control, SendFlags::DONTWAIT)?)
            });
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return outcome.map(drop),
            }
        }
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
    use rustix::net::sockopt::set_socket_passcred;
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

    use super::*;

    #[tokio::test]
    async fn an_entry_is_sent_in_the_name_of_another_process_if_there_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let journal = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        set_socket_passcred(&journal, true).unwrap();
        let sender = NativeJournal::open().unwrap();
        let own = rustix::process::getpid();
        sender.send_as(own, b"MESSAGE=a\n", path.to_str().unwrap()).await.unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let other = Pid::from_child(&child);
        // Only root may speak for another process.
        let sent = sender.send_as(other, b"MESSAGE=b\n", path.to_str().unwrap()).await;
        let wanted = if rustix::process::geteuid().is_root() { vec![own, other] } else { vec![own] };
        assert_eq!(sent.is_ok(), wanted.len() == 2, "{sent:?}");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(sender.send_as(other, b"MESSAGE=c\n", path.to_str().unwrap()).await.is_err(), "it has exited");
        for pid in wanted {
            let (mut data, mut space) = ([0; 64], [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))]);
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut parts = [io::IoSliceMut::new(&mut data)];
            recvmsg(&journal, &mut parts, &mut control, RecvFlags::DONTWAIT).unwrap();
            let told: Vec<Pid> = control
                .drain()
                .filter_map(|message| match message {
                    RecvAncillaryMessage::ScmCredentials(credentials) => Some(credentials.pid),
                    _ => None,
                })
                .collect();
            assert_eq!(told, [pid]);
        }
    }

    #[test]
    fn a_line_feed_in_a_value_makes_no_field_of_its_own() {
        let entry = encode(&[("MESSAGE", b"a\nPRIORITY=0"), ("POD", b"web")]);
        assert_eq!(entry, b"MESSAGE\n\x0c\0\0\0\0\0\0\0a\nPRIORITY=0\nPOD=web\n");
    }
}
