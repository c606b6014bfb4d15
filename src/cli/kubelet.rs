//! The kubelet's command line: upstream's flags, parsed into [`config::kubelet::Flags`](crate::config::kubelet::Flags).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::ArgAction;
use clap::{Arg, ArgMatches, Command};

use crate::config::kubelet::Flags;
use crate::config::kubelet::fates::FLAG_FATES;
use crate::config::kubelet::fields::{FIELDS, Kind};
use crate::core::model::{Release, Version};
use crate::core::static_units::is_name;

/// What the command line requests.
#[derive(Debug)]
pub enum Request {
    /// Run the kubelet with these flags.
    Run(Box<Flags>),
    /// Run as the process of a static pod's unit.
    StaticPod(Verb, String),
    /// Print the version of the kubelet with this folder (`--root-dir`) and exit with success.
    Version(Option<PathBuf>),
    /// Print this and exit with success.
    Print(String),
    /// Print this to standard error and exit with this code (64: usage).
    Refuse(String, u8),
}

/// Subcommands for the unit of a static pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Follow the pod (`ExecStart=`).
    Keep,
    /// Make the kubelet read its manifest again (`ExecReload=`).
    Reload,
}

/// Parses `kubelet static-pod keep|reload NAME`.
fn parse_static_pod(args: &[OsString]) -> Request {
    let words: Vec<&str> = args.iter().filter_map(|word| word.to_str()).collect();
    match words[..] {
        ["keep", name] if is_name(name) => Request::StaticPod(Verb::Keep, name.to_owned()),
        ["reload", name] if is_name(name) => Request::StaticPod(Verb::Reload, name.to_owned()),
        _ => Request::Refuse(
            "usage: kubelet static-pod keep|reload NAME\nof units static-pod@NAME.service\n".to_owned(),
            64,
        ),
    }
}

fn list(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).help(help).value_name("VALUE").allow_hyphen_values(true)
}

/// If it is repeated, the last value is used.
fn text(name: &'static str, help: &'static str) -> Arg {
    list(name, help).action(ArgAction::Set).overrides_with(name)
}

fn boolean(arg: Arg) -> Arg {
    arg.num_args(0..=1).require_equals(true).default_missing_value("true")
}

/// Repeated lists and maps are merged, as upstream does (`cliflag.MapStringString` and others).
fn adds_up(arg: Arg) -> Arg {
    arg.action(ArgAction::Append)
}

/// True if the values of repeated flags are merged.
fn is_list(kind: Kind) -> bool {
    matches!(kind, Kind::List | Kind::Map | Kind::LessMap | Kind::BoolMap)
}

/// The kubelet's flags with their help.
pub fn command() -> Command {
    let mut command = Command::new("kubelet")
        .about("Runs pods on this node: static pods from manifests and pods from the Kubernetes API")
        .disable_version_flag(true)
        .max_term_width(100)
        .arg(boolean(text("version", "Print the version and exit")))
        .arg(text("v", "Log verbosity, 0 to 10").short('v'))
        .arg(text("config", "KubeletConfiguration file"))
        .arg(text("config-dir", "Directory of *.conf drop-ins that are merged over the file"))
        .arg(text("kubeconfig", "Kubeconfig for the API server; without it only static pods run"))
        .arg(text("bootstrap-kubeconfig", "Kubeconfig used to request the first client certificate"))
        .arg(text("hostname-override", "Name of the node [default: the host name]"))
        .arg(text("node-ip", "Address of the node, or one of each address family, separated by a comma"))
        .arg(text("cert-dir", "Directory of the kubelet's certificates"))
        .arg(text("root-dir", "Directory of the kubelet's files"))
        .arg(text("cloud-provider", "Empty, or external if a cloud controller manager runs in the cluster"))
        .arg(adds_up(list("node-labels", "Labels of the node, key=value,...")))
        .arg(text("register-with-taints", "Taints of the node, key=value:effect,..."))
        .arg(adds_up(list("manifest-url-header", "Headers for --manifest-url, name:value,...")))
        .arg(text(
            "runtime-cgroups",
            "Ignored with a warning: the container runtime stays in the cgroup it was started in",
        ))
        .arg(text("image-credential-provider-config", "Configuration of credential provider plugins"))
        .arg(text("image-credential-provider-bin-dir", "Directory of credential provider plugins"))
        .arg(text(
            "host-programs",
            "Folders whose programs pods of the API may name as image (host:/… and nix:0/…), separated by commas",
        ))
        .arg(text("lock-file", "File that is locked while this kubelet runs; at the start it waits for the lock"))
        .arg(boolean(text("exit-on-lock-contention", "Exit when another process opens the file of --lock-file")))
        .arg(boolean(text("static-pod-units", "Maintain a systemd unit static-pod@NAME.service for each static pod")));
    for field in FIELDS.iter().filter(|f| !f.flag.is_empty()) {
        let arg = match field.kind {
            Kind::Bool => boolean(text(field.flag, "")),
            kind if is_list(kind) => adds_up(list(field.flag, "")),
            _ => text(field.flag, ""),
        };
        let help = format!("Overrides {} of the configuration file", field.path);
        command = command.arg(arg.help(help).hide_short_help(true));
    }
    for (name, _) in FLAG_FATES.iter().filter(|(name, _)| *name != "runtime-cgroups") {
        command = command.arg(
            boolean(text(name, "Not supported: ignored with a warning, or refused").hide(true)).require_equals(false),
        );
    }
    command
}

/// Parses the command line; `hostname` is the node's name unless a flag sets it.
pub fn parse(args: impl IntoIterator<Item = OsString>, hostname: &str) -> Request {
    let args: Vec<OsString> = args.into_iter().collect();
    if let Some(rest) = args.get(1..).and_then(|rest| rest.strip_prefix(&[OsString::from("static-pod")])) {
        return parse_static_pod(rest);
    }
    let matches = match command().try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(e) if e.use_stderr() => return Request::Refuse(e.to_string(), 64),
        Err(e) => return Request::Print(e.to_string()),
    };
    if matches.get_one::<String>("version").is_some_and(|v| v != "false") {
        return Request::Version(matches.get_one::<String>("root-dir").map(PathBuf::from));
    }
    match read_flags(&matches, hostname) {
        Ok(flags) => Request::Run(Box::new(flags)),
        Err(message) => Request::Refuse(format!("error: {message}\n"), 64),
    }
}

/// The output of `kubelet --version`: the version that the kubelet of this node claimed last, else the newest one that it
/// can claim. Our own version and the range of versions that it can claim are build metadata, in the format that kubeadm
/// parses (`cmd/kubeadm/app/preflight/utils.go`).
pub fn version_line(claimed: Option<Version>) -> String {
    let claimed = claimed.map_or_else(|| Release::newest().version.to_owned(), |claimed| claimed.to_string());
    let (oldest, newest) = (Release::oldest().name(), Release::newest().name());
    format!("Kubernetes {claimed}+Roost.{}.{oldest}-{newest}\n", env!("CARGO_PKG_VERSION"))
}

fn read_flags(matches: &ArgMatches, hostname: &str) -> Result<Flags, String> {
    let text = |name: &str| {
        let values: Vec<String> = matches.get_many::<String>(name)?.cloned().collect();
        Some(values.join(","))
    };
    let path = |name: &str| text(name).filter(|t| !t.is_empty()).map(PathBuf::from);
    let given = FIELDS.iter().filter(|f| !f.flag.is_empty());
    let fields: BTreeMap<_, _> = given.filter_map(|f| Some((f.flag.to_string(), text(f.flag)?))).collect();
    let verbosity = match text("v") {
        Some(v) => Some(v.parse().map_err(|_| format!("-v: want a number from 0 to 10, got {v:?}"))?),
        None => None,
    };
    let host_programs = folders(&text("host-programs").unwrap_or_default())?;
    let overridden = text("hostname-override").filter(|t| !t.is_empty());
    Ok(Flags {
        fields,
        config: path("config"),
        config_dir: path("config-dir"),
        kubeconfig: path("kubeconfig"),
        bootstrap_kubeconfig: path("bootstrap-kubeconfig"),
        hostname_overridden: overridden.is_some(),
        node_name: overridden.unwrap_or_else(|| hostname.to_string()),
        node_ip: text("node-ip").unwrap_or_default(),
        cert_dir: path("cert-dir"),
        root_dir: path("root-dir"),
        cloud_provider: text("cloud-provider").unwrap_or_default(),
        node_labels: text("node-labels").unwrap_or_default(),
        register_with_taints: text("register-with-taints"),
        manifest_url_header: text("manifest-url-header"),
        credential_config: path("image-credential-provider-config"),
        credential_bin_dir: path("image-credential-provider-bin-dir"),
        static_pod_units: text("static-pod-units").is_some_and(|v| v != "false"),
        host_programs,
        verbosity,
        lock_file: path("lock-file"),
        exit_on_lock_contention: text("exit-on-lock-contention").is_some_and(|v| v != "false"),
        others: FLAG_FATES.iter().filter_map(|(name, _)| Some((name.to_string(), text(name)?))).collect(),
    })
}

/// Absolute folders, separated by commas.
fn folders(list: &str) -> Result<Vec<PathBuf>, String> {
    let folder = |text: &str| match text.starts_with('/') {
        true => Ok(PathBuf::from(text)),
        false => Err(format!("--host-programs: want absolute folders, got {text:?}")),
    };
    list.split(',').filter(|text| !text.is_empty()).map(folder).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::core::model::KubeletSpec;

    fn run(args: &[&str]) -> Request {
        parse(std::iter::once("kubelet").chain(args.iter().copied()).map(OsString::from), "Host")
    }

    #[test]
    fn takes_the_flags_installers_pass() {
        let args = "--kubeconfig=/k --v 4 --fail-swap-on=false --seccomp-default --eviction-hard memory.available<1Mi \
                    --node-labels=a=b --maximum-dead-containers 5 --v=2 --feature-gates=A=true,B=false";
        let Request::Run(flags) = run(&args.split_whitespace().collect::<Vec<_>>()) else { panic!("refused") };
        assert_eq!(flags.verbosity, Some(2));
        assert_eq!(flags.node_name, "Host");
        assert_eq!(flags.fields["fail-swap-on"], "false");
        assert_eq!(flags.fields["seccomp-default"], "true");
        assert_eq!(flags.fields["eviction-hard"], "memory.available<1Mi");
    }

    #[test]
    fn lists_and_maps_that_are_given_twice_add_up_and_of_all_else_the_last_counts() {
        let args = "--feature-gates=A=true --feature-gates B=false --node-labels=a=b --node-labels=c=d --max-pods=3 \
                    --max-pods=4 --system-reserved=cpu=1 --system-reserved=memory=1Gi --cluster-dns=10.0.0.1 \
                    --cluster-dns=10.0.0.2 --eviction-hard=memory.available<1Mi --eviction-hard=nodefs.available<1%";
        let Request::Run(flags) = run(&args.split_whitespace().collect::<Vec<_>>()) else { panic!("refused") };
        for (flag, value) in [
            ("feature-gates", "A=true,B=false"),
            ("max-pods", "4"),
            ("system-reserved", "cpu=1,memory=1Gi"),
            ("cluster-dns", "10.0.0.1,10.0.0.2"),
            ("eviction-hard", "memory.available<1Mi,nodefs.available<1%"),
        ] {
            assert_eq!(flags.fields[flag], value, "--{flag}");
        }
        assert_eq!(flags.node_labels, "a=b,c=d");
    }

    #[test]
    fn acts_for_units_of_static_pods() {
        assert!(matches!(run(&["static-pod", "keep", "etcd"]), Request::StaticPod(Verb::Keep, name) if name == "etcd"));
        assert!(matches!(run(&["static-pod", "reload", "a.b"]), Request::StaticPod(Verb::Reload, _)));
        for wrong in
            [&["static-pod"][..], &["static-pod", "keep"], &["static-pod", "keep", "../a"], &["static-pod", "x", "a"]]
        {
            assert!(matches!(run(wrong), Request::Refuse(_, 64)), "{wrong:?}");
        }
    }

    #[test]
    fn refuses_unknown_flags_as_usage_and_prints_its_version() {
        assert!(matches!(run(&["--no-such-flag"]), Request::Refuse(_, 64)));
        assert!(matches!(run(&["--version"]), Request::Version(None)));
        assert!(
            matches!(run(&["--root-dir=/k", "--version"]), Request::Version(Some(root)) if root == Path::new("/k"))
        );
        let own = format!("+Roost.{}.v1.35-v1.37\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(version_line(None), format!("Kubernetes v1.37.2{own}"));
        assert_eq!(version_line("v1.36.3".parse().ok()), format!("Kubernetes v1.36.3{own}"));
    }

    /// The typed settings without the fields that only display them, and the warnings; or the error.
    fn outcome(args: &[String]) -> Result<String, String> {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let Request::Run(flags) = run(&args) else { return Err("no such flag".into()) };
        let spec = crate::config::kubelet::load(&flags).map_err(|error| error.to_string())?;
        Ok(format!("{:?}", KubeletSpec { effective: serde_json::Value::Null, flags: Vec::new(), ..spec }))
    }

    #[test]
    fn every_flag_that_stands_for_no_field_is_carried_out_refused_or_told_of() {
        let of_field = |name: &&str| FIELDS.iter().any(|field| field.flag == *name);
        let command = command();
        let names = command.get_arguments().filter_map(|arg| arg.get_long());
        for name in names.filter(|name| !of_field(name) && !["version", "help"].contains(name)) {
            // The flag is about contention for a lock.
            let base: &[String] =
                if name == "exit-on-lock-contention" { &["--lock-file=/a/b".to_owned()] } else { &[] };
            let before = outcome(base);
            let values = ["3", "/a/b", "192.0.2.9", "external", "a=b", "a=b:NoSchedule", "a:b", "true"];
            let shows = values.iter().any(|value| match outcome(&[base, &[format!("--{name}={value}")]].concat()) {
                Err(refusal) => {
                    ["yet:", "cannot be read", "removed this flag"].iter().any(|words| refusal.contains(words))
                }
                after => after != before,
            });
            assert!(shows, "--{name} is taken in silence");
        }
    }
}
