# shellcheck shell=bash
# etcd operations: health, snapshots, restore, the loss of quorum.

members_well() { on "$1" -- bootstrap etcd health; }

health_tells_the_sick() {
	eventually members_well n1
	on n1 -- bootstrap etcd health --output json | jq -e '[.members[] | select(.healthy)] | length == 3'
	on n1 -- bootstrap etcd defragment --dry-run | grep -c 'defragment n[123]: .* bytes are in use' | grep -x 3
	on n1 -- bootstrap etcd defragment
	eventually members_well n1
	on n1 -- bootstrap etcd remove --dry-run n3 | grep 'remove member n3'
	eventually members_well n1
	cluster kill n3
	not members_well n1
	on n1 -- sh -c 'bootstrap etcd health --output json || true' | jq -e '.members[] | select(.name == "n3") | .healthy == false'
	cluster start n3
	eventually members_well n1
}
it 'etcd health reports which member is unhealthy' health_tells_the_sick

snapshots_of() { on "$1" -- ls /var/lib/roost/snapshots; }

the_timer_keeps_the_newest() {
	on n2 -- systemctl is-active roost-snapshot.timer
	for day in 01 02 03 04 05 06 07 08 09; do on n2 -- touch "/var/lib/roost/snapshots/etcd-n2-202001${day}T000000Z.db"; done
	on n2 -- touch /var/lib/roost/snapshots/etcd-n2-mine.db
	on n2 -- systemctl start roost-snapshot.service
	snapshots_of n2
	[ "$(snapshots_of n2 | grep -c '^etcd-n2-2')" = 7 ]
	snapshots_of n2 | matches -x etcd-n2-mine.db
	holds() { snapshots_of n2 | matches "$1"; }
	not holds 20200103
	not holds part
	# shellcheck disable=SC2016 # the node's shell expands it
	is 600 on n2 -- sh -c 'stat -c %a $(ls -t /var/lib/roost/snapshots/etcd-n2-2* | head -n 1)'
}
it 'the snapshot service keeps the newest snapshots and nothing half-written' the_timer_keeps_the_newest

# join_again NODE: a control plane that was reset joins again.
join_again() {
	local join
	k delete node "$1" --ignore-not-found
	join=$(on n1 -- bootstrap token create --print-join-command --control-plane)
	# shellcheck disable=SC2086 # a command line
	on "$1" -- $join
}

all_well() {
	eventually is 'n1 n2 n3' voters n1
	for node in n1 n2 n3; do
		eventually node_ready n1 "$node"
		eventually system_pods_ready_on n1 "$node"
	done
}

state_of() { on "$1" -- sh -c 'ls -R /etc/kubernetes /var/lib/etcd/before* /var/lib/etcd/member/snap/db 2>/dev/null; cat /etc/kubernetes/manifests/*.yaml' | sha256sum; }

restored_from_a_snapshot() {
	kn create configmap before --from-literal=a=b
	on n1 -- bootstrap etcd snapshot /root/drill.db
	kn delete configmap before
	kn create configmap after
	# A truncated snapshot is rejected before anything is changed.
	on n1 -- sh -c 'head -c 100000 /root/drill.db >/root/cut.db'
	not on n1 -- bootstrap etcd restore --yes /root/cut.db
	k get --raw /readyz
	not on n1 -- bootstrap etcd restore --dry-run /root/cut.db
	# The plan is printed, and nothing is done.
	local before
	before=$(state_of n1)
	on n1 -- bootstrap etcd restore --dry-run /root/drill.db >"$log.plan"
	cat "$log.plan"
	for line in 'remove /etc/kubernetes/manifests/kube-apiserver.yaml' 'move /var/lib/etcd/member to /var/lib/etcd/before-restore-' 'restore /root/drill.db into /var/lib/etcd' 'start etcd'; do
		grep -q "$line" "$log.plan"
	done
	rm "$log.plan"
	is "$before" state_of n1
	on n2 -- bootstrap reset --yes
	on n3 -- bootstrap reset --yes
	on n1 -- bootstrap etcd restore --yes /root/drill.db
	is n1 voters n1
	eventually kn get configmap before
	not kn get configmap after
	# The cluster works: watches opened before the restore were closed, and a pod runs.
	pod lives n1 pause
	for node in n2 n3; do join_again "$node"; done
	all_well
	kn get configmap before
}
it 'a snapshot is restored, and the other control planes join again' restored_from_a_snapshot

quorum_lost() {
	for i in $(seq 1 20); do kn create configmap "kept-$i"; done
	cluster kill n2
	cluster kill n3
	not members_well n1
	local before
	before=$(state_of n1)
	on n1 -- bootstrap etcd recover --dry-run --output json | jq -e '.dryRun and .changed == 3 and (.phases[0].steps[0].step | test("force-new-cluster"))'
	is "$before" state_of n1
	on n1 -- bootstrap etcd recover --yes
	is n1 voters n1
	not on n1 -- grep -q force-new-cluster /etc/kubernetes/manifests/etcd.yaml
	# Every acknowledged write is there.
	for i in $(seq 1 20); do eventually kn get configmap "kept-$i"; done
	kn create configmap new
	cluster start n2
	cluster start n3
	for node in n2 n3; do
		on "$node" -- bootstrap reset --yes
		join_again "$node"
	done
	all_well
	kn get configmap new
	not on n1 -- bootstrap etcd recover --yes
	not on n1 -- bootstrap etcd recover --dry-run
}
it 'after the loss of two of three control planes the last one continues with all data' quorum_lost
