# shellcheck shell=bash
# Three control planes: faults of one of them while the cluster continues.

. "$here/share/control-planes.sh"

everything_is_threefold() {
	eventually is 'n1 n2 n3' voters n1
	eventually is 3 api_servers n2
	for node in n1 n2 n3; do
		api "$node" get --raw /readyz
		eventually system_pods_ready_on n1 "$node"
		api n1 get node "$node" -o json | jq -e '.metadata.labels | has("node-role.kubernetes.io/control-plane")'
		on "$node" -- test -f /etc/kubernetes/pki/ca.key
		not on "$node" -- test -f /etc/kubernetes/bootstrap-kubelet.conf
	done
	# The received keys are readable only for their owner.
	is 600 on n2 -- stat -c %a /etc/kubernetes/pki/ca.key
	# A second run finds nothing to do, although another node joined since.
	join=$(on n1 -- bootstrap token create --print-join-command --control-plane)
	# shellcheck disable=SC2086 # a command line
	on n2 -- $join --output json | jq -e '.changed == 0'
}
it 'every control plane has an etcd with a vote, an API server and the shared keys' everything_is_threefold

a_worker_token_gets_no_keys() {
	local token
	token=$(on n1 -- bootstrap token create)
	kubectl_with_token() { k --kubeconfig /dev/null --server "https://$(cluster ip n1):6443" --insecure-skip-tls-verify --token "$token" "$@"; }
	kubectl_with_token auth can-i create certificatesigningrequests
	not kubectl_with_token auth can-i list secrets -n kube-system
	# The request of a finished join contains its keys sealed, and nothing else.
	k get csr -o json | jq -r '[.items[] | select(.spec.signerName == "roost.local/control-plane-join") | .status.certificate][0]' |
		base64 -d >"$log.answer"
	grep -q roost-sealed "$log.answer"
	not grep -q 'PRIVATE KEY' "$log.answer"
	rm "$log.answer"
}
it 'the shared keys are never in plain text in the API' a_worker_token_gets_no_keys

# goes_on_without NODE WITNESS: power off; the API continues through WITNESS, every other node reaches its API; the node
# returns.
goes_on_without() {
	local down=$1 witness=$2 node i written=0
	cluster kill "$down"
	for i in $(seq 1 40); do
		if api "$witness" -n "$ns" create configmap "write-$down-$i" --request-timeout=10s; then
			echo "write-$down-$i" >>"$log.written"
			written=$((written + 1))
		fi
		sleep 0.5
	done
	# An election takes a second or two, not ten writes.
	[ "$written" -ge 30 ]
	for node in n1 n2 n3; do
		[ "$node" = "$down" ] || beats "$witness" "$node"
	done
	cluster start "$down"
	eventually node_ready "$witness" "$down"
	beats "$witness" "$down"
	eventually api "$down" get --raw /readyz
	eventually is 'n1 n2 n3' voters "$down"
	# No acknowledged write is lost, also as seen by the node that was down.
	# shellcheck disable=SC2013 # names without blanks
	for name in $(cat "$log.written"); do api "$down" -n "$ns" get configmap "$name" -o name; done
	rm "$log.written"
}
power_cut_of_a_joined_one() { goes_on_without n3 n1; }
it 'a power cut of a control plane costs neither API access nor a write' power_cut_of_a_joined_one
power_cut_of_the_first_one() { goes_on_without n1 n2; }
it 'a power cut of the first control plane costs neither API access nor a write' power_cut_of_the_first_one

own_api_server_gone() {
	on n2 -- mv /etc/kubernetes/manifests/kube-apiserver.yaml /root/
	# shellcheck disable=SC2317 # called by name
	gone() { ! api n2 get --raw /readyz --request-timeout=3s; }
	eventually gone
	beats n1 n2
	# Also for programs with new connections, and after a restart of the balancer.
	on n2 -- systemctl restart roost-agent.service kubelet.service
	beats n1 n2
	is n2 on n2 -- kubectl --kubeconfig /etc/kubernetes/kubelet.conf get node n2 -o 'jsonpath={.metadata.name}'
	on n2 -- mv /root/kube-apiserver.yaml /etc/kubernetes/manifests/
	eventually api n2 get --raw /readyz
	on n2 -- grep -q "https://127.0.0.1:6444" /etc/kubernetes/kubelet.conf
	k -n kube-system get configmap kube-proxy -o yaml | matches 'server: "\?https://127.0.0.1:6444'
}
it 'a node whose own API server is gone reaches the others' own_api_server_gone

reset_and_join_again() {
	on n3 -- bootstrap reset --yes
	is 'n1 n2' voters n1
	not on n3 -- test -d /etc/kubernetes/pki/etcd
	api n1 get --raw /readyz
	api n1 delete node n3
	join=$(on n2 -- bootstrap token create --print-join-command --control-plane)
	# shellcheck disable=SC2086 # a command line
	on n3 -- $join
	is 'n1 n2 n3' voters n3
	eventually is 3 api_servers n3
	eventually system_pods_ready_on n1 n3
}
it 'a reset takes the member out of etcd, and the node can join again' reset_and_join_again

# leave NODE...: resets control planes in order.
leave() {
	local node
	for node in "$@"; do
		on "$node" -- bootstrap reset --yes
		k delete node "$node" --ignore-not-found
	done
}

a_failed_join_leaves_nothing() {
	leave n3
	local join
	join=$(on n1 -- bootstrap token create --print-join-command --control-plane)
	# A kubelet that does not start: etcd has the learner by then.
	on n3 -- sh -c 'mv /usr/local/bin/kubelet /root/ && cp /bin/false /usr/local/bin/kubelet'
	# shellcheck disable=SC2086 # a command line
	not on n3 -- $join >"$log.join" 2>&1
	grep -q 'was removed from the cluster again' "$log.join" || { cat "$log.join" && return 1; }
	rm "$log.join"
	is 2 on n1 -- sh -c 'bootstrap etcd members --output json | grep -c peerUrls'
	on n3 -- mv /root/kubelet /usr/local/bin/kubelet
	# The same command continues where it was interrupted.
	# shellcheck disable=SC2086 # a command line
	on n3 -- $join
	eventually is 'n1 n2 n3' voters n1
}
it 'a join that fails before the promotion leaves no learner, and continues when it is run again' a_failed_join_leaves_nothing

two_join_at_once() {
	leave n2 n3
	local join other first second
	join=$(on n1 -- bootstrap token create --print-join-command --control-plane)
	other=$(on n1 -- bootstrap token create --print-join-command --control-plane)
	# shellcheck disable=SC2086 # a command line
	on n2 -- $join &
	first=$!
	# shellcheck disable=SC2086 # a command line
	on n3 -- $other &
	second=$!
	wait $first
	wait $second
	is 'n1 n2 n3' voters n1
	for node in n2 n3; do eventually system_pods_ready_on n1 "$node"; done
}
it 'two control planes that join at once take turns' two_join_at_once

a_token_is_used_once() {
	leave n2 n3
	local join first second
	join=$(on n1 -- bootstrap token create --print-join-command --control-plane)
	# Both at once: one gets the keys, the other is told to use its own token.
	# shellcheck disable=SC2086 # a command line
	on n2 -- $join >"$log.n2" 2>&1 &
	first=$!
	# shellcheck disable=SC2086 # a command line
	on n3 -- $join >"$log.n3" 2>&1 &
	second=$!
	local joined=0 refused
	if wait $first; then joined=$((joined + 1)); else refused=n2; fi
	if wait $second; then joined=$((joined + 1)); else refused=n3; fi
	is 1 echo $joined
	grep 'each one needs its own' "$log.$refused"
	not on "$refused" -- test -e /etc/kubernetes/pki/ca.key
	on "$refused" -- bootstrap reset --yes
	join=$(on n1 -- bootstrap token create --print-join-command --control-plane)
	# shellcheck disable=SC2086 # a command line
	on "$refused" -- $join
	eventually is 'n1 n2 n3' voters n1
	for node in n2 n3; do eventually system_pods_ready_on n1 "$node"; done
	rm "$log.n2" "$log.n3"
}
it 'a token for control planes gives the keys to one of them' a_token_is_used_once
