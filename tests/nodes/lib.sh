# shellcheck shell=bash
# Shared by the tests of whole nodes: declaring tests, namespaces, waiting, common manifests.
# shellcheck disable=SC2030,SC2031 # each test has a namespace of its own in $ns

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CLUSTER=${CLUSTER:-roost}
state=$repo/target/cluster
[ "$CLUSTER" = roost ] || state=$state-$CLUSTER
export log
log=$(mktemp)
agnhost=registry.k8s.io/e2e-test-images/agnhost:2.63.0
# shellcheck disable=SC2034 # for the tests
busybox=registry.k8s.io/e2e-test-images/busybox:1.37.0-1

# it SENTENCE FUNCTION: declares a test.
it() {
	sentences+=("$1")
	functions+=("$2")
}

# run_one FUNCTION: in its own shell, traced, with a namespace ($ns) that is removed after the test.
run_one() {
	(
		set -euo pipefail
		ns=t-${1//_/-}
		export ns=${ns:0:50} # for jq as well
		k create namespace "$ns" >/dev/null
		trap 'finish $?' EXIT
		eventually k -n "$ns" get serviceaccount default
		set -x
		"$1"
	)
}

# finish CODE: the end of a test.
finish() {
	set +ex
	touch "$log.stop" # stops what runs in the background
	[ "$1" = 0 ] || explain
	k delete namespace "$ns" --wait=false >/dev/null
	exit "$1"
}

# explain: prints what is needed to understand a failure.
explain() {
	k get nodes
	k -n "$ns" get pods -o wide | tail -n 15
	k -n "$ns" get events --sort-by=.lastTimestamp | tail -n 15
	echo 'not ready in kube-system:'
	k -n kube-system get pods -o wide | awk 'NR == 1 || split($2, n, "/") && n[1] != n[2]'
	k -n kube-system get events --sort-by=.lastTimestamp | tail -n 10
}

k() {
	local -
	set +x
	"$state/bin/kubectl" --kubeconfig "$state/admin.conf" "$@"
}
kn() { k -n "$ns" "$@"; }
cluster() { "$repo/tests/cluster/cluster" "$@"; }
on() { cluster exec "$@"; }
first() { on "${nodes[0]}" -- "$@"; }
logs_of() { kn logs "$1" --tail=1; }

# not COMMAND...: the command fails. (A bare "!" is no assertion: set -e ignores it.)
not() { ! "$@"; }

# eventually COMMAND...: polls until it succeeds; gives up after three minutes, and no test measures how long it took.
eventually() {
	local - begin=$SECONDS
	set +x
	until ("$@") >/dev/null 2>&1; do
		if [ $((SECONDS - begin)) -gt 180 ]; then
			echo "never succeeded: $*"
			"$@"
			return 1
		fi
		sleep 0.5
	done
}

# matches PATTERN: as `grep -q`, but reads to the end: `grep -q` exits at the first match, and with pipefail the
# writer's SIGPIPE would count as a failure.
matches() { grep "$@" >/dev/null; }

# is VALUE COMMAND...: the command prints exactly the value.
is() {
	local value=$1
	shift
	[ "$("$@")" = "$value" ]
}

ready() { kn wait --for=condition=Ready --timeout=180s "$@"; }
rolled_out() { kn rollout status --timeout=180s "$@"; }

node_ready() { is True k get node "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'; }
heartbeat() { k -n kube-node-lease get lease "$1" -o 'jsonpath={.spec.renewTime}'; }
new_heartbeat() { [ "$(heartbeat "$1")" != "$2" ]; }

# beats NODE: waits until its kubelet has renewed its lease since now, and is Ready.
beats() {
	local last
	last=$(heartbeat "$1")
	eventually new_heartbeat "$1" "$last"
	eventually node_ready "$1"
}

# pod NAME NODE ARGUMENT...: a pod of agnhost on a node, tainted or not; waits until it is Ready.
pod() {
	local name=$1 node=$2
	shift 2
	kn apply -f - <<-POD
		apiVersion: v1
		kind: Pod
		metadata: {name: $name, labels: {app: $name}}
		spec:
		  nodeName: $node
		  terminationGracePeriodSeconds: 5
		  tolerations: [{operator: Exists}]
		  containers:
		  - {name: main, image: $agnhost, args: $(printf '%s\n' "$@" | jq -cnR '[inputs]')}
	POD
	ready "pod/$name"
}

# deployment NAME REPLICAS NODE: web servers that answer with their host name, behind a Service of that name.
deployment() {
	kn apply -f - <<-DEPLOYMENT
		apiVersion: apps/v1
		kind: Deployment
		metadata: {name: $1}
		spec:
		  replicas: $2
		  selector: {matchLabels: {app: $1}}
		  template:
		    metadata: {labels: {app: $1}}
		    spec:
		      nodeSelector: {kubernetes.io/hostname: $3}
		      tolerations: [{operator: Exists}]
		      terminationGracePeriodSeconds: 5
		      containers:
		      - name: web
		        image: $agnhost
		        args: [netexec, --http-port=8080]
		        readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
		---
		apiVersion: v1
		kind: Service
		metadata: {name: $1}
		spec: {selector: {app: $1}, ports: [{port: 80, targetPort: 8080}]}
	DEPLOYMENT
	rolled_out "deployment/$1"
}

# containers: every running container of the cluster with its pod, as a sorted list that must not change.
containers() {
	k get pods -A -o json | jq -r '.items[] | select(.metadata.namespace as $n | $n == "kube-system" or $n == env.ns) |
		. as $p | .status.containerStatuses[]? | "\($p.metadata.namespace)/\($p.metadata.name) \($p.metadata.uid) \(.name) \(.containerID)"' | sort
}
