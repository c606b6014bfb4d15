# shellcheck shell=bash
# A provider's cloud controller manager beside a control plane of services: it is one of them.

cloud='cloud-controller-manager'

cloud_pod_ready() { is True k -n kube-system get pod "$cloud-n1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'; }
no_cloud_pod() { not k -n kube-system get pod "$cloud-n1"; }
holds_its_lease() { [ -n "$(k -n kube-system get lease "$cloud" -o 'jsonpath={.spec.holderIdentity}')" ]; }
of_node() { k get node "$1" -o "jsonpath={$2}"; }

# n2_again: a worker that registers again, which the manager has to initialize.
n2_again() {
	on n2 -- bootstrap reset --yes
	k delete node n2
	# shellcheck disable=SC2046 # a command line
	on n2 -- $(on n1 -- bootstrap token create --print-join-command)
	eventually is tests://n2 of_node n2 .spec.providerID
	eventually eval "! of_node n2 .spec.taints | grep uninitialized"
}

one_of_the_services() {
	"$repo/tests/upstream/build" cloud
	local node before
	cluster copy n1 "$("$repo/tests/upstream/build" --dir)/$cloud" "/usr/local/bin/$cloud"
	for node in n1 n2; do
		on "$node" -- cp /etc/roost/cluster.toml /root/without-cloud.toml
		on "$node" -- sed -i "s/^\[cluster\]\$/&\ncloud_provider = \"external\"/; s#^\[components.binaries\]\$#&\n$cloud = \"/usr/local/bin/$cloud\"#" /etc/roost/cluster.toml
		on "$node" -- sh -c "printf '\n[args.$cloud]\ncloud-provider = \"tests\"\n' >>/etc/roost/cluster.toml"
	done
	not on n1 -- bootstrap verify
	on n1 -- bootstrap apply
	on n1 -- bootstrap apply --output json | jq -e '.changed == 0'
	on n1 -- bootstrap verify
	active "$cloud"
	no_cloud_pod
	is "roost-$cloud" on n1 -- stat -c %U "/proc/$(property "$cloud" MainPID)"
	is 'CapEff:	0000000000000000' on n1 -- grep CapEff "/proc/$(property "$cloud" MainPID)/status"
	on n1 -- systemd-analyze security --no-pager --threshold=30 "$(unit "$cloud")" | tail -n 1 | tee -a "$state/figures"
	n2_again
	status_well
	on n1 -- bootstrap status --output json | jq -e --arg unit "$(unit "$cloud")" '[.units[] | select(.unit == $unit) | .state] == ["active"]'
	before=$(property "$cloud" MainPID)
	on n1 -- kill -KILL "$before"
	eventually back_after "$cloud" "$before"
	before=$(started "$cloud")
	on n1 -- bootstrap certs renew --all
	[ "$(started "$cloud")" != "$before" ]
	eventually holds_its_lease
}
it 'the cloud controller manager is a service like the others' one_of_the_services

moves_with_the_others() {
	on n1 -- bootstrap convert --to static-pods
	not active "$cloud"
	not on n1 -- test -e "/etc/systemd/system/$(unit "$cloud")"
	eventually cloud_pod_ready
	on n1 -- bootstrap convert --to systemd
	active "$cloud"
	not on n1 -- test -e "/etc/kubernetes/manifests/$cloud.yaml"
	eventually no_cloud_pod
	eventually status_well
	n2_again
}
it 'convert also converts the cloud controller manager' moves_with_the_others

goes_with_its_setting() {
	on n1 -- bootstrap etcd snapshot /root/cloud.db
	on n1 -- bootstrap etcd restore --yes /root/cloud.db
	active "$cloud"
	for node in n1 n2; do on "$node" -- mv /root/without-cloud.toml /etc/roost/cluster.toml; done
	on n1 -- bootstrap apply
	not active "$cloud"
	is not-found property "$cloud" LoadState
	on n2 -- bootstrap apply
	on n1 -- bootstrap verify
	status_well
}
it 'the cloud controller manager is removed with its setting, and kept by a restore' goes_with_its_setting
