//! Sends log lines to the journal by its native protocol, without ever blocking.
//!
//! If the journal does not read (stopped, or its disk is full), its socket accepts some messages and then blocks
//! senders; a log line would stop the kubelet's only thread. Lines that are not accepted are dropped and counted, and
//! the count is logged with the next line.

use std::fmt::{self, Write as _};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

const SOCKET: &str = "/run/systemd/journal/socket";
/// Longest field; longer ones are truncated, because an entry has to fit into one datagram.
const MOST: usize = 32 * 1024;

/// A layer of `tracing` that writes to the journal.
pub struct Journal {
    socket: UnixDatagram,
    identifier: String,
    lost: AtomicU64,
}

impl Journal {
    /// Connects to the machine's journal.
    ///
    /// # Errors
    /// The machine has none.
    pub fn connect() -> io::Result<Self> {
        Self::connect_to(Path::new(SOCKET))
    }

    fn connect_to(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        socket.set_nonblocking(true)?;
        let program = std::env::args_os().next().unwrap_or_default();
        let identifier = Path::new(&program).file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { socket, identifier, lost: AtomicU64::new(0) })
    }

    fn send(&self, entry: &[u8]) {
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > 0 && self.socket.send(&self.render_loss(lost)).is_ok() {
            self.lost.fetch_sub(lost, Ordering::Relaxed);
        }
        if self.socket.send(entry).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn render_loss(&self, lost: u64) -> Vec<u8> {
        let mut entry = Vec::new();
        put(&mut entry, "PRIORITY", priority(Level::WARN));
        put(&mut entry, "SYSLOG_IDENTIFIER", &self.identifier);
        put(&mut entry, "MESSAGE", &format!("{lost} log lines were dropped because the journal did not accept them"));
        entry
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut entry = Vec::with_capacity(256);
        put_metadata(&mut entry, event.metadata());
        put(&mut entry, "SYSLOG_IDENTIFIER", &self.identifier);
        event.record(&mut Fields(&mut entry));
        self.send(&entry);
    }
}

/// The syslog priority, with info as notice: what the kubelet logs is more than debug output.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "5",
        Level::DEBUG => "6",
        Level::TRACE => "7",
    }
}

fn put_metadata(entry: &mut Vec<u8>, metadata: &Metadata<'_>) {
    put(entry, "PRIORITY", priority(*metadata.level()));
    put(entry, "TARGET", metadata.target());
    if let (Some(file), Some(line)) = (metadata.file(), metadata.line()) {
        put(entry, "CODE_FILE", file);
        put(entry, "CODE_LINE", &line.to_string());
    }
}

/// Appends a field in the form with a length, which supports any value.
fn put(entry: &mut Vec<u8>, name: &str, value: &str) {
    let value = value.as_bytes().get(..value.len().min(MOST)).unwrap_or_default();
    entry.extend_from_slice(name.as_bytes());
    entry.push(b'\n');
    entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    entry.extend_from_slice(value);
    entry.push(b'\n');
}

struct Fields<'a>(&'a mut Vec<u8>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: &str) {
        // The journal allows upper-case letters, digits and underscores, and no underscore or digit at the beginning.
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let name: String = field.name().chars().map(plain).collect();
        let name = name.trim_start_matches(|c: char| c == '_' || c.is_ascii_digit());
        if !name.is_empty() {
            put(self.0, name.get(..64).unwrap_or(name), value);
        }
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            let _ = write!(text, ": {cause}");
            source = cause.source();
        }
        self.put(field, &text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn a_journal_that_stands_still_keeps_nobody_waiting_and_hears_what_it_missed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        let subscriber = tracing_subscriber::registry().with(Journal::connect_to(&path).unwrap());
        let read = || {
            let mut entry = vec![0; 4096];
            let length = journal.recv(&mut entry).unwrap();
            String::from_utf8_lossy(&entry[..length]).into_owned()
        };
        tracing::subscriber::with_default(subscriber, || {
            // Far more than the socket's queue can hold.
            for number in 0..5000 {
                tracing::info!(pod = "web", "line {number}");
            }
            let first = read();
            assert!(first.contains("line 0") && first.contains("POD\n") && first.contains("web"), "{first}");
            journal.set_nonblocking(true).unwrap();
            while journal.recv(&mut [0; 4096]).is_ok() {}
            tracing::info!("after");
        });
        journal.set_nonblocking(false).unwrap();
        assert!(read().contains("log lines were dropped"));
        assert!(read().contains("after"));
    }
}
