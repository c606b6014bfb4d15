# shellcheck shell=bash
# `bootstrap status` on nodes with a fault: each is named, and gone from the report once it is mended.

# told NODE PATTERN: its status fails and has a problem like that.
told() {
	not on "$1" -- bootstrap status
	{ on "$1" -- bootstrap status || true; } | matches "problem: .*$2"
}
healthy() { on "$1" -- bootstrap status; }

the_status_is_one_document() {
	local node
	for node in "${nodes[@]}"; do
		eventually healthy "$node"
		on "$node" -- bootstrap status --output json |
			jq -e '.healthy and .problems == [] and .dns.addresses == [.dns.expected] and .cluster.node.machineId == .machine.machineId and .network.missingPlugins == []'
	done
	# An error is a document as well, and so is an invalid command line.
	{ first bootstrap status --config /nowhere.toml --output json || true; } | jq -e '.exitCode == 78 and (.error.message | contains("/nowhere.toml"))'
	{ first bootstrap status --nonsense -o json || true; } | jq -e '.exitCode == 64'
	{ first timeout -s INT 12 bootstrap status --watch=1s --output json || true; } | jq -es 'length > 1 and all(.[]; .healthy)'
}
[ "${BOOTSTRAP:-ours}" != ours ] || it 'the status of healthy nodes is one document, and so are errors' the_status_is_one_document

faults_are_named() {
	local node=${nodes[-1]}
	eventually healthy "$node"

	on "$node" -- systemctl stop roost-agent
	told "$node" 'roost-agent.service is inactive'
	on "$node" -- systemctl start roost-agent
	eventually healthy "$node"

	on "$node" -- mv /opt/cni/bin/bridge /opt/cni/bin/bridge.away
	told "$node" 'CNI plugins do not exist in /opt/cni/bin: bridge'
	on "$node" -- mv /opt/cni/bin/bridge.away /opt/cni/bin/bridge
	on "$node" -- sh -c 'echo "{\"type\": \"bridge\"}" >/etc/cni/net.d/05-other.conf'
	told "$node" '05-other.conf wins by its name'
	on "$node" -- rm /etc/cni/net.d/05-other.conf
	eventually healthy "$node"

	# A running kubelet corrects its Node at once.
	on "$node" -- systemctl stop kubelet
	k patch node "$node" --subresource=status --type=merge -p '{"status": {"nodeInfo": {"machineID": "0123456789abcdef0123456789abcdef"}}}'
	told "$node" "Node $node belongs to another machine (machine id 0123456789abcdef0123456789abcdef"
	on "$node" -- systemctl start kubelet
	eventually healthy "$node"
}
[ "${BOOTSTRAP:-ours}" != ours ] || it 'the status names a stopped agent, missing CNI plugins, a CNI that wins, and another machine behind the Node' faults_are_named

addons_that_are_down_are_named() {
	local node=${nodes[-1]}
	k -n kube-system scale deployment coredns --replicas=0
	eventually told "$node" 'the DNS Service .* does not resolve kubernetes.default.svc'
	k -n kube-system scale deployment coredns --replicas=2
	eventually healthy "$node"

	k -n kube-system patch daemonset kube-proxy --type=merge -p '{"spec": {"template": {"spec": {"nodeSelector": {"status-test": "nowhere"}}}}}'
	eventually told "$node" 'kube-proxy has no pod on this node'
	k -n kube-system patch daemonset kube-proxy --type=merge -p '{"spec": {"template": {"spec": {"nodeSelector": {"status-test": null}}}}}'
	eventually healthy "$node"
	eventually healthy "${nodes[0]}"
}
[ "${BOOTSTRAP:-ours}" != ours ] || it 'the status names CoreDNS and kube-proxy that are down' addons_that_are_down_are_named
