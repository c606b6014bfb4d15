//! Measures a fake machine in a directory.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, Pod, PodSpec, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::disk::Directories;
use super::host::Host;
use super::tree::Tree;
use super::*;
use crate::core::model::{ContainerKind, PodKey};
use crate::fakes::{FakeImages, FakeRuntime};
use crate::ports::kubelet::{CgroupDriver, ContainerView};

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// One BestEffort pod with an emptyDir; its container's cgroup and its sandbox's process 77 exist.
fn machine(root: &Path) -> Shared {
    let pod = "cgroup/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podu1.slice";
    write(root, "cgroup/cgroup.controllers", "cpu memory");
    write(root, "cgroup/cpu.stat", "usage_usec 5000000\n");
    write(root, "cgroup/memory.stat", "inactive_file 0\n");
    write(root, &format!("{pod}/memory.current"), "3000\n");
    write(root, &format!("{pod}/pids.current"), "4\n");
    write(root, &format!("{pod}/cri-containerd-c1.scope/memory.current"), "2000\n");
    write(root, &format!("{pod}/cri-containerd-c1.scope/cpu.stat"), "usage_usec 1000\n");
    write(root, &format!("{pod}/cri-containerd-s1.scope/cgroup.procs"), "77\n");
    write(root, "proc/77/net/dev", "a\nb\n eth0: 10 1 0 0 0 0 0 0 20 2 0 0 0 0 0 0\n");
    write(root, "proc/meminfo", "MemTotal: 1000 kB\nMemFree: 400 kB\n");
    write(root, "proc/diskstats", "8 1 sda1 7 0 0 0 0 0 0 0 0 0 0\n");
    write(root, "proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
    write(root, "log/c/0.log", "text");
    write(root, "kubelet/pods/u1/volumes/kubernetes.io~empty-dir/scratch/file", "content");
    let options = UsageOptions {
        node_name: "n1".into(),
        cgroup_mount: root.join("cgroup"),
        cgroup_root: "/".into(),
        driver: CgroupDriver::Systemd,
        proc: root.join("proc"),
        sys: root.join("sys"),
        root_dir: root.join("kubelet"),
        volumes: Some(Duration::from_secs(60)),
        from_runtime: false,
    };
    Shared {
        tree: Tree::new(options.cgroup_mount.clone(), options.cgroup_root.clone(), options.driver),
        host: Host { proc: options.proc.clone() },
        directories: Directories::default(),
        rates: Mutex::default(),
        options,
    }
}

fn view(root: &Path) -> PodView {
    PodView {
        pod: Arc::new(Pod {
            metadata: ObjectMeta {
                name: Some("web".into()),
                namespace: Some("ns".into()),
                uid: Some("u1".into()),
                ..Default::default()
            },
            spec: Some(PodSpec {
                volumes: Some(vec![Volume {
                    name: "scratch".into(),
                    empty_dir: Some(EmptyDirVolumeSource::default()),
                    ..Default::default()
                }]),
                ..Default::default()
            }),
            status: None,
        }),
        is_static: false,
        mirror_uid: None,
        status: Arc::default(),
        sandbox: Some("s1".into()),
        containers: vec![ContainerView {
            name: "app".into(),
            kind: ContainerKind::Regular,
            id: "c1".into(),
            attempt: 0,
            running: true,
            log_path: root.join("log/c/0.log").to_string_lossy().into_owned(),
        }],
        ..PodView::default()
    }
}

#[test]
fn a_pod_is_measured_from_its_files() {
    let root = tempfile::tempdir().unwrap();
    let shared = machine(root.path());
    let usage =
        pods::pod_usage(&shared, &view(root.path()), &pods::Layers::default(), UsageDepth::Full, false).unwrap();
    assert_eq!(usage.memory.unwrap().usage_bytes, Some(3000));
    assert_eq!(usage.processes.unwrap().process_count, 4);
    let network = usage.network.unwrap().default.unwrap();
    assert_eq!((network.name.as_str(), network.rx_bytes, network.tx_bytes), ("eth0", 10, 20));
    let container = &usage.containers[0];
    assert_eq!(container.cpu.unwrap().usage_core_nano_seconds, Some(1_000_000));
    assert!(container.logs.unwrap().used_bytes.unwrap() > 0);
    assert_eq!((usage.volumes[0].name.as_str(), usage.volumes[0].fs.inodes_used), ("scratch", Some(2)));
    let parts = container.logs.unwrap().used_bytes.unwrap() + usage.volumes[0].fs.used_bytes.unwrap();
    assert_eq!(usage.ephemeral_storage.unwrap().used_bytes, Some(parts));
}

#[test]
fn a_pod_whose_cgroup_is_gone_is_left_out_and_a_shallow_look_touches_no_disk() {
    let root = tempfile::tempdir().unwrap();
    let shared = machine(root.path());
    let mut view = view(root.path());
    let shallow = UsageDepth::CpuAndMemory;
    let usage = pods::pod_usage(&shared, &view, &pods::Layers::default(), shallow, false).unwrap();
    assert!(usage.network.is_none() && usage.volumes.is_empty() && usage.ephemeral_storage.is_none());
    assert!(usage.containers[0].logs.is_none());
    Arc::make_mut(&mut view.pod).metadata.uid = Some("other".into());
    assert!(pods::pod_usage(&shared, &view, &pods::Layers::default(), shallow, false).is_none());
}

#[test]
fn the_node_takes_memory_from_proc_where_the_root_cgroup_has_none() {
    let root = tempfile::tempdir().unwrap();
    let shared = machine(root.path());
    let node = node::node_usage(&shared, UsageDepth::Full, None);
    let memory = node.memory.unwrap();
    assert_eq!((memory.usage_bytes, memory.available_bytes), (Some(600 * 1024), Some(400 * 1024)));
    assert_eq!(node.cpu.unwrap().usage_core_nano_seconds, Some(5_000_000_000));
    assert!(node.fs.unwrap().capacity_bytes.unwrap() > 0);
}

#[test]
fn kubelet_and_runtime_have_processor_time_where_their_cgroups_have_none() {
    let root = tempfile::tempdir().unwrap();
    let stat = |name: &str, user: u64| format!("7 ({name}) S 1 7 7 0 -1 4194560 1 0 0 0 {user} 50 0 0 20 0 9 0 1 2 3");
    let unit = "cgroup/memory/system.slice/containerd.service";
    write(root.path(), &format!("{unit}/memory.usage_in_bytes"), "9\n");
    write(root.path(), &format!("{unit}/cgroup.procs"), "70\n77\n");
    write(root.path(), "cgroup/memory/runtime.slice/kubelet.service/memory.usage_in_bytes", "9\n");
    write(root.path(), "proc/70/comm", "containerd-shim\n");
    write(root.path(), "proc/77/comm", "containerd\n");
    write(root.path(), "proc/77/stat", &stat("containerd", 150));
    write(root.path(), "proc/self/stat", &stat("a (b) kubelet", 350));
    write(root.path(), "proc/self/cgroup", "4:cpu,cpuacct:/\n3:memory:/runtime.slice/kubelet.service\n");
    let mut shared = machine(root.path());
    fs::remove_file(root.path().join("cgroup/cgroup.controllers")).unwrap();
    shared.tree = Tree::new(root.path().join("cgroup"), "/".into(), CgroupDriver::Systemd);
    let node = node::node_usage(&shared, UsageDepth::CpuAndMemory, None);
    let used = |name: &str| {
        let found = node.system_containers.iter().find(|c| c.name == name);
        found.and_then(|c| c.cpu?.usage_core_nano_seconds)
    };
    assert_eq!((used("kubelet"), used("runtime")), (Some(4_000_000_000), Some(2_000_000_000)));
}

#[test]
fn details_name_the_node_pods_containers_and_give_the_sandbox_its_interfaces() {
    let root = tempfile::tempdir().unwrap();
    let shared = machine(root.path());
    let all = details::details(&shared, &[Arc::new(view(root.path()))], &pods::Layers::default());
    let named: Vec<(&str, &str, usize)> =
        all.cgroups.iter().map(|d| (d.name.as_str(), d.container.as_str(), d.interfaces.len())).collect();
    let node = &all.cgroups[0];
    assert_eq!((node.id.as_str(), node.filesystems[0].device.as_str()), ("/", "/dev/sda1"));
    assert_eq!(node.filesystems[0].counters.as_ref().map(|counters| counters.reads), Some(7));
    assert!(named.ends_with(&[("", "", 0), ("s1", "", 1), ("c1", "app", 0)]), "{named:?}");
}

struct Two(Vec<Arc<PodView>>);

impl Pods for Two {
    fn by_uid(&self, uid: &PodUid) -> Option<Arc<PodView>> {
        self.0.iter().find(|view| uid_of(&view.pod) == *uid).cloned()
    }

    fn by_key(&self, _: &PodKey) -> Option<Arc<PodView>> {
        None
    }

    fn list(&self) -> Vec<Arc<PodView>> {
        self.0.clone()
    }
}

/// Unblocks the reader of a pipe, even if the test fails: its runtime waits for the thread.
struct Release(std::path::PathBuf);

impl Drop for Release {
    fn drop(&mut self) {
        // Opened for both it never blocks, and unblocks those that wait to open it; later ones find no data.
        let writer = fs::OpenOptions::new().read(true).write(true).open(&self.0);
        fs::remove_file(&self.0).ok();
        drop(writer);
    }
}

/// Two pods; reading the second one's network hangs like a dead disk, because its file is a pipe without a writer.
#[tokio::test]
async fn a_disk_that_hangs_hides_what_its_own_pod_has_there_and_nothing_of_others() {
    let root = tempfile::tempdir().unwrap();
    let shared = machine(root.path());
    let other = "cgroup/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podu2.slice";
    write(root.path(), &format!("{other}/memory.current"), "7000\n");
    write(root.path(), &format!("{other}/cri-containerd-s2.scope/cgroup.procs"), "78\n");
    fs::create_dir_all(root.path().join("proc/78/net")).unwrap();
    let pipe = root.path().join("proc/78/net/dev");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    let _release = Release(pipe);
    let mut hangs = view(root.path());
    let metadata = &mut Arc::make_mut(&mut hangs.pod).metadata;
    (metadata.uid, metadata.name) = (Some("u2".into()), Some("worse".into()));
    hangs.sandbox = Some("s2".into());
    hangs.containers.clear();

    let pods = Two(vec![Arc::new(view(root.path())), Arc::new(hangs)]);
    let (runtime, images) = (Arc::new(FakeRuntime::default()), Arc::new(FakeImages::default()));
    let options = UsageOptions { node_name: "n1".into(), ..shared.options };
    let mut usage = MachineUsage::new(options, Arc::new(pods), runtime, images);
    usage.lanes = Lanes::with_limit("usage of", Duration::from_millis(50));
    let measured = usage.pods(UsageDepth::Full).await;
    assert_eq!(measured.len(), 2);
    assert!(measured[0].network.is_some() && !measured[0].volumes.is_empty(), "{:?}", measured[0]);
    assert_eq!(measured[1].memory.unwrap().usage_bytes, Some(7000));
    assert!(measured[1].network.is_none());
}

/// A negative `volumeStatsAggPeriod` disables it.
#[test]
fn volumes_are_not_measured_where_that_is_switched_off() {
    let root = tempfile::tempdir().unwrap();
    let mut shared = machine(root.path());
    let measure = |shared: &Shared| {
        let view = view(root.path());
        pods::pod_usage(shared, &view, &pods::Layers::default(), UsageDepth::Full, false).unwrap()
    };
    assert!(!measure(&shared).volumes.is_empty());
    shared.options.volumes = None;
    assert!(measure(&shared).volumes.is_empty());
}
