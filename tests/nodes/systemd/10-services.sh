# shellcheck shell=bash
# The control plane as systemd services on n1; n2 is a worker.

components='etcd kube-apiserver kube-controller-manager kube-scheduler'

unit() { echo "roost-$1.service"; }
active() { on n1 -- systemctl is-active --quiet "$(unit "$1")"; }
property() { on n1 -- systemctl show --property="$2" --value "$(unit "$1")"; }
api_ready() { k get --raw /readyz; }
# pods_of_components: mirror pods of components.
pods_of_components() { k -n kube-system get pods -l tier=control-plane -o name | wc -l; }
status_well() { on n1 -- bootstrap status; }

services_and_no_pods() {
	local name
	for name in $components; do
		active "$name"
		# Its own user, and nothing owned by root.
		is "roost-$name" on n1 -- stat -c %U "/proc/$(property "$name" MainPID)"
		is 'CapEff:	0000000000000000' on n1 -- grep CapEff "/proc/$(property "$name" MainPID)/status"
	done
	is 0 pods_of_components
	is 600 on n1 -- stat -c %a /etc/kubernetes/pki/ca.key
	is root on n1 -- stat -c %U /etc/kubernetes/pki/sa.key
	is roost-etcd on n1 -- stat -c %U /var/lib/etcd/member
	status_well
	on n1 -- bootstrap status --output json | jq -e '[.units[] | select(.unit | startswith("roost-kube")) | .state] == ["active", "active", "active"]'
	on n1 -- bootstrap init --output json | jq -e '.changed == 0'
}
it 'every component is a service of its own user, and a second init finds nothing to do' services_and_no_pods

little_exposed() {
	local name
	for name in $components; do
		on n1 -- systemd-analyze security --no-pager --threshold=30 "$(unit "$name")" | tail -n 1 | tee -a "$state/figures"
	done
}
it 'systemd-analyze finds each service exposed by at most 3.0' little_exposed

pods_run() {
	local node
	for node in n1 n2; do
		pod "lives-on-$node" "$node" pause
		kn exec "lives-on-$node" -- /agnhost help >/dev/null
	done
	k -n kube-system wait --for=condition=Ready pod --all --timeout=180s
}
it 'pods run on the control plane and on the worker' pods_run

back_after() { [ "$(property "$1" MainPID)" != "$2" ] && active "$1"; }
killed_ones_come_back() {
	local name pid
	for name in $components; do
		pid=$(property "$name" MainPID)
		on n1 -- kill -KILL "$pid"
		eventually back_after "$name" "$pid"
		eventually api_ready
	done
	eventually status_well
}
it 'a killed component is restarted' killed_ones_come_back

not_ready_says_so() {
	on n1 -- systemctl stop "$(unit kube-scheduler)"
	on n1 -- sh -c 'bootstrap status || true' | matches 'problem: roost-kube-scheduler.service is inactive'
	not status_well
	on n1 -- systemctl start "$(unit kube-scheduler)"
	status_well
}
it 'status names a service that is not running' not_ready_says_so

# served PORT: the serial number of a server's certificate.
served() { { openssl s_client -connect "$(cluster ip n1):$1" </dev/null 2>/dev/null || true; } | openssl x509 -noout -serial; }
started() { property "$1" ExecMainStartTimestampMonotonic; }

renewed_and_loaded() {
	local name port
	declare -A before serials
	for name in $components; do before[$name]=$(started "$name"); done
	on n1 -- bootstrap certs renew --output json | jq -e '.changed == 0'
	for port in 6443 2379 2380; do serials[$port]=$(served $port); done
	on n1 -- bootstrap certs renew --all
	for port in 6443 2379 2380; do [ "$(served $port)" != "${serials[$port]}" ]; done
	for name in $components; do
		[ "$(started "$name")" != "${before[$name]}" ]
		before[$name]=$(started "$name")
	done
	eventually api_ready
	eventually status_well
	# Everything that was renewed is loaded: nothing is left for another run.
	on n1 -- bootstrap certs renew --output json | jq -e '.changed == 0'
	for name in $components; do [ "$(started "$name")" = "${before[$name]}" ]; done
}
it 'renewed certificates are loaded by a restart of each service, once' renewed_and_loaded

a_snapshot_comes_back() {
	kn create configmap before --from-literal=a=b
	on n1 -- bootstrap etcd snapshot /root/drill.db
	kn delete configmap before
	kn create configmap after
	on n1 -- bootstrap etcd restore --yes /root/drill.db
	eventually kn get configmap before
	not kn get configmap after
	is roost-etcd on n1 -- stat -c %U /var/lib/etcd/member
	for name in $components; do active "$name"; done
	eventually status_well
	on n1 -- bootstrap init --output json | jq -e '.changed == 0'
}
it 'a snapshot is restored into the services' a_snapshot_comes_back

comes_back_after_a_boot() {
	kn create configmap kept
	cluster reboot n1
	eventually api_ready
	eventually kn get configmap kept
	eventually status_well
	is 0 pods_of_components
}
it 'the services run again after a reboot' comes_back_after_a_boot
