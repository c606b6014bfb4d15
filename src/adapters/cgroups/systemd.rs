//! Slices for pods through systemd's D-Bus interface, so that systemd and the kubelet do not manage the same cgroups
//! independently.

use std::time::Duration;

use tokio::sync::Mutex;
use zbus::{OwnedObjectPath, Variant};

use crate::adapters::systemd::jobs::Jobs;
use crate::adapters::systemd::manager::{ManagerProxy, connect};
use crate::core::model::cgroup::{CgroupLimits, weight_of_shares};

/// Time limit of a systemd job.
const PATIENCE: Duration = Duration::from_secs(30);

/// Creates and removes slices. The connection is opened at first use, and again after a failure.
#[derive(Debug, Default)]
pub struct Slices {
    connection: Mutex<Option<(zbus::Connection, Jobs)>>,
    /// True to use the property names of cgroup version 1.
    v1: bool,
}

impl Slices {
    /// For a node with cgroup version 1 or 2.
    pub fn new(v1: bool) -> Self {
        Self { connection: Mutex::default(), v1 }
    }

    async fn manager(&self) -> zbus::Result<(ManagerProxy<'static>, Jobs)> {
        let mut slot = self.connection.lock().await;
        if let Some((connection, jobs)) = slot.as_ref().filter(|(connection, _)| !connection.is_closed()) {
            return Ok((ManagerProxy::new(connection).await?, jobs.clone()));
        }
        let connection = connect().await?;
        let manager = ManagerProxy::new(&connection).await?;
        manager.subscribe().await?;
        let jobs = Jobs::listen(&manager).await?;
        *slot = Some((connection, jobs.clone()));
        Ok((manager, jobs))
    }

    /// Starts a slice with these limits; a running one only gets the limits.
    pub async fn start(&self, name: &str, limits: &CgroupLimits) -> zbus::Result<()> {
        let (manager, jobs) = self.manager().await?;
        let mut properties: Vec<(&str, Variant<'_>)> = vec![
            ("Description", format!("pods of the kubelet: {name}").into()),
            ("DefaultDependencies", false.into()),
            ("CPUAccounting", true.into()),
            ("MemoryAccounting", true.into()),
            ("TasksAccounting", true.into()),
        ];
        properties.extend(limit_properties(limits, self.v1));
        match run_job(name, &jobs, manager.start_transient_unit(name, "replace", &properties, &[])).await {
            Err(error) if is(&error, "org.freedesktop.systemd1.UnitExists") => self.set(name, limits).await,
            other => other,
        }
    }

    /// Changes the limits of a running slice.
    pub async fn set(&self, name: &str, limits: &CgroupLimits) -> zbus::Result<()> {
        let properties = limit_properties(limits, self.v1);
        if properties.is_empty() {
            return Ok(());
        }
        self.manager().await?.0.set_unit_properties(name, true, &properties).await
    }

    /// Stops a slice with everything in it. "Not loaded" is success.
    pub async fn stop(&self, name: &str) -> zbus::Result<()> {
        let (manager, jobs) = self.manager().await?;
        let result = match run_job(name, &jobs, manager.stop_unit(name, "replace")).await {
            Err(error) if is(&error, "org.freedesktop.systemd1.NoSuchUnit") => return Ok(()),
            other => other,
        };
        // A failed unit would stay loaded forever; others are already unloaded.
        _ = manager.reset_failed_unit(name).await;
        result
    }
}

fn is(error: &zbus::Error, name: &str) -> bool {
    matches!(error, zbus::Error::MethodError(found, _, _) if found.as_str() == name)
}

/// Requests a job and waits until it is done.
async fn run_job(
    name: &str,
    jobs: &Jobs,
    call: impl Future<Output = zbus::Result<OwnedObjectPath>>,
) -> zbus::Result<()> {
    let late = |_| zbus::Error::Failure(format!("systemd's job for {name} took too long"));
    match tokio::time::timeout(PATIENCE, jobs.end_of(call)).await.map_err(late)??.as_str() {
        "done" | "skipped" => Ok(()),
        result => Err(zbus::Error::Failure(format!("systemd's job for {name} finished with result {result}"))),
    }
}

/// Limits as systemd's properties (as in runc's `systemd` cgroup managers).
fn limit_properties(limits: &CgroupLimits, v1: bool) -> Vec<(&'static str, Variant<'static>)> {
    let mut properties: Vec<(&'static str, Variant<'static>)> = Vec::new();
    if let Some(shares) = limits.cpu_shares {
        properties.push(if v1 { ("CPUShares", shares.into()) } else { ("CPUWeight", weight_of_shares(shares).into()) });
    }
    if let Some(quota) = limits.cpu_quota {
        let period = limits.cpu_period.unwrap_or(100_000).max(1);
        properties.push(("CPUQuotaPerSecUSec", quota_per_second(quota, period).into()));
    }
    if let Some(memory) = limits.memory.and_then(|m| u64::try_from(m).ok()).filter(|m| *m > 0) {
        properties.push((if v1 { "MemoryLimit" } else { "MemoryMax" }, memory.into()));
    }
    if let Some(pids) = limits.pids {
        properties.push(("TasksMax", u64::try_from(pids).unwrap_or(u64::MAX).into()));
    }
    properties
}

/// CPU time in microseconds per second; systemd stores whole percents, so the value is rounded up to the next one.
fn quota_per_second(quota: i64, period: u64) -> u64 {
    match u64::try_from(quota) {
        Ok(quota) if quota > 0 => {
            let per_second = quota.saturating_mul(1_000_000).checked_div(period).unwrap_or(u64::MAX);
            per_second.div_ceil(10_000).saturating_mul(10_000)
        }
        _ => u64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_rounded_up_to_whole_percents() {
        assert_eq!(quota_per_second(50_000, 100_000), 500_000);
        assert_eq!(quota_per_second(1_000, 100_000), 10_000);
        assert_eq!(quota_per_second(12_345, 100_000), 130_000);
        assert_eq!(quota_per_second(-1, 100_000), u64::MAX);
    }

    #[test]
    fn each_version_has_its_own_property_names() {
        let limits = CgroupLimits { cpu_shares: Some(2), memory: Some(5), pids: Some(-1), ..CgroupLimits::default() };
        let names = |v1| limit_properties(&limits, v1).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(true), ["CPUShares", "MemoryLimit", "TasksMax"]);
        assert_eq!(names(false), ["CPUWeight", "MemoryMax", "TasksMax"]);
    }
}
