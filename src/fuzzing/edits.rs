//! Pods from a few bytes: each four of them set one field of a plain pod to an unusual value of its type.

use std::iter::Peekable;

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

/// Type of a field's values.
#[derive(Clone, Copy)]
enum Kind {
    Flag,
    Int,
    Long,
    Text,
    Amount,
    Time,
    Port,
    Word(&'static [&'static str]),
    Words,
}

use Kind::{Amount, Flag, Int, Long, Port, Text, Time, Word, Words};

/// Fields of a pod; `#` is the index of a container, volume or other part.
const POD: &[(&str, Kind)] = &[
    ("metadata/name", Text),
    ("metadata/namespace", Text),
    ("metadata/uid", Text),
    ("metadata/generation", Long),
    ("metadata/deletionTimestamp", Time),
    ("metadata/creationTimestamp", Time),
    ("metadata/deletionGracePeriodSeconds", Long),
    ("metadata/annotations/a", Text),
    ("metadata/annotations/kubernetes.io~1config.hash", Text),
    ("metadata/labels/component", Word(&["etcd", "kube-apiserver", ""])),
    ("spec/terminationGracePeriodSeconds", Long),
    ("spec/activeDeadlineSeconds", Long),
    ("spec/restartPolicy", Word(&["Always", "OnFailure", "Never", "Sometimes"])),
    ("spec/priority", Int),
    ("spec/priorityClassName", Word(&["system-node-critical", "low"])),
    ("spec/hostNetwork", Flag),
    ("spec/hostPID", Flag),
    ("spec/hostIPC", Flag),
    ("spec/hostUsers", Flag),
    ("spec/shareProcessNamespace", Flag),
    ("spec/setHostnameAsFQDN", Flag),
    ("spec/hostname", Text),
    ("spec/subdomain", Text),
    ("spec/hostnameOverride", Text),
    ("spec/dnsPolicy", Word(&["None", "Default", "ClusterFirst", "ClusterFirstWithHostNet", "Other"])),
    ("spec/dnsConfig/nameservers", Words),
    ("spec/dnsConfig/searches", Words),
    ("spec/dnsConfig/options/#/name", Text),
    ("spec/dnsConfig/options/#/value", Text),
    ("spec/hostAliases/#/ip", Text),
    ("spec/hostAliases/#/hostnames", Words),
    ("spec/nodeSelector/zone", Text),
    ("spec/tolerations/#/key", Text),
    ("spec/tolerations/#/operator", Word(&["Exists", "Equal", "Lt"])),
    ("spec/tolerations/#/tolerationSeconds", Long),
    ("spec/overhead/cpu", Amount),
    ("spec/overhead/memory", Amount),
    ("spec/resources/limits/cpu", Amount),
    ("spec/resources/limits/memory", Amount),
    ("spec/resources/requests/cpu", Amount),
    ("spec/os/name", Word(&["linux", "windows"])),
    ("spec/securityContext/runAsUser", Long),
    ("spec/securityContext/runAsGroup", Long),
    ("spec/securityContext/runAsNonRoot", Flag),
    ("spec/securityContext/fsGroup", Long),
    ("spec/securityContext/supplementalGroups/#", Long),
    ("spec/securityContext/supplementalGroupsPolicy", Word(&["Merge", "Strict", "Other"])),
    ("spec/securityContext/seccompProfile/type", Word(&["RuntimeDefault", "Localhost", "Unconfined", "Other"])),
    ("spec/securityContext/appArmorProfile/type", Word(&["RuntimeDefault", "Localhost", "Unconfined", "Other"])),
    ("spec/securityContext/sysctls/#/name", Text),
    ("spec/securityContext/sysctls/#/value", Text),
    ("spec/volumes/#/name", Word(&["v0", "v1", "v2", ""])),
    ("spec/volumes/#/emptyDir/sizeLimit", Amount),
    ("spec/volumes/#/emptyDir/medium", Word(&["", "Memory", "HugePages-2Mi", "HugePages-x"])),
    ("spec/volumes/#/hostPath/path", Text),
    ("spec/volumes/#/configMap/name", Text),
    ("spec/volumes/#/configMap/defaultMode", Int),
    ("spec/volumes/#/image/reference", Text),
    (
        "spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/#/matchExpressions/#/key",
        Text,
    ),
    (
        "spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/#/matchExpressions/#/operator",
        Word(&["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "X"]),
    ),
    (
        "spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/#/matchExpressions/#/values",
        Words,
    ),
    ("status/phase", Word(&["Pending", "Running", "Succeeded", "Failed", "Other"])),
    ("status/startTime", Time),
    ("status/observedGeneration", Long),
    ("status/containerStatuses/#/name", Word(&["c0", "c1", "c2"])),
    ("status/containerStatuses/#/restartCount", Int),
    ("status/containerStatuses/#/ready", Flag),
    ("status/containerStatuses/#/image", Text),
    ("status/containerStatuses/#/imageID", Text),
    ("status/containerStatuses/#/allocatedResources/cpu", Amount),
    ("status/containerStatuses/#/state/terminated/exitCode", Int),
    ("status/containerStatuses/#/state/terminated/finishedAt", Time),
];

/// Fields of a container in any list.
const CONTAINER: &[(&str, Kind)] = &[
    ("name", Word(&["c0", "c1", "c2", "i0", "", "A"])),
    ("image", Text),
    ("imagePullPolicy", Word(&["Always", "Never", "IfNotPresent", "Other"])),
    ("command", Words),
    ("args", Words),
    ("workingDir", Text),
    ("restartPolicy", Word(&["Always", "OnFailure", "Never", "Other"])),
    ("restartPolicyRules/#/action", Word(&["Restart", "RestartAllContainers", "Other"])),
    ("restartPolicyRules/#/exitCodes/operator", Word(&["In", "NotIn", "Other"])),
    ("restartPolicyRules/#/exitCodes/values/#", Int),
    ("resources/limits/cpu", Amount),
    ("resources/limits/memory", Amount),
    ("resources/limits/ephemeral-storage", Amount),
    ("resources/limits/hugepages-2Mi", Amount),
    ("resources/requests/cpu", Amount),
    ("resources/requests/memory", Amount),
    ("env/#/name", Word(&["V0", "V1", "V2", "", "A=B"])),
    ("env/#/value", Text),
    ("env/#/valueFrom/fieldRef/fieldPath", Text),
    (
        "env/#/valueFrom/resourceFieldRef/resource",
        Word(&["limits.cpu", "requests.memory", "limits.hugepages-2Mi", "x"]),
    ),
    ("env/#/valueFrom/resourceFieldRef/divisor", Amount),
    ("ports/#/containerPort", Int),
    ("ports/#/hostPort", Int),
    ("ports/#/hostIP", Text),
    ("ports/#/name", Text),
    ("ports/#/protocol", Word(&["TCP", "UDP", "SCTP", "Other"])),
    ("volumeMounts/#/name", Word(&["v0", "v1", "v2", ""])),
    ("volumeMounts/#/mountPath", Text),
    ("volumeMounts/#/subPath", Text),
    ("volumeMounts/#/subPathExpr", Text),
    ("volumeMounts/#/mountPropagation", Word(&["None", "HostToContainer", "Bidirectional", "Other"])),
    ("volumeMounts/#/recursiveReadOnly", Word(&["Disabled", "IfPossible", "Enabled", "Other"])),
    ("volumeMounts/#/readOnly", Flag),
    ("terminationMessagePath", Text),
    ("terminationMessagePolicy", Word(&["File", "FallbackToLogsOnError", "Other"])),
    ("stdin", Flag),
    ("tty", Flag),
    ("securityContext/privileged", Flag),
    ("securityContext/runAsUser", Long),
    ("securityContext/runAsNonRoot", Flag),
    ("securityContext/procMount", Word(&["Default", "Unmasked", "Other"])),
    ("securityContext/capabilities/add", Words),
    ("securityContext/seccompProfile/type", Word(&["RuntimeDefault", "Localhost", "Unconfined", "Other"])),
    ("securityContext/seccompProfile/localhostProfile", Text),
    ("securityContext/windowsOptions/runAsUserName", Text),
    ("lifecycle/preStop/sleep/seconds", Long),
    ("lifecycle/preStop/exec/command", Words),
    ("lifecycle/postStart/httpGet/port", Port),
    ("livenessProbe/initialDelaySeconds", Int),
    ("livenessProbe/periodSeconds", Int),
    ("livenessProbe/timeoutSeconds", Int),
    ("livenessProbe/failureThreshold", Int),
    ("livenessProbe/successThreshold", Int),
    ("livenessProbe/terminationGracePeriodSeconds", Long),
    ("livenessProbe/httpGet/port", Port),
    ("livenessProbe/httpGet/path", Text),
    ("livenessProbe/httpGet/host", Text),
    ("livenessProbe/httpGet/scheme", Word(&["HTTP", "HTTPS", "other"])),
    ("livenessProbe/httpGet/httpHeaders/#/name", Text),
    ("livenessProbe/httpGet/httpHeaders/#/value", Text),
    ("readinessProbe/tcpSocket/port", Port),
    ("readinessProbe/periodSeconds", Int),
    ("startupProbe/grpc/port", Int),
    ("startupProbe/periodSeconds", Int),
    ("startupProbe/failureThreshold", Int),
];

const NUMBERS: &[i64] = &[
    0,
    1,
    -1,
    2,
    30,
    65_535,
    65_536,
    i32::MAX as i64,
    i32::MIN as i64,
    i64::MAX,
    i64::MIN,
    i64::MAX / 1_000,
    i64::MAX / 1_000_000_000,
    253_402_207_200,
    -377_705_023_201,
];

const AMOUNTS: &[&str] = &[
    "0",
    "1",
    "-1",
    "100m",
    "1n",
    "1Gi",
    "9E",
    "9Ei",
    "8191Pi",
    "1e38",
    "1e-38",
    "-9E",
    "0.1",
    "9223372036854775807",
    "-9223372036854775808",
    "999999999999999999999999999999",
    "-999999999999999999999999999999",
    "x",
    "",
];

const TIMES: &[&str] =
    &["2023-11-14T22:13:20Z", "1970-01-01T00:00:00Z", "9999-12-30T22:00:00Z", "-009999-01-02T01:59:59Z"];

const TEXTS: &[&str] = &[
    "",
    "a",
    "web-0",
    "a.b",
    "é",
    "a\nb",
    "/",
    "/a/b",
    "..",
    "a/../b",
    "host:/bin/true",
    "host:/",
    "nix:0/nix/store/x/bin/y",
    "registry.example/a:1",
    "10.0.0.1",
    "fd00::1",
    "$(V0)$(V0)",
    "$(V1)$(V1)$(V1)",
    "$(V2)$(V2)$(V2)$(V2)",
    "$$(V0)",
    "$(",
    "metadata.name",
    "metadata.annotations['a']",
    "status.podIPs",
    "spec.nodeName",
    "localhost/x",
    "kernel.shm_rmid_forced",
    "net/ipv4/x.y",
    "UPPER",
    "9223372036854775807",
    "\u{feff}",
    "%0d%0a",
    "a b",
    "80",
];

/// A pod from JSON, or one created by edits.
pub(super) fn pod_of(input: &[u8]) -> Option<Pod> {
    if input.first() == Some(&b'{') {
        return serde_json::from_slice(input).ok();
    }
    let mut pod = json!({
        "metadata": {"name": "web", "namespace": "default", "uid": "u"},
        "spec": {"containers": [{"name": "c0", "image": "i"}]},
    });
    for edit in input.chunks_exact(4).take(64) {
        let [field, value, extra, index] = [edit[0], edit[1], edit[2], edit[3]].map(usize::from);
        let at = field % (POD.len() + 3 * CONTAINER.len());
        let (prefix, (path, kind)) = match at.checked_sub(POD.len()) {
            None => (None, POD[at]),
            Some(rest) => {
                let list = ["spec/containers/#/", "spec/initContainers/#/", "spec/ephemeralContainers/#/"];
                (Some(list[rest / CONTAINER.len()]), CONTAINER[rest % CONTAINER.len()])
            }
        };
        let path = format!("{}{path}", prefix.unwrap_or_default());
        let mut indexes = [index % 3, index / 3 % 3].into_iter();
        set(&mut pod, &mut path.split('/').peekable(), &mut indexes, value_of(kind, value, extra));
    }
    Some(serde_json::from_value(pod).expect("every edit is of its field's type"))
}

fn value_of(kind: Kind, value: usize, extra: usize) -> Value {
    let number = || if value < 200 { NUMBERS[value % NUMBERS.len()] } else { i64::try_from(extra).expect("small") };
    let text = || match value {
        200.. => "ab.c-".repeat(extra * (value - 199)),
        value => TEXTS[value % TEXTS.len()].to_owned(),
    };
    match kind {
        Flag => json!(value.is_multiple_of(2)),
        Int => json!(i32::try_from(number()).unwrap_or(i32::MAX)),
        Long => json!(number()),
        Text => json!(text()),
        Amount => json!(AMOUNTS[value % AMOUNTS.len()]),
        Time => json!(TIMES[value % TIMES.len()]),
        Port if value.is_multiple_of(2) => json!(i32::try_from(number()).unwrap_or(i32::MIN)),
        Port => json!(text()),
        Word(words) => json!(words[value % words.len()]),
        Words => json!(vec![text(); extra % 40]),
    }
}

/// Sets a field, and creates its parents; a `#` is the next index.
fn set<'a>(
    value: &mut Value,
    path: &mut Peekable<impl Iterator<Item = &'a str>>,
    indexes: &mut impl Iterator<Item = usize>,
    new: Value,
) {
    let Some(part) = path.next() else { return *value = new };
    let child = if part == "#" {
        let index = indexes.next().unwrap_or_default();
        let plain = if path.peek().is_some() { json!({}) } else { json!(0) };
        if !value.is_array() {
            *value = json!([]);
        }
        let items = value.as_array_mut().expect("a list");
        items.resize(items.len().max(index + 1), plain);
        &mut items[index]
    } else {
        if !value.is_object() {
            *value = json!({});
        }
        &mut value[part.replace("~1", "/")]
    };
    set(child, path, indexes, new);
}
