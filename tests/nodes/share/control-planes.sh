# shellcheck shell=bash
# Queries and waits for tests of several control planes.

# api NODE ARGUMENT...: kubectl by that node's own API server.
api() {
	local node=$1
	shift
	k --server "https://$(cluster ip "$node"):6443" "$@"
}

# voters NODE: names of the voting members, as the etcd of that node reports them.
voters() { on "$1" -- bootstrap etcd members --output json | jq -r '.members[] | select(.learner | not) | .name' | sort | xargs; }
api_servers() { api "$1" get endpointslice kubernetes -o json | jq -r '[.endpoints[].addresses[]] | length'; }
node_ready() { is True api "$1" get node "$2" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'; }
beat() { api "$1" -n kube-node-lease get lease "$2" -o 'jsonpath={.spec.renewTime}'; }
new_beat() { [ "$(beat "$1" "$2")" != "$3" ]; }

# beats NODE OTHER: the kubelet of OTHER renews its lease, as the API server of NODE reports.
beats() {
	local last
	last=$(beat "$1" "$2")
	eventually new_beat "$1" "$2" "$last"
}

system_pods_ready_on() {
	api "$1" -n kube-system get pods -o json | jq -e --arg node "$2" '[.items[] | select(.spec.nodeName == $node)] |
		length >= 5 and all(any(.status.conditions[]; .type == "Ready" and .status == "True"))'
}

three=(n1 n2 n3)

# whole: everything is as before, as seen by each control plane.
whole() {
	local node
	for node in "${three[@]}"; do eventually api "$node" get --raw /readyz; done
	eventually is 'n1 n2 n3' voters n1
	for node in "${three[@]}"; do
		eventually on "$node" -- bootstrap etcd health
		eventually node_ready n1 "$node"
		eventually system_pods_ready_on n1 "$node"
		eventually on "$node" -- bootstrap status
	done
}

# note TEXT...: a figure that is printed at the end of the run.
note() { echo "$*" | tee -a "$state/figures"; }
