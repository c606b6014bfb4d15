# shellcheck shell=bash
# Reset of a node whose control plane consists of services; the last test of the cluster.

nothing_is_left() {
	local name
	on n1 -- bootstrap reset --yes
	for name in $components; do
		not active "$name"
		is not-found property "$name" LoadState
	done
	is 0 on n1 -- sh -c 'ls /etc/systemd/system /etc/systemd/system/multi-user.target.wants | grep -c roost- || true'
	is 'root 700' on n1 -- stat -c '%U %a' /var/lib/etcd
	is '' on n1 -- find /var/lib/etcd /etc/kubernetes/pki -mindepth 1
	# The machine accepts a cluster again, in the same way.
	on n1 -- bootstrap init --config /etc/roost/cluster.toml
	client_again
	for name in $components; do active "$name"; done
	eventually k -n "$ns" get serviceaccount default
}
# client_again: kubectl's configuration of the new cluster, and the namespace of this test in it.
client_again() {
	on n1 -- cat /etc/kubernetes/admin.conf >"$state/admin.conf"
	k create namespace "$ns"
}
it 'a reset leaves no service, and the node can be set up again' nothing_is_left
