# shellcheck shell=bash
# A cluster on nodes like NixOS (tests/cluster/lib/nixos.sh): n1 has the control plane, n2 is a worker.

active() { on "$1" -- systemctl is-active --quiet "$2"; }
in_store() { [[ $(on "$1" -- readlink -f "/etc/systemd/system/$2") == /nix/store/* ]]; }
property() { on "$1" -- systemctl show --property="$3" --value "$2"; }

declared_units_alone() {
	local unit
	not on n1 -- touch /etc/systemd/system/x
	for unit in kubelet.service roost-agent.service roost-bootstrap.service roost-renewal.timer roost-snapshot.timer roost-drill.timer static-pods.target; do
		in_store n1 "$unit"
		active n1 "$unit"
	done
	for unit in kubelet.service roost-agent.service roost-bootstrap.service static-pods.target; do active n2 "$unit"; done
	is '' on n1 -- find /etc/systemd-mutable /run/systemd/system -name 'roost-*' -o -name 'kubelet*'
	on n1 -- bootstrap init --output json | jq -e '.changed == 0'
}
it 'init and join finish when units are declared and their folder is read-only' declared_units_alone

programs_by_store_path() {
	local unit
	for unit in kubelet.service roost-agent.service; do
		[[ $(on n1 -- readlink "/proc/$(property n1 "$unit" MainPID)/exe") == /nix/store/* ]]
	done
	# The default path of services contains none of our tools.
	not on n1 -- systemd-run --quiet --wait --pipe /bin/sh -c 'command -v nft || command -v mount'
	# The agent's rules exist, so its unit found nft.
	[[ $(on n1 -- nft list tables) == *roost* ]]
}
it 'programs and their tools are found by store path' programs_by_store_path

the_benchmark_sees_the_declared_unit() {
	local told
	told=$(on n1 -- bootstrap verify --cis --output json)
	jq -e '.controls[] | select(.id == "4.1.1") | .ours == "fail-by-choice" and (.why | startswith("/etc/systemd/system/kubelet.service 0444"))' <<<"$told"
	jq -e '[.controls[] | select(.ours == "fail")] == []' <<<"$told"
}
it 'verify --cis looks at the unit that the system declares' the_benchmark_sees_the_declared_unit

upkeep() {
	local unit
	for unit in roost-snapshot roost-renewal roost-drill; do on n1 -- systemctl start "$unit.service"; done
	not is '' on n1 -- find /var/lib/roost/snapshots -name '*.db*'
}
it 'snapshot, renewal and drill run as declared' upkeep

token_may_go() {
	on n2 -- rm /var/lib/secrets/join-token
	on n2 -- systemctl restart roost-bootstrap.service
	active n2 roost-bootstrap.service
}
it 'a worker whose token file was deleted restarts without it' token_may_go

reboots() {
	kn create configmap kept --from-literal=key=value
	cluster reboot n1
	cluster reboot n2
	eventually kn get configmap kept
	for unit in kubelet.service roost-agent.service static-pods.target; do
		eventually active n1 "$unit"
		eventually active n2 "$unit"
	done
	eventually k wait --for=condition=Ready node/n1 node/n2 --timeout=5s
	eventually active n1 roost-bootstrap.service
}
it 'both nodes work after a reboot, and no command is needed' reboots

static_pod_and_verbs() {
	kn get pods >/dev/null
	printf '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"dropped"},"spec":{"hostNetwork":true,"containers":[{"name":"main","image":"%s","args":["pause"]}]}}' "$agnhost" >"$log.pod"
	cluster copy n1 "$log.pod" /etc/kubernetes/manifests/dropped.json
	eventually active n1 static-pod@dropped.service
	on n1 -- systemctl restart static-pod@dropped.service
	eventually active n1 static-pod@dropped.service
	on n1 -- rm /etc/kubernetes/manifests/dropped.json
	eventually not active n1 static-pod@dropped.service
	rm -f "$log.pod"
}
it 'a manifest that is added is a unit, and systemctl restarts it' static_pod_and_verbs
