//! Checks and configures the machine and the kubelet's own process, before anything else runs.

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::error::Error;
use crate::adapters::host::{LocalHost, limit_files};
use crate::adapters::iptables::{self, Iptables};
use crate::core::host::{check_host, plan_tunables};
use crate::core::model::{KubeletSpec, with_causes};
use crate::supervise::restarting;

/// Checks the machine, then applies the settings to it.
///
/// # Errors
/// Every reason why the kubelet must not run on this machine.
pub fn prepare(spec: &KubeletSpec, host: &LocalHost) -> Result<(), Error> {
    let facts = host.observe();
    let faults = check_host(&spec.host, &facts);
    if !faults.is_empty() {
        return Err(Error::Machine(faults));
    }
    for tunable in plan_tunables(&spec.host, &facts) {
        match host.set(tunable) {
            Ok(()) => info!(setting = tunable.name, value = tunable.value, "set in /proc/sys"),
            Err(error) => {
                warn!(setting = tunable.name, want = tunable.value, error = with_causes(&error), "not set in /proc/sys")
            }
        }
    }
    if let Err(error) = host.set_oom_score(spec.host.oom_score_adj) {
        warn!(
            want = spec.host.oom_score_adj,
            error = with_causes(&error),
            "oomScoreAdj: the kubelet keeps the score that it was started with"
        );
    }
    let (want, files) = (spec.host.max_open_files, limit_files(spec.host.max_open_files));
    if files != want {
        info!(want, files, "maxOpenFiles: the limit of open files differs from the setting");
    }
    Ok(())
}

/// Maintains the chains of `makeIPTablesUtilChains`, if the node has the program.
pub fn keep_chains(spec: &KubeletSpec, stop: &CancellationToken) {
    if !spec.host.iptables_hint {
        return;
    }
    for iptables in Iptables::both() {
        let ends = stop.clone();
        restarting("chains of iptables", stop, iptables, move |iptables| {
            let ends = ends.clone();
            Box::pin(async move {
                ends.run_until_cancelled(keep(iptables)).await;
            })
        });
    }
}

async fn keep(iptables: &Iptables) {
    let mut failing = false;
    loop {
        match iptables.ensure().await {
            Ok(()) => failing = false,
            Err(absent @ iptables::Error::Absent(_)) => {
                info!(%absent, "makeIPTablesUtilChains: no chains are created");
                return std::future::pending().await;
            }
            Err(error) if !std::mem::replace(&mut failing, true) => {
                warn!(error = with_causes(&error), "makeIPTablesUtilChains: the chains were not created");
            }
            Err(_) => {}
        }
        sleep(iptables::AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::kubelet::{Flags, load};

    fn spec(flags: &[(&str, &str)]) -> KubeletSpec {
        let fields = flags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        load(&Flags { node_name: "n1".into(), fields, ..Flags::default() }).expect("valid")
    }

    #[test]
    fn nothing_is_set_on_a_machine_that_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        for folder in ["proc/sys/vm", "proc/self", "sys/fs/cgroup"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        fs::write(at("proc/swaps"), "Filename\n/dev/sda2\n").unwrap();
        fs::write(at("proc/sys/vm/overcommit_memory"), "0").unwrap();
        fs::write(at("proc/self/oom_score_adj"), "0").unwrap();
        let host = LocalHost::at(root.path());
        let error = prepare(&spec(&[]), &host).unwrap_err().to_string();
        assert!(error.contains("failSwapOn") && error.contains("failCgroupV1"), "{error}");
        assert_eq!(fs::read_to_string(at("proc/sys/vm/overcommit_memory")).unwrap(), "0");

        // The limit of open files is that of the test process.
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1024).to_string();
        let lifted = [("fail-swap-on", "false"), ("fail-cgroupv1", "false"), ("max-open-files", files.as_str())];
        prepare(&spec(&lifted), &host).unwrap();
        assert_eq!(fs::read_to_string(at("proc/sys/vm/overcommit_memory")).unwrap(), "1");
        assert_eq!(fs::read_to_string(at("proc/self/oom_score_adj")).unwrap(), "-999");
    }
}
