# shellcheck shell=bash
# Several control planes of v1.35.4 on their way to v1.36.3: the rules, the rollback, the interruption, and the load.

. "$here/share/control-planes.sh"
. "$here/share/load.sh"

images=(kube-apiserver kube-controller-manager kube-scheduler kube-proxy)

# tag NODE IMAGE FROM TO: one more tag of an image in the node.
tag() { on "$1" -- ctr -n k8s.io images tag --force "registry.k8s.io/$2:$3" "registry.k8s.io/$2:$4"; }

# retag FROM TO: all images of a version under another one, on every node.
retag() {
	local node image
	for node in "${nodes[@]}"; do
		for image in "${images[@]}"; do tag "$node" "$image" "$1" "$2"; done
	done
}

wanted_version() { on "$1" -- sed -i "s/^kubernetes_version = .*/kubernetes_version = \"$2\"/" /etc/roost/cluster.toml; }
manifests() { on "$1" -- sh -c 'cat /etc/kubernetes/manifests/*.yaml' | sha256sum; }

# runs NODE VERSION: its components have that version, and are Ready.
runs() {
	api "$1" -n kube-system get pods -l tier=control-plane -o json | jq -e --arg node "$1" --arg version "$2" '
		[.items[] | select(.spec.nodeName == $node and .metadata.labels.component != "etcd")] | length == 3 and
		all(.[]; (.spec.containers[0].image | endswith(":" + $version)) and
			any(.status.conditions[]; .type == "Ready" and .status == "True"))'
}
serves() { api "$1" get --raw /version | jq -e --arg version "$2" '.gitVersion == $version'; }
nothing_kept() { on "$1" -- sh -c '! ls /var/lib/roost/upgrade/* 2>/dev/null'; }

plan_tells_and_forbids() {
	eventually runs n1 v1.35.4
	on n1 -- bootstrap upgrade plan --version v1.36.3
	on n1 -- bootstrap upgrade plan --version v1.36.3 --output json >"$log.plan"
	jq -e '.allowed and .wanted == "v1.36.3" and .cluster.configured == "v1.35.4"' "$log.plan"
	jq -e --argjson nodes "${#nodes[@]}" '.cluster.nodes | length == $nodes' "$log.plan"
	jq -e '.cluster.nodes[0].components["kube-apiserver"].version == "v1.35.4" and .cluster.nodes[0].kubelet == "v1.36.3"' "$log.plan"
	jq -e '.cluster.etcd[0] | .version != null and .fault == null' "$log.plan"
	jq -e '.work[0] | .node == "n1" and (.command | test("upgrade apply")) and (.changes | length == 3)' "$log.plan"
	rm "$log.plan"
	local version
	# v1.35.5 would leave the kubelets newer than the API servers.
	for version in v1.35.3 v1.37.0 v1.34.9 v1.35.5; do
		not on n1 -- bootstrap upgrade plan --version $version
		not on n1 -- bootstrap upgrade apply --version $version
	done
	local before
	before=$(manifests n1)
	on n1 -- bootstrap upgrade apply --version v1.36.3 --dry-run | matches 'replace the manifest of kube-apiserver'
	is "$before" manifests n1
	# Neither a renewal nor another init changes a version: both keep what runs.
	wanted_version n1 v1.36.3
	on n1 -- bootstrap certs renew --all
	on n1 -- bootstrap init
	eventually runs n1 v1.35.4
	wanted_version n1 v1.35.4
}
it 'the plan shows what runs, and the version-skew rules hold' plan_tells_and_forbids

a_bad_version_is_returned_from() {
	local before component
	for component in kube-scheduler kube-apiserver; do
		retag v1.36.3 v1.36.4
		on n1 -- ctr -n k8s.io images tag --force registry.k8s.io/pause:3.10.2 "registry.k8s.io/$component:v1.36.4"
		before=$(manifests n1)
		not on n1 -- bootstrap upgrade apply --version v1.36.4 --timeout 60s >"$log.apply" 2>&1
		cat "$log.apply"
		grep -q "$component did not become healthy" "$log.apply"
		is "$before" manifests n1
		eventually runs n1 v1.35.4
		nothing_kept n1
		on n1 -- sh -c 'ls /var/lib/roost/snapshots/before-v1.36.4-n1-*.db'
		k -n kube-system get configmap kubeadm-config -o yaml | matches 'kubernetesVersion: v1.35.4'
		# The turn is released.
		[ -z "$(k -n kube-system get lease roost-renewal -o 'jsonpath={.spec.holderIdentity}')" ]
	done
	rm "$log.apply"
}
it 'when a component does not become healthy, the previous manifests are restored' a_bad_version_is_returned_from

upgraded_under_load() {
	local node begin
	for node in "${nodes[@]}"; do wanted_version "$node" v1.36.3; done
	k -n kube-system scale deployment coredns --replicas=3
	load_begins
	begin=$SECONDS
	on n1 -- bootstrap upgrade apply
	for node in "${nodes[@]:1}"; do on "$node" -- bootstrap upgrade node; done
	begin=$((SECONDS - begin))
	load_ends
	[ "$acknowledged" -gt 50 ]
	echo "FIGURES: $begin s, $load" >"$state/upgrade-figures"
	# At most one server was down at a time.
	if [ "$(control_planes | wc -l)" -gt 1 ]; then [ "$refused" = 0 ]; fi
	for node in $(control_planes); do
		eventually runs "$node" v1.36.3
		serves "$node" v1.36.3
		nothing_kept "$node"
	done
	k -n kube-system get configmap kubeadm-config -o yaml | matches 'kubernetesVersion: v1.36.3'
	k -n kube-system rollout status daemonset kube-proxy --timeout=180s
	k -n kube-system rollout status deployment coredns --timeout=180s
	k -n kube-system get daemonset kube-proxy -o json | jq -e '.spec.template.spec.containers[0].image | endswith(":v1.36.3")'
	# Users' changes are kept.
	is 3 k -n kube-system get deployment coredns -o 'jsonpath={.spec.replicas}'
	on n1 -- bootstrap upgrade plan --output json | jq -e '.work == [] and .allowed'
	pod lives n1 pause
}
it 'the cluster is upgraded to the next minor version under load, and no acknowledged write is lost' upgraded_under_load

# cut_at PATTERN: an apply on n1 that is killed as soon as its output matches.
cut_at() {
	# shellcheck disable=SC2016 # the node's shell expands it
	on n1 -- sh -c 'bootstrap upgrade apply --version v1.36.4 >/root/apply.log 2>&1 & pid=$!
		until grep -q "$1" /root/apply.log; do kill -0 $pid || exit 1; sleep 0.05; done; kill -9 $pid' sh "$1"
}

cut_short_and_gone_on() {
	retag v1.36.3 v1.36.4
	cut_at 'snapshot of etcd'
	cut_at 'manifest of kube-apiserver'
	on n1 -- test -f /var/lib/roost/upgrade/kube-apiserver.yaml
	cut_at 'manifest of kube-controller-manager'
	cut_at 'kube-controller-manager is well'
	on n1 -- bootstrap upgrade apply --version v1.36.4
	runs n1 v1.36.4
	nothing_kept n1
	# A second run finds nothing to do.
	on n1 -- bootstrap upgrade apply --version v1.36.4 --output json | jq -e '.changed == 0'
	local node
	for node in "${nodes[@]:1}"; do on "$node" -- bootstrap upgrade node; done
	for node in $(control_planes); do eventually runs "$node" v1.36.4; done
	for node in "${nodes[@]}"; do on "$node" -- bootstrap upgrade node --output json | jq -e '.changed == 0'; done
	k -n kube-system rollout status daemonset kube-proxy --timeout=180s
	k -n kube-system get daemonset kube-proxy -o json | jq -e '.spec.template.spec.containers[0].image | endswith(":v1.36.4")'
}
it 'an upgrade that was killed continues when it is run again' cut_short_and_gone_on
