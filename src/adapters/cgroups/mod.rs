//! Cgroups of pods and of their quality-of-service classes, created by systemd or directly.

mod hierarchy;
#[cfg(all(test, feature = "node-tests"))]
mod node_tests;
mod systemd;
mod tree;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::Mutex;

use self::hierarchy::Hierarchy;
use self::systemd::Slices;
use crate::core::model::cgroup::{
    CgroupLimits, CgroupName, CgroupSettings, MIN_SHARES, pod_cgroup_limits, shares_of_milli_cpu,
};
use crate::core::model::totals::pod_requests;
use crate::core::model::{PodUid, QosClass, qos_class, uid_of, with_causes};
use crate::offload::Lanes;
use crate::ports::kubelet::{CgroupDriver, CgroupError, Cgroups, PodCgroup};
use crate::telemetry::Metrics;

const CLASSES: [QosClass; 3] = [QosClass::Guaranteed, QosClass::Burstable, QosClass::BestEffort];

/// Configuration of the tree.
#[derive(Clone, Debug)]
pub struct CgroupOptions {
    /// Mount point of cgroups, `/sys/fs/cgroup`.
    pub mount: PathBuf,
    /// `cgroupRoot`; `/` or empty for the top.
    pub root: String,
    /// Which driver creates cgroups; must be the runtime's.
    pub driver: CgroupDriver,
    pub pods: CgroupSettings,
    /// Limits of all pods together: capacity minus reservations. Empty values are not enforced.
    pub all_pods: CgroupLimits,
}

/// The limits that were last set for a pod.
struct Applied {
    name: CgroupName,
    limits: CgroupLimits,
}

#[derive(Default)]
struct State {
    classes_ready: bool,
    /// Pods whose cgroup this process created or changed.
    pods: HashMap<PodUid, Applied>,
    /// Requested millicores of each burstable pod, whoever started it.
    burstable: HashMap<PodUid, i64>,
    /// True if it contains all active pods. Until then the weight of the class may only be raised, because not all
    /// running pods are known.
    all_known: bool,
}

pub struct PodCgroups {
    options: CgroupOptions,
    hierarchy: Hierarchy,
    /// Writes to a frozen or dying cgroup block.
    lanes: Lanes,
    slices: Slices,
    /// Locked while a decision is based on it or recorded in it, but not while a pod's cgroup is created or removed:
    /// one that systemd cannot remove must not delay other pods.
    state: Mutex<State>,
    /// Where operations are timed.
    metrics: Option<Arc<Metrics>>,
}

impl PodCgroups {
    /// Detects what is mounted; nothing is created before the first pod or [`PodCgroups::prepare`].
    pub fn new(options: CgroupOptions) -> Self {
        let hierarchy = Hierarchy::detect(&options.mount);
        let slices = Slices::new(matches!(hierarchy, Hierarchy::V1 { .. }));
        Self { options, hierarchy, lanes: Lanes::new("cgroup"), slices, state: Mutex::default(), metrics: None }
    }

    /// Times what is done to cgroups.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// Times one operation: `create`, `update` or `destroy` (upstream `pkg/kubelet/cm/cgroup_manager_linux.go`).
    async fn timed<T>(&self, operation: &str, work: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let done = work.await;
        if let Some(metrics) = &self.metrics {
            metrics.cgroup_manager.observe([operation], began.elapsed());
        }
        done
    }

    /// Creates the cgroups of all pods and of the classes, with their limits.
    pub async fn prepare(&self) -> Result<(), CgroupError> {
        self.prepare_classes(&mut *self.state.lock().await).await
    }

    /// Limits an existing cgroup.
    ///
    ///
    /// # Errors
    /// It does not exist, or the name is empty.
    pub async fn limit_existing(&self, path: &str, limits: &CgroupLimits) -> Result<(), CgroupError> {
        let name = CgroupName::named(path, self.options.driver == CgroupDriver::Systemd);
        let place = self.path(&name);
        if path.trim_matches('/').is_empty() || !self.is_there(&place).await? {
            return Err(CgroupError { path: path.to_owned(), message: "cgroup does not exist".to_owned() });
        }
        self.change(&name, limits).await
    }

    /// True on a node with the unified hierarchy.
    pub fn is_v2(&self) -> bool {
        matches!(self.hierarchy, Hierarchy::V2(_))
    }

    fn path(&self, name: &CgroupName) -> String {
        match self.options.driver {
            CgroupDriver::Systemd => name.systemd_path(),
            CgroupDriver::Cgroupfs => name.cgroupfs_path(),
        }
    }

    async fn prepare_classes(&self, state: &mut State) -> Result<(), CgroupError> {
        if state.classes_ready {
            return Ok(());
        }
        let root = &self.options.root;
        self.make(&CgroupName::kubepods(root), &self.options.all_pods).await?;
        let lowest = CgroupLimits { cpu_shares: Some(MIN_SHARES), ..CgroupLimits::default() };
        let burstable = CgroupName::class(root, QosClass::Burstable);
        // An existing one has the weight of running pods.
        let limits = match self.is_there(&self.path(&burstable)).await? {
            true => CgroupLimits::default(),
            false => lowest.clone(),
        };
        self.make(&burstable, &limits).await?;
        self.make(&CgroupName::class(root, QosClass::BestEffort), &lowest).await?;
        state.classes_ready = true;
        Ok(())
    }

    async fn make(&self, name: &CgroupName, limits: &CgroupLimits) -> Result<(), CgroupError> {
        self.timed("create", self.make_untimed(name, limits)).await
    }

    async fn make_untimed(&self, name: &CgroupName, limits: &CgroupLimits) -> Result<(), CgroupError> {
        let path = self.path(name);
        let fault = |message: String| CgroupError { path: path.clone(), message };
        if self.options.driver == CgroupDriver::Systemd {
            self.slices.start(&name.slice(), limits).await.map_err(|e| fault(e.to_string()))?;
        }
        // systemd creates directories only in the controllers that it manages, and rounds values; the rest is set
        // directly.
        let made = self.on_disk(&path, "make", |hierarchy, path| hierarchy.create(path)).await?;
        made.map_err(|e| fault(e.to_string()))?;
        self.set(&path, limits).await
    }

    /// Runs an operation on the cgroup at `path`.
    async fn on_disk<T: Send + 'static>(
        &self,
        path: &str,
        call: &'static str,
        work: impl FnOnce(&Hierarchy, &str) -> T + Send + 'static,
    ) -> Result<T, CgroupError> {
        let (hierarchy, place) = (self.hierarchy.clone(), path.to_owned());
        let done = self.lanes.run(path, call, move || work(&hierarchy, &place)).await;
        done.map_err(|stalled| CgroupError { path: path.to_owned(), message: stalled.to_string() })
    }

    async fn is_there(&self, path: &str) -> Result<bool, CgroupError> {
        self.on_disk(path, "look", |hierarchy, path| hierarchy.exists(path)).await
    }

    async fn set(&self, path: &str, limits: &CgroupLimits) -> Result<(), CgroupError> {
        let limits = match self.options.driver {
            CgroupDriver::Systemd => limits.in_whole_percents(),
            CgroupDriver::Cgroupfs => limits.clone(),
        };
        self.on_disk(path, "set limits", move |hierarchy, path| hierarchy.set(path, &limits)).await
    }

    async fn destroy(&self, name: &CgroupName) -> Result<(), CgroupError> {
        let path = self.path(name);
        let fault = |message: String| CgroupError { path: path.clone(), message };
        self.on_disk(&path, "kill", |hierarchy, path| hierarchy.kill(path)).await?;
        if self.options.driver == CgroupDriver::Systemd {
            self.slices.stop(&name.slice()).await.map_err(|e| fault(e.to_string()))?;
        }
        let removed = self.on_disk(&path, "remove", |hierarchy, path| hierarchy.remove(path)).await?;
        removed.map_err(|e| fault(e.to_string()))
    }

    async fn change(&self, name: &CgroupName, limits: &CgroupLimits) -> Result<(), CgroupError> {
        self.timed("update", self.change_untimed(name, limits)).await
    }

    async fn change_untimed(&self, name: &CgroupName, limits: &CgroupLimits) -> Result<(), CgroupError> {
        if self.options.driver == CgroupDriver::Systemd
            && let Err(error) = self.slices.set(&name.slice(), limits).await
        {
            tracing::warn!(
                slice = name.slice(),
                error = with_causes(&error),
                "systemd was not updated with the new limits"
            );
        }
        self.set(&self.path(name), limits).await
    }

    /// Sets the weight of the burstable class to the sum of its pods' requests. A failure is retried within a minute.
    async fn refresh_burstable(&self, state: &State) {
        let shares = shares_of_milli_cpu(state.burstable.values().copied().fold(0, i64::saturating_add));
        self.set_shares(QosClass::Burstable, shares, !state.all_known).await;
    }

    /// Sets the shares of a class if they differ; with `only_gain`, only if they are lower.
    async fn set_shares(&self, class: QosClass, shares: u64, only_gain: bool) {
        let name = CgroupName::class(&self.options.root, class);
        let found = self.on_disk(&self.path(&name), "read weight", |hierarchy, path| hierarchy.cpu_weight(path)).await;
        let wanted = self.hierarchy.weight_of(shares);
        let set = match found {
            Ok(Some(found)) if found == wanted || only_gain && found > wanted => Ok(()),
            Ok(_) => {
                let limits = CgroupLimits { cpu_shares: Some(shares), ..CgroupLimits::default() };
                self.change(&name, &limits).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = set {
            tracing::warn!(
                error = with_causes(&error),
                class = class.as_str(),
                "the CPU weight of a QoS class is not set"
            );
        }
    }

    /// Recreates classes that were removed by others.
    async fn restore_classes(&self, state: &mut State) -> Result<(), CgroupError> {
        for class in CLASSES {
            let path = self.path(&CgroupName::class(&self.options.root, class));
            state.classes_ready &= self.on_disk(&path, "look", |hierarchy, path| hierarchy.is_anywhere(path)).await?;
        }
        self.prepare_classes(state).await
    }

    fn name_of(&self, pod: &Pod) -> CgroupName {
        CgroupName::pod(&self.options.root, qos_class(pod), &uid_of(pod))
    }
}

/// The millicores that a pod adds to its class; `None` for pods of other classes.
fn burstable_request(pod: &Pod) -> Option<i64> {
    let is_burstable = qos_class(pod) == QosClass::Burstable;
    is_burstable.then(|| pod_requests(pod, true).get("cpu").map_or(0, |amount| amount.milli()))
}

/// Rejects a uid that is not a valid directory name: manifests are not trusted.
fn check_uid(uid: &PodUid) -> Result<(), CgroupError> {
    let text = uid.as_str();
    if !text.is_empty() && text.len() < 200 && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') {
        return Ok(());
    }
    Err(CgroupError { path: format!("pod{uid}"), message: "the pod's uid is not usable in a cgroup name".to_owned() })
}

#[async_trait]
impl Cgroups for PodCgroups {
    async fn ensure(&self, pod: &Pod) -> Result<PodCgroup, CgroupError> {
        let uid = uid_of(pod);
        check_uid(&uid)?;
        let name = self.name_of(pod);
        let limits = pod_cgroup_limits(pod, self.options.pods);
        let path = self.path(&name);
        let known = {
            let mut state = self.state.lock().await;
            self.prepare_classes(&mut state).await?;
            state.pods.get(&uid).map(|applied| applied.limits.clone())
        };
        let there = self.is_there(&path).await?;
        match known {
            Some(applied) if there && applied == limits => return Ok(PodCgroup { parent: path }),
            Some(_) if there => self.change(&name, &limits).await?,
            _ => self.make(&name, &limits).await?,
        }
        let mut state = self.state.lock().await;
        state.pods.insert(uid.clone(), Applied { name, limits });
        if let Some(request) = burstable_request(pod) {
            state.burstable.insert(uid, request);
            self.refresh_burstable(&state).await;
        }
        Ok(PodCgroup { parent: path })
    }

    async fn weigh(&self, pods: &[Arc<Pod>], all: bool) {
        let mut state = self.state.lock().await;
        if let Err(error) = self.restore_classes(&mut state).await {
            tracing::warn!(error = with_causes(&error), "the CPU weights of the QoS classes are not set");
            return;
        }
        if all {
            state.burstable.clear();
        }
        state.all_known |= all;
        state.burstable.extend(pods.iter().filter_map(|pod| Some((uid_of(pod), burstable_request(pod)?))));
        self.refresh_burstable(&state).await;
        self.set_shares(QosClass::BestEffort, MIN_SHARES, false).await;
    }

    async fn exists(&self, pod: &Pod) -> bool {
        // If it cannot be checked, it counts as existing.
        self.is_there(&self.path(&self.name_of(pod))).await.unwrap_or(true)
    }

    async fn remove(&self, uid: &PodUid) -> Result<(), CgroupError> {
        check_uid(uid)?;
        let known = self.state.lock().await.pods.get(uid).map(|applied| applied.name.clone());
        // After a restart the class is unknown: all of them are tried.
        let names = match known {
            Some(name) => vec![name],
            None => CLASSES.map(|class| CgroupName::pod(&self.options.root, class, uid)).to_vec(),
        };
        for name in names {
            self.timed("destroy", self.destroy(&name)).await?;
        }
        let mut state = self.state.lock().await;
        state.pods.remove(uid);
        if state.burstable.remove(uid).is_some() {
            self.refresh_burstable(&state).await;
        }
        Ok(())
    }

    async fn known_pods(&self) -> Vec<PodUid> {
        let paths = CLASSES.map(|class| self.path(&CgroupName::class(&self.options.root, class)));
        let mut pods = Vec::new();
        for path in paths {
            pods.extend(
                self.on_disk(&path, "list", |hierarchy, path| hierarchy.pods_in(path)).await.unwrap_or_default(),
            );
        }
        pods
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::core::model::cgroup::weight_of_shares;

    fn pod(uid: &str, cpu: &str) -> Pod {
        serde_json::from_value(serde_json::json!({"metadata": {"uid": uid}, "spec": {"containers": [
            {"name": "c", "resources": {"requests": {"cpu": cpu}}}]}}))
        .unwrap()
    }

    fn tree(mount: &std::path::Path) -> PodCgroups {
        fs::write(mount.join("cgroup.controllers"), "").unwrap();
        PodCgroups::new(CgroupOptions {
            mount: mount.to_path_buf(),
            root: "/".into(),
            driver: CgroupDriver::Cgroupfs,
            pods: CgroupSettings { pod_pids_limit: 64, ..CgroupSettings::default() },
            all_pods: CgroupLimits { memory: Some(1 << 30), ..CgroupLimits::default() },
        })
    }

    #[tokio::test]
    async fn pods_get_a_place_in_their_class_and_the_class_their_sum() {
        let mount = tempfile::tempdir().unwrap();
        let metrics = Arc::new(Metrics::default());
        let cgroups = tree(mount.path()).with_metrics(metrics.clone());
        let read = |path: &str| fs::read_to_string(mount.path().join(path)).unwrap();
        let parent = cgroups.ensure(&pod("a", "500m")).await.unwrap().parent;
        assert_eq!(parent, "/kubepods/burstable/poda");
        cgroups.ensure(&pod("b", "500m")).await.unwrap();
        assert_eq!(read("kubepods/memory.max"), (1 << 30).to_string());
        assert_eq!(read("kubepods/besteffort/cpu.weight"), "1");
        assert_eq!(read("kubepods/burstable/cpu.weight"), "39");
        assert_eq!(read("kubepods/burstable/poda/pids.max"), "64");
        assert!(cgroups.exists(&pod("a", "500m")).await);
        cgroups.ensure(&pod("a", "1500m")).await.unwrap();
        assert_eq!(read("kubepods/burstable/cpu.weight"), "79");
        assert_eq!(cgroups.known_pods().await, [PodUid::from("a"), PodUid::from("b")]);
        // Three of all pods and the classes, and the two pods; then the pod and its class are changed.
        assert_eq!(metrics.cgroup_manager.count(["create"]), 5);
        assert!(metrics.cgroup_manager.count(["update"]) >= 2);
    }

    /// Also after a restart of the kubelet, which did not start the running pods, and whatever others write.
    #[tokio::test]
    async fn the_class_weighs_as_much_as_all_its_active_pods_whoever_started_them() {
        let mount = tempfile::tempdir().unwrap();
        let (heavy, light) = (Arc::new(pod("a", "3")), Arc::new(pod("b", "500m")));
        let before = tree(mount.path());
        before.ensure(&heavy).await.unwrap();
        before.ensure(&light).await.unwrap();
        let file = mount.path().join("kubepods/burstable/cpu.weight");
        let weight = || fs::read_to_string(&file).unwrap();
        let of = |milli| weight_of_shares(shares_of_milli_cpu(milli)).to_string();
        assert_eq!(weight(), of(3500));

        let after = tree(mount.path());
        after.prepare().await.unwrap();
        after.ensure(&pod("new", "100m")).await.unwrap();
        assert_eq!(weight(), of(3500), "one pod of many does not speak for all");
        after.weigh(std::slice::from_ref(&light), false).await;
        assert_eq!(weight(), of(3500), "nor do those of one source");
        let new = Arc::new(pod("new", "100m"));
        after.weigh(&[Arc::clone(&heavy), Arc::clone(&light), Arc::clone(&new)], true).await;
        assert_eq!(weight(), of(3600));
        fs::write(&file, "1").unwrap();
        fs::write(mount.path().join("kubepods/besteffort/cpu.weight"), "100").unwrap();
        after.weigh(&[heavy, light, new], true).await;
        assert_eq!(weight(), of(3600), "put back");
        assert_eq!(fs::read_to_string(mount.path().join("kubepods/besteffort/cpu.weight")).unwrap(), "1");
        // Only the kernel's own files disappear with their directory.
        fs::remove_dir_all(mount.path().join("kubepods/burstable/poda")).unwrap();
        after.remove(&PodUid::from("a")).await.unwrap();
        assert_eq!(weight(), of(600), "a pod that an earlier kubelet started goes");
    }

    #[tokio::test]
    async fn only_burstable_pods_count_and_classes_that_are_gone_come_back() {
        let mount = tempfile::tempdir().unwrap();
        let cgroups = tree(mount.path());
        let resources =
            serde_json::json!({"requests": {"cpu": "2", "memory": "1Mi"}, "limits": {"cpu": "2", "memory": "1Mi"}});
        let guaranteed: Pod = serde_json::from_value(serde_json::json!({"metadata": {"uid": "g"},
            "spec": {"containers": [{"name": "c", "resources": resources}]}}))
        .unwrap();
        cgroups.ensure(&guaranteed).await.unwrap();
        let weight = || fs::read_to_string(mount.path().join("kubepods/burstable/cpu.weight")).unwrap();
        assert_eq!(weight(), "1", "a class without pods, whatever the kernel gives to new ones");
        let pods = [Arc::new(guaranteed), Arc::new(pod("b", "1"))];
        cgroups.weigh(&pods, true).await;
        assert_eq!(weight(), "39");
        fs::remove_dir_all(mount.path().join("kubepods")).unwrap();
        cgroups.weigh(&pods, true).await;
        assert_eq!(weight(), "39");
        assert_eq!(fs::read_to_string(mount.path().join("kubepods/memory.max")).unwrap(), (1 << 30).to_string());
    }

    #[tokio::test]
    async fn a_cgroup_of_others_is_limited_and_never_made() {
        let mount = tempfile::tempdir().unwrap();
        let cgroups = tree(mount.path());
        let limits = CgroupLimits { memory: Some(4096), ..CgroupLimits::default() };
        for missing in ["", "/", "/kube"] {
            assert!(cgroups.limit_existing(missing, &limits).await.is_err(), "{missing:?}");
        }
        fs::create_dir(mount.path().join("kube")).unwrap();
        cgroups.limit_existing("/kube", &limits).await.unwrap();
        assert_eq!(fs::read_to_string(mount.path().join("kube/memory.max")).unwrap(), "4096");
        let slice = CgroupName::named("/system.slice/system-kube.slice", true);
        assert_eq!(slice.systemd_path(), "/system.slice/system-kube.slice");
    }

    #[tokio::test]
    async fn a_uid_cannot_lead_out_of_the_tree() {
        let mount = tempfile::tempdir().unwrap();
        let cgroups = tree(mount.path());
        for uid in ["", "../x", "a/b"] {
            assert!(cgroups.ensure(&pod(uid, "1")).await.is_err(), "{uid}");
            assert!(cgroups.remove(&PodUid::from(uid)).await.is_err(), "{uid}");
        }
    }
}
