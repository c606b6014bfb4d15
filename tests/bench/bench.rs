//! Measures a kubelet from outside: through the API, by bare CRI calls, and from /proc. One figure per line, as JSON.
//!
//! `tests/bench/run` runs it against our kubelet and the upstream one and prints the table.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod bare;
mod failover;
mod idle;
mod manifests;
mod pods;

use std::time::Duration;

/// A series of measurements of the same thing.
pub struct Series {
    name: &'static str,
    millis: Vec<f64>,
}

impl Series {
    pub fn new(name: &'static str) -> Self {
        Self { name, millis: Vec::new() }
    }

    pub fn push(&mut self, time: Duration) {
        self.millis.push(time.as_secs_f64() * 1000.0);
    }

    pub fn print(mut self) {
        self.millis.sort_by(f64::total_cmp);
        let at = |q: f64| self.millis[((self.millis.len() - 1) as f64 * q).round() as usize];
        print_figure(self.name, &[("p50", at(0.5)), ("p95", at(0.95)), ("min", at(0.0)), ("max", at(1.0))], "ms");
    }
}

/// One line of output: what, its figures, its unit.
pub fn print_figure(name: &str, values: &[(&str, f64)], unit: &str) {
    let mut line = serde_json::json!({ "what": name, "unit": unit });
    for (key, value) in values {
        line[*key] = serde_json::json!((value * 100.0).round() / 100.0);
    }
    println!("{line}");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let args: Vec<String> = std::env::args().filter(|a| a != "--bench").collect();
    let arg = |n: usize| args.get(n).map(String::as_str);
    let number = |n: usize, default: usize| arg(n).and_then(|a| a.parse().ok()).unwrap_or(default);
    match arg(1) {
        Some("sequential") => pods::sequential(arg(2).unwrap_or_default(), number(3, 20)).await,
        Some("bare-api") => pods::bare_api(number(2, 20)).await,
        Some("burst") => pods::burst(arg(2).unwrap_or_default(), number(3, 50)).await,
        Some("flood") => pods::flood(arg(2).unwrap_or_default(), number(3, 500)).await,
        Some("fill") => pods::fill(arg(2).unwrap_or_default(), number(3, 50)).await,
        Some("clear") => pods::clear().await,
        Some("config-map") => pods::config_map(arg(2).unwrap_or_default(), number(3, 5)).await,
        Some("bare") => bare::calls(arg(2).unwrap_or("/run/containerd/containerd.sock"), number(3, 20)).await,
        Some("bare-flood") => bare::flood(arg(2).unwrap_or("/run/containerd/containerd.sock"), number(3, 500)).await,
        Some("manifest") => {
            manifests::drop_and_remove(arg(2).unwrap_or("/etc/kubernetes/manifests"), number(3, 10)).await
        }
        Some("failover") => {
            failover::longest_pause(arg(2).unwrap_or_default(), arg(3).unwrap_or_default(), number(4, 40)).await
        }
        Some("idle") => idle::idle(number(2, 0) as u32, number(3, 60)).await,
        _ => anyhow::bail!(
            "usage: bench sequential NODE N | bare-api N | burst NODE N | flood NODE N | fill NODE N | clear | config-map NODE N | \
             bare SOCKET N | bare-flood SOCKET N | manifest DIR N | failover KUBECONFIG SERVER SECONDS | idle PID SECONDS"
        ),
    }
}
