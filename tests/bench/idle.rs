//! Memory and CPU of an idle process.

use std::time::Duration;

use anyhow::Context;

use crate::print_figure;

fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit_once(')').context("stat")?.1.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    Ok(ticks / 100.0)
}

fn resident_mib(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).context("VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("kB")?.parse::<f64>()? / 1024.0)
}

/// Resident memory now and CPU used over `seconds`.
pub async fn idle(pid: u32, seconds: usize) -> anyhow::Result<()> {
    let before = cpu_seconds(pid)?;
    tokio::time::sleep(Duration::from_secs(seconds as u64)).await;
    print_figure(&format!("CPU over {seconds} idle seconds"), &[("p50", cpu_seconds(pid)? - before)], "s");
    print_figure("resident memory", &[("p50", resident_mib(pid)?)], "MiB");
    Ok(())
}
