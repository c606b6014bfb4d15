//! The unit files of a node.

use std::path::Path;
use std::time::Duration;

use super::kubeconfig::SERVING_APPROVER_CONF;
use super::sandbox::{HELPER, KUBELET as KUBELET_SANDBOX, NETWORK};
use crate::core::model::spec::{Endpoint, Spec};
use crate::core::static_units::NO_SUCH_POD;

/// Name of the kubelet's unit.
pub const KUBELET: &str = "kubelet.service";
/// Settings of the cluster, recorded when this node joined it; they override only the defaults.
pub const JOINED_FILE: &str = "/var/lib/roost/joined.toml";
/// The settings file of a system that declares the units.
pub const DECLARED_SETTINGS: &str = "/etc/roost/cluster.toml";
/// Name of the node agent's unit.
pub const AGENT: &str = "roost-agent.service";

/// Mode of a unit file where it matters: the kubelet's is readable by root only (CIS 4.1.1), although systemd shows it
/// to everybody.
pub fn mode(file: &Path) -> Option<u32> {
    file.ends_with(KUBELET).then_some(0o600)
}

/// Service that renews certificates.
pub const RENEWAL_SERVICE: &str = "roost-renewal.service";
/// Timer of the renewal service.
pub const RENEWAL_TIMER: &str = "roost-renewal.timer";

/// Service that takes a snapshot of etcd.
pub const SNAPSHOT_SERVICE: &str = "roost-snapshot.service";
/// Timer of the snapshot service.
pub const SNAPSHOT_TIMER: &str = "roost-snapshot.timer";

/// Service that runs a restore drill.
pub const DRILL_SERVICE: &str = "roost-drill.service";
/// Timer of the drill service.
pub const DRILL_TIMER: &str = "roost-drill.timer";

/// Takes a snapshot and removes the oldest ones.
pub fn render_snapshot_service(spec: &Spec, keep: u16) -> String {
    let folder = spec.node.paths.snapshots.display().to_string();
    let arguments = ["etcd", "snapshot", &format!("--keep={keep}"), &format!("--directory={folder}")];
    render_upkeep(spec, SNAPSHOT_SERVICE, "etcd snapshot", &arguments, &[&folder])
}

/// Restores the newest snapshot as a test. It writes the result, and the manifest of the etcd under test.
pub fn render_drill_service(spec: &Spec) -> String {
    let folder = spec.node.paths.snapshots.display().to_string();
    let manifests = spec.node.paths.manifests().display().to_string();
    render_upkeep(spec, DRILL_SERVICE, "etcd restore drill", &["etcd", "drill"], &[&folder, &manifests])
}

/// A service that runs one of our commands and may write only these folders.
fn render_upkeep(spec: &Spec, unit: &str, description: &str, arguments: &[&str], writes: &[&str]) -> String {
    let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
    let command = command_line(&spec.node.programs.bootstrap, &arguments);
    let writes = writes.join(" ");
    format!(
        "# Written by roost; your own settings go into {unit}.d/*.conf.\n\
         [Unit]\n\
         Description=Roost: {description}\n\
         After=kubelet.service\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart={command}\n\
         CapabilityBoundingSet=\n\
         ReadWritePaths={writes}\n\
         ProtectKernelTunables=yes\n\
         {NETWORK}\
         {HELPER}"
    )
}

/// Runs on schedule, with a small delay that differs between nodes.
pub fn render_snapshot_timer(schedule: &str) -> String {
    render_schedule(SNAPSHOT_TIMER, "schedule of etcd snapshots", schedule, "10m")
}

/// Runs on schedule, spread over some hours: concurrent drills would slow down each other.
pub fn render_drill_timer(schedule: &str) -> String {
    render_schedule(DRILL_TIMER, "schedule of etcd restore drills", schedule, "6h")
}

fn render_schedule(unit: &str, description: &str, schedule: &str, spread: &str) -> String {
    let schedule = schedule.replace('%', "%%");
    format!(
        "# Written by roost; your own settings go into {unit}.d/*.conf.\n\
         [Unit]\n\
         Description=Roost: {description}\n\
         \n\
         [Timer]\n\
         OnCalendar={schedule}\n\
         RandomizedDelaySec={spread}\n\
         FixedRandomDelay=yes\n\
         Persistent=yes\n\
         \n\
         [Install]\n\
         WantedBy=timers.target\n"
    )
}

/// The service that renews the certificates that are due.
pub fn render_renewal_service(spec: &Spec) -> String {
    let command = command_line(&spec.node.programs.bootstrap, &["certs".to_owned(), "renew".to_owned()]);
    let paths = &spec.node.paths;
    let writes = [&paths.kubernetes, &paths.pki].map(|path| path.display().to_string()).join(" ");
    format!(
        "# Written by roost; your own settings go into {RENEWAL_SERVICE}.d/*.conf.\n\
         [Unit]\n\
         Description=Roost: certificate renewal\n\
         After=kubelet.service\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         ExecStart={command}\n\
         # It reads the data of an etcd that runs as another user.\n\
         CapabilityBoundingSet=CAP_DAC_READ_SEARCH\n\
         ReadWritePaths={writes}\n\
         ProtectKernelTunables=yes\n\
         {NETWORK}\
         {HELPER}"
    )
}

/// Lifetime from which a daily check is enough; shorter-lived certificates are checked more often, since only a third
/// of their lifetime is left when they are due.
const DAILY_IS_ENOUGH: Duration = Duration::from_secs(14 * 24 * 3600);
/// Shortest time between two checks.
const SHORTEST_PERIOD: Duration = Duration::from_secs(10);

/// Runs daily at a time that differs between nodes, so that control planes rarely wait for each other; for short-lived
/// leaves, twelve times per lifetime.
///
/// A run that was missed, because the machine was off or the clock jumped ahead, is caught up only after the same delay
/// since boot (systemd's `timer_enter_waiting`). The delay is short, because a certificate may be close to its expiry
/// by then.
pub fn render_renewal_timer(leaf: Duration) -> String {
    let schedule = if leaf >= DAILY_IS_ENOUGH {
        "OnCalendar=daily\nRandomizedDelaySec=10m\nFixedRandomDelay=yes\nPersistent=yes\n".to_owned()
    } else {
        let period = leaf.checked_div(12).unwrap_or_default().max(SHORTEST_PERIOD).as_secs();
        format!("OnActiveSec={period}\nOnBootSec={period}\nOnUnitActiveSec={period}\nAccuracySec=1s\n")
    };
    format!(
        "# Written by roost; your own settings go into {RENEWAL_TIMER}.d/*.conf.\n\
         [Unit]\n\
         Description=Roost: schedule of certificate renewal\n\
         \n\
         [Timer]\n\
         {schedule}\n\
         [Install]\n\
         WantedBy=timers.target\n"
    )
}

/// Template of the static pods' units.
pub const STATIC_POD: &str = "static-pod@.service";
/// Slice of all instances, by which they can be stopped together (systemd.slice(5): `-` in a name is `\x2d`).
pub const STATIC_POD_SLICE: &str = "system-static\\x2dpod.slice";
/// Target that is reached when all static pods are Ready.
pub const STATIC_PODS: &str = "static-pods.target";

/// The unit of a static pod: active while the pod is Ready. Its process only watches; the kubelet acts.
pub fn render_static_pod(spec: &Spec) -> String {
    let command = |verb: &str| {
        let words = ["static-pod", verb, "%i"].map(str::to_owned);
        // systemd replaces `%i` by the instance name.
        command_line(&spec.node.programs.kubelet, &words).replace("%%i", "%i")
    };
    format!(
        "# Written by roost; your own settings go into {STATIC_POD}.d/*.conf.\n\
         [Unit]\n\
         Description=Static pod %i\n\
         Wants=kubelet.service\n\
         After=kubelet.service\n\
         Before={STATIC_PODS}\n\
         StartLimitIntervalSec=0\n\
         CollectMode=inactive-or-failed\n\
         \n\
         [Service]\n\
         Type=notify\n\
         ExecStart={}\n\
         ExecReload={}\n\
         Restart=always\n\
         RestartSec=100ms\n\
         RestartPreventExitStatus={NO_SUCH_POD}\n\
         TimeoutStartSec=infinity\n\
         TimeoutStopSec=90s\n\
         KillMode=process\n\
         CapabilityBoundingSet=\n\
         PrivateNetwork=yes\n\
         ProtectKernelTunables=yes\n\
         RestrictAddressFamilies=AF_UNIX\n\
         {HELPER}",
        command("keep"),
        command("reload"),
    )
}

/// Drop-ins for the units of single static pods: each control-plane component starts after, and stops before, what it
/// depends on.
pub const STATIC_POD_ORDER: [(&str, &str); 2] = [
    (
        "static-pod@etcd.service.d/10-roost.conf",
        "# Written by roost.\n[Unit]\nBefore=static-pod@kube-apiserver.service\n",
    ),
    (
        "static-pod@kube-apiserver.service.d/10-roost.conf",
        "# Written by roost.\n\
         [Unit]\n\
         Before=static-pod@kube-controller-manager.service static-pod@kube-scheduler.service\n\
         Before=static-pod@cloud-controller-manager.service\n",
    ),
];

/// The target of all static pods: units that need them running are ordered after it.
pub fn render_static_pods() -> String {
    format!(
        "# Written by roost; your own settings go into {STATIC_PODS}.d/*.conf.\n\
         [Unit]\n\
         Description=All static pods of this node are Ready\n\
         Wants=kubelet.service\n\
         After=kubelet.service\n"
    )
}

/// The kubelet: a restart never stops pods (`KillMode=process`), a hang is detected by the watchdog. It is ordered
/// after the bus, so that at shutdown it can still remove the slices of terminated pods.
///
/// Access that it does not need is removed ([`KUBELET_SANDBOX`]).
pub fn render_kubelet(spec: &Spec) -> String {
    let paths = &spec.node.paths;
    let mut flags = vec![
        format!("--config={}", paths.kubelet_config().display()),
        format!("--kubeconfig={}", paths.kubeconfig("kubelet.conf").display()),
        format!("--bootstrap-kubeconfig={}", paths.kubeconfig("bootstrap-kubelet.conf").display()),
        format!("--hostname-override={}", spec.node.name),
        format!("--node-ip={}", spec.node.address),
    ];
    if paths.kubelet.as_os_str() != "/var/lib/kubelet" {
        flags.push(format!("--root-dir={}", paths.kubelet.display()));
    }
    if !spec.node.labels.is_empty() {
        let labels: Vec<_> = spec.node.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        flags.push(format!("--node-labels={}", labels.join(",")));
    }
    flags.push("--static-pod-units".to_owned());
    if !spec.node.host_programs.is_empty() {
        let folders: Vec<_> = spec.node.host_programs.iter().map(|folder| folder.display().to_string()).collect();
        flags.push(format!("--host-programs={}", folders.join(",")));
    }
    if spec.cluster.external_cloud {
        flags.push("--cloud-provider=external".to_owned());
    }
    let command = command_line(&spec.node.programs.kubelet, &flags);
    format!(
        "# Written by roost; your own settings go into {KUBELET}.d/*.conf.\n\
         [Unit]\n\
         Description=Kubernetes kubelet\n\
         Documentation=https://kubernetes.io/docs/reference/command-line-tools-reference/kubelet/\n\
         Wants=network-online.target\n\
         After=network-online.target dbus.service dbus.socket containerd.service\n\
         StartLimitIntervalSec=0\n\
         \n\
         [Service]\n\
         Type=notify\n\
         ExecStart={command}\n\
         Restart=always\n\
         RestartSec=1\n\
         WatchdogSec=60\n\
         KillMode=process\n\
         Delegate=yes\n\
         OOMScoreAdjust=-999\n\
         # What a burst of pods took goes back to the system (glibc's malloc).\n\
         Environment=MALLOC_ARENA_MAX=1 MALLOC_TRIM_THRESHOLD_=131072\n\
         LimitNOFILE=1048576\n\
         LogRateLimitBurst=50000\n\
         {KUBELET_SANDBOX}\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n"
    )
}

/// The node agent. On a control plane it may also approve serving certificates.
pub fn render_agent(spec: &Spec, control_plane: bool) -> String {
    let paths = &spec.node.paths;
    let flags = if spec.node.declared_units {
        // A system that declares the unit knows neither this node's address nor the cluster that it joined.
        let role = control_plane.then(|| "--control-plane".to_owned());
        ["agent".to_owned(), format!("--settings={DECLARED_SETTINGS}")].into_iter().chain(role).collect()
    } else {
        agent_arguments(spec, control_plane)
    };
    // On a worker it updates the trusted CAs; static pod manifests are closed to it.
    let mut writes = vec![paths.cni_conf.display().to_string()];
    let mut closed = String::new();
    if !control_plane {
        writes.extend([&paths.kubernetes, &paths.pki].map(|path| path.display().to_string()));
        closed = format!("ReadOnlyPaths={}\n", paths.manifests().display());
    }
    let writes = writes.join(" ");
    let command = command_line(&spec.node.programs.bootstrap, &flags);
    format!(
        "# Written by roost; your own settings go into {AGENT}.d/*.conf.\n\
         [Unit]\n\
         Description=Roost node agent: pod network, API server balancer and certificate requests\n\
         Wants=network-online.target modprobe@br_netfilter.service\n\
         After=network-online.target modprobe@br_netfilter.service\n\
         StartLimitIntervalSec=0\n\
         \n\
         [Service]\n\
         Type=notify\n\
         ExecStart={command}\n\
         Restart=always\n\
         RestartSec=1\n\
         CapabilityBoundingSet=CAP_NET_ADMIN\n\
         ReadWritePaths={writes}\n\
         {closed}\
         StateDirectory=roost/agent\n\
         StateDirectoryMode=0700\n\
         {NETWORK}\
         {HELPER}\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n"
    )
}

/// Subcommand and flags of the node agent.
pub fn agent_arguments(spec: &Spec, control_plane: bool) -> Vec<String> {
    let paths = &spec.node.paths;
    let mut flags = vec![
        "agent".to_owned(),
        format!("--node-name={}", spec.node.name),
        format!("--kubeconfig={}", paths.kubeconfig("kubelet.conf").display()),
        format!("--cni-conf-dir={}", paths.cni_conf.display()),
    ];
    if spec.cluster.network.builtin {
        let subnets: Vec<_> = spec.cluster.pod_subnets.iter().map(ToString::to_string).collect();
        flags.push(format!("--pod-subnet={}", subnets.join(",")));
    }
    if control_plane {
        flags.push(format!("--approver-kubeconfig={}", paths.kubeconfig(SERVING_APPROVER_CONF).display()));
        if spec.cluster.external_cloud {
            flags.push("--external-cloud".to_owned());
        }
    }
    if paths.pki.as_os_str() != "/etc/kubernetes/pki" {
        flags.push(format!("--pki-dir={}", paths.pki.display()));
    }
    if paths.kubelet.as_os_str() != "/var/lib/kubelet" {
        flags.push(format!("--kubelet-cert-dir={}", paths.kubelet.join("pki").display()));
    }
    if spec.cluster.local_balancer {
        flags.push(format!("--balancer={}", spec.cluster.node_endpoint()));
        if control_plane {
            flags.push(format!("--own-api-server={}", Endpoint::new(spec.node.address, spec.node.api_port)));
        }
        flags.push(format!("--api-server={}", spec.cluster.endpoint));
    }
    flags
}

/// A program and its arguments in systemd's syntax: one quoted word each, `%` and `$` escaped.
fn command_line(program: &std::path::Path, arguments: &[String]) -> String {
    let words = arguments.iter().map(|argument| quote(argument));
    std::iter::once(quote(&program.display().to_string())).chain(words).collect::<Vec<_>>().join(" \\\n  ")
}

/// One word of a command line.
pub(super) fn quote(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%").replace('$', "$$");
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@%".contains(c);
    if escaped.chars().all(plain) { escaped } else { format!("\"{escaped}\"") }
}

/// The value of a setting, with `%` escaped.
pub(super) fn quote_setting(value: &str) -> String {
    value.replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_looked_at_several_times_while_they_are_due() {
        let timer = |minutes: u64| render_renewal_timer(Duration::from_secs(minutes * 60));
        assert!(timer(365 * 24 * 60).contains("OnCalendar=daily\nRandomizedDelaySec=10m\n"), "soon after a boot, too");
        assert!(timer(24 * 60).contains("OnUnitActiveSec=7200\n"), "two hours, and eight are left");
        assert!(timer(1).contains("OnUnitActiveSec=10\n"));
    }

    #[test]
    fn arguments_reach_the_program_unchanged() {
        let line = command_line("/bin/kubelet".as_ref(), &["--a=b c".to_owned(), "--m=50%$X\"".to_owned()]);
        assert_eq!(line, "/bin/kubelet \\\n  \"--a=b c\" \\\n  \"--m=50%%$$X\\\"\"");
    }
}
