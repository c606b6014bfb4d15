//! A real name server that does not respond, in namespaces of the test.

use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::machine::LocalMachine;
use crate::ports::kubelet::Machine;

/// Name of the inner test, and the variable that marks the inner run.
const INNER: &str = "adapters::node_tests::inside_of_the_namespaces";
const INSIDE: &str = "ROOST_TEST_SILENT_NAME_SERVER";

#[test]
fn a_name_server_that_swallows_questions_does_not_keep_the_thread() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let resolv = put("resolv.conf", "nameserver 127.0.0.1\noptions timeout:30 attempts:5\n");
    let nsswitch = put("nsswitch.conf", "hosts: files dns\n");
    let script = "ip link set lo up && mount --bind \"$1\" /etc/resolv.conf && mount --bind \"$2\" /etc/nsswitch.conf \
                  && exec \"$0\" --nocapture --exact --ignored \"$3\"";
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--propagation", "private", "sh", "-ec", script])
        .arg(std::env::current_exe().unwrap())
        .args([&resolv, &nsswitch, INNER])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
#[ignore = "run by the test above, inside of namespaces"]
async fn inside_of_the_namespaces() {
    assert!(std::env::var_os(INSIDE).is_some(), "not on the host's own network");
    let server = UdpSocket::bind("127.0.0.1:53").unwrap();
    let turns = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&turns);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            counted.fetch_add(1, Ordering::SeqCst);
        }
    });
    let machine = LocalMachine::new(Path::new("/"));
    // Other tasks run while the name is resolved, and everything that does not need it is known.
    let facts = machine.observe(Some("node.example")).await;
    assert!(turns.load(Ordering::SeqCst) > 20, "{turns:?}");
    assert!(facts.memory > 0 && facts.root_fs > 0, "{facts:?}");
    server.set_nonblocking(true).unwrap();
    assert!(server.recv(&mut [0; 512]).is_ok(), "the name server was asked");
    while server.recv(&mut [0; 512]).is_ok() {}
    // One lookup is in progress: however often the facts are read, no second one is started or waited for.
    for _ in 0..20 {
        machine.observe(Some("node.example")).await;
    }
    assert!(server.recv(&mut [0; 512]).is_err(), "a second question while the first one is under way");
    // With configured addresses nothing is resolved.
    assert!(LocalMachine::new(Path::new("/")).observe(None).await.addresses.is_empty());
    assert!(server.recv(&mut [0; 512]).is_err(), "the addresses are given");
    // The lookup's thread ends with the process.
    std::process::exit(finish());
}

/// The output of the test harness: returning from the test drops the runtime, which waits for the hanging thread.
#[expect(clippy::print_stdout, reason = "read by the outer test")]
fn finish() -> i32 {
    println!("1 passed");
    0
}
