# shellcheck shell=bash
# A cluster in a cloud: what a provider's cloud controller manager does, and that it is run like the other components.

image=registry.k8s.io/test-cloud-controller-manager:v1

with_cloud() {
	on "$1" -- sed -i 's/^\[cluster\]$/&\ncloud_provider = "external"/' /etc/roost/cluster.toml
	on "$1" -- sh -c "printf '\n[components.images]\ncloud-controller-manager = \"$image\"\n\n[args.cloud-controller-manager]\ncloud-provider = \"tests\"\n' >>/etc/roost/cluster.toml"
}

of_node() { k get node "$1" -o "jsonpath={$2}"; }
manager() { k -n kube-system get pod cloud-controller-manager-n1 -o "jsonpath={$1}"; }
other_container() { [ -n "$(manager '.status.containerStatuses[0].containerID')" ] && [ "$(manager '.status.containerStatuses[0].containerID')" != "$1" ]; }

nodes_are_completed() {
	local node join archive
	"$repo/tests/upstream/build" cloud
	archive=$("$repo/tests/cluster/images/build" cloud)
	for node in n2 n1; do
		on "$node" -- bootstrap reset --yes
		cluster import "$node" "$archive"
		with_cloud "$node"
	done
	on n1 -- bootstrap init
	on n1 -- cat /etc/kubernetes/admin.conf >"$state/admin.conf"
	k create namespace "$ns"
	on n1 -- grep -q -- --cloud-provider=external /etc/systemd/system/kubelet.service
	on n1 -- grep -q -- --cloud-provider=external /etc/kubernetes/manifests/kube-controller-manager.yaml
	join=$(on n1 -- bootstrap token create --print-join-command)
	# shellcheck disable=SC2086 # a command line
	on n2 -- $join
	for node in n1 n2; do
		eventually is "tests://$node" of_node "$node" .spec.providerID
		eventually is "$(cluster ip "$node")" of_node "$node" '.status.addresses[?(@.type=="InternalIP")].address'
		is "$node.cloud.test" of_node "$node" '.status.addresses[?(@.type=="ExternalDNS")].address'
		is zone-1 of_node "$node" '.metadata.labels.topology\.kubernetes\.io/zone'
		eventually eval "! of_node $node .spec.taints | grep uninitialized"
	done
	k -n kube-system rollout status --timeout=180s deployment/coredns
	pod lives n2 pause
	kn exec lives -- true
	eventually on n1 -- bootstrap status
}
it 'nodes of a cloud get their addresses and provider ids, and lose the taint' nodes_are_completed

load_balancer_gets_its_address() {
	deployment web 1 n2
	kn patch service web -p '{"spec": {"type": "LoadBalancer"}}'
	balanced() { kn get service web -o 'jsonpath={.status.loadBalancer.ingress[0].ip}' | grep '^203\.0\.113\.'; }
	eventually balanced
}
it 'a Service of type LoadBalancer gets its address' load_balancer_gets_its_address

renewed_like_the_others() {
	local before
	before=$(manager '.status.containerStatuses[0].containerID')
	[ -n "$before" ]
	on n1 -- bootstrap certs list | grep cloud-controller-manager.conf
	on n1 -- bootstrap certs renew --all
	eventually other_container "$before"
	eventually is True manager '.status.conditions[?(@.type=="Ready")].status'
	on n1 -- bootstrap init --output json | jq -e '.changed == 0'
}
it 'the cloud controller manager is renewed like the other components' renewed_like_the_others
