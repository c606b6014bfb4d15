//! The chains that upstream's kubelet creates with `iptables` for others (`pkg/kubelet/kubelet_network_linux.go`):
//! KUBE-IPTABLES-HINT, by which programs in containers detect the iptables variant of the node, and KUBE-FIREWALL,
//! which drops packets from outside to loopback addresses.

use std::io;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use crate::offload;

/// Interval between checks, as upstream.
pub const AGAIN: Duration = Duration::from_secs(60);
/// Time limit of a call; iptables itself waits for its lock for five seconds.
const PATIENCE: Duration = Duration::from_secs(30);

const HINT: &str = "KUBE-IPTABLES-HINT";
const FIREWALL: &str = "KUBE-FIREWALL";

/// Why the chains could not be created.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program is not installed, so nothing on the node uses the chains.
    #[error("{0} is not installed")]
    Absent(String),
    #[error("{command}: {message}")]
    Failed { command: String, message: String },
}

/// The iptables of one address family.
#[derive(Clone, Debug)]
pub struct Iptables {
    program: PathBuf,
    ipv6: bool,
}

impl Iptables {
    /// For IPv4 and IPv6, with the programs found in `PATH`.
    pub fn both() -> [Self; 2] {
        [Self { program: "iptables".into(), ipv6: false }, Self { program: "ip6tables".into(), ipv6: true }]
    }

    /// Creates what is missing.
    ///
    /// # Errors
    /// The program does not exist, or fails.
    pub async fn ensure(&self) -> Result<(), Error> {
        self.ensure_chain("mangle", HINT).await?;
        if self.ipv6 {
            return Ok(());
        }
        self.ensure_chain("filter", FIREWALL).await?;
        for chain in ["OUTPUT", "INPUT"] {
            self.ensure_rule("-I", chain, &["-j", FIREWALL]).await?;
        }
        let comment = "block incoming localnet connections";
        let martian = ["--dst", "127.0.0.0/8", "!", "--src", "127.0.0.0/8", "-m", "conntrack", "!", "--ctstate"];
        let rule = ["-m", "comment", "--comment", comment].into_iter().chain(martian);
        let rule: Vec<&str> = rule.chain(["RELATED,ESTABLISHED,DNAT", "-j", "DROP"]).collect();
        self.ensure_rule("-A", FIREWALL, &rule).await
    }

    async fn ensure_chain(&self, table: &str, chain: &str) -> Result<(), Error> {
        let made = self.run(&["-t", table, "-N", chain]).await?;
        // Exit status 1 means that it exists.
        if made.status.success() || made.status.code() == Some(1) {
            Ok(())
        } else {
            Err(self.failed("-N", chain, &made))
        }
    }

    async fn ensure_rule(&self, how: &str, chain: &str, rule: &[&str]) -> Result<(), Error> {
        let with = |verb: &str| -> Vec<String> {
            ["-t", "filter", verb, chain].iter().chain(rule).map(|word| (*word).to_owned()).collect()
        };
        let (check, make) = (with("-C"), with(how));
        if self.run(&check).await?.status.success() {
            return Ok(());
        }
        let made = self.run(&make).await?;
        if made.status.success() { Ok(()) } else { Err(self.failed(how, chain, &made)) }
    }

    fn failed(&self, verb: &str, chain: &str, output: &Output) -> Error {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Error::Failed { command: format!("{} {verb} {chain}", self.program.display()), message }
    }

    async fn run(&self, args: &[impl AsRef<std::ffi::OsStr>]) -> Result<Output, Error> {
        let name = || self.program.display().to_string();
        let mut command = Command::new(&self.program);
        command.args(["-w", "5"]).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.kill_on_drop(true);
        let run = async { offload::spawn(command).await?.wait_with_output().await };
        match tokio::time::timeout(PATIENCE, run).await {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Err(Error::Absent(name())),
            Ok(Err(error)) => Err(Error::Failed { command: name(), message: error.to_string() }),
            Err(_) => Err(Error::Failed {
                command: name(),
                message: format!("did not finish within {} s", PATIENCE.as_secs()),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;

    /// A program that records its arguments in `calls` and stores chains and rules as files.
    fn program(folder: &Path) -> PathBuf {
        let path = folder.join("iptables");
        let text = format!(
            "#!/bin/sh\nshift 2\necho \"$*\" >>{0}/calls\nkey=$(echo \"$*\" | sed 's/ -[CIA] / /' | tr -c 'A-Za-z0-9\\n' _)\n\
             case \"$*\" in\n*' -C '*) [ -e {0}/made-$key ] ;;\n*' -N '*) [ ! -e {0}/made-$key ] && : >{0}/made-$key ;;\n\
             *) : >{0}/made-$key ;;\nesac\n",
            folder.display()
        );
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[tokio::test]
    async fn chains_and_rules_are_made_once_and_put_back_when_they_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let iptables = Iptables { program: program(folder.path()), ipv6: false };
        let calls = || {
            let calls = fs::read_to_string(folder.path().join("calls")).unwrap();
            fs::remove_file(folder.path().join("calls")).unwrap();
            let made = |line: &&str| !line.contains(" -C ");
            calls.lines().filter(made).map(str::to_owned).collect::<Vec<_>>()
        };
        iptables.ensure().await.unwrap();
        assert_eq!(
            calls(),
            [
                "-t mangle -N KUBE-IPTABLES-HINT",
                "-t filter -N KUBE-FIREWALL",
                "-t filter -I OUTPUT -j KUBE-FIREWALL",
                "-t filter -I INPUT -j KUBE-FIREWALL",
                "-t filter -A KUBE-FIREWALL -m comment --comment block incoming localnet connections --dst 127.0.0.0/8 ! \
                 --src 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP",
            ]
        );
        iptables.ensure().await.unwrap();
        assert!(calls().iter().all(|line| line.contains(" -N ")), "rules are doubled");
        for made in fs::read_dir(folder.path()).unwrap().flatten() {
            if made.file_name().to_string_lossy().contains("INPUT") {
                fs::remove_file(made.path()).unwrap();
            }
        }
        iptables.ensure().await.unwrap();
        assert!(calls().contains(&"-t filter -I INPUT -j KUBE-FIREWALL".to_owned()));
    }

    #[tokio::test]
    async fn a_node_without_the_program_has_nobody_who_looks_for_the_chains() {
        let absent = Iptables { program: "/nowhere/iptables".into(), ipv6: true };
        assert!(matches!(absent.ensure().await, Err(Error::Absent(_))));
    }
}
