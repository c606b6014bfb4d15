# shellcheck shell=bash
# CA rotation in a running cluster: two control planes and a worker.

. "$here/share/control-planes.sh"
. "$here/share/authorities.sh"

digest() { on "$1" -- sha256sum "$2" | cut -d' ' -f1; }
private_keys() { k get csr -o json | jq -r '.items[].status.certificate // empty' | base64 -di | grep -c 'PRIVATE KEY'; }
hashes_to_join_with() { on n1 -- bootstrap token create --print-join-command | grep -o ca-hash | wc -l; }
told_to_extensions() { k -n kube-system get configmap extension-apiserver-authentication -o 'jsonpath={.data.client-ca-file}' | grep -c BEGIN; }

# shows PORT NODE: a server's certificate is signed by the new CA, and not by the old one.
shows() { { openssl s_client -connect "$(cluster ip "$2"):$1" -verify_return_error -CAfile "$3" </dev/null 2>&1 || true; } | matches 'Verification: OK'; }

reached() {
	kn exec probe -- curl -sf --max-time 10 --cacert /var/run/secrets/kubernetes.io/serviceaccount/ca.crt https://kubernetes.default.svc/livez
}

# refused_for WORD COMMAND...: the command fails, and names WORD.
refused_for() {
	local word=$1 said
	shift
	! said=$("$@" 2>&1)
	[[ $said == *"$word"* ]]
}

authorities_are_replaced() {
	local next old=$log.old node
	pod probe n3 pause
	container=$(kn get pod probe -o 'jsonpath={.status.containerStatuses[0].containerID}')
	reached
	on n1 -- cat $pki/ca.crt >"$old.crt"
	cp "$state/admin.conf" "$old.conf"

	refused_for 'rotate-ca prepare` on this node first' rotate n1 switch
	rotate n1 prepare
	next=$(rotate n1 status --output json | jq -r .authority.next)
	refused_for n2 rotate n1 switch
	rotate n2 prepare
	rotate n2 prepare --output json | jq -e '.changed == 0 and .left == []'
	is "$(digest n1 $pki/etcd/ca-next.key)" digest n2 $pki/etcd/ca-next.key
	is 600 on n2 -- stat -c %a $pki/etcd/ca-next.key
	# The keys were sent sealed.
	is 0 private_keys
	eventually kubelets "$both"
	is "$(digest n1 $pki/ca.crt)" digest n3 $pki/ca.crt
	k get nodes
	new_admin
	eventually reached

	rotate n1 switch
	refused_for n2 rotate n1 finish
	on n3 -- systemctl stop kubelet
	# Killed in the middle, it continues.
	on n2 -- timeout -s KILL 10 bootstrap certs rotate-ca switch || true
	rotate n2 switch
	refused_for n3 rotate n1 finish
	on n3 -- systemctl start kubelet
	new_admin
	eventually kubelets "$renewed"
	eventually is 'n1 n2' voters n1
	kn exec probe -- true
	kn logs probe

	rotate n1 finish
	rotate n2 finish
	rotate n2 finish --output json | jq -e '.changed == 0'
	on n1 -- cat $pki/ca.crt >"$log.new.crt"
	for node in n1 n2; do
		shows 6443 "$node" "$log.new.crt"
		not shows 6443 "$node" "$old.crt"
		is '' left_over "$node"
		eventually on "$node" -- bootstrap status
		eventually system_pods_ready_on n1 "$node"
	done
	on n1 -- bootstrap verify
	# Clients with a certificate of the old CA are rejected.
	refused_for 'Unauthorized' "$state/bin/kubectl" --kubeconfig "$old.conf" --insecure-skip-tls-verify get nodes
	eventually is "$(digest n1 $pki/ca.crt)" digest n3 $pki/ca.crt
	is 1 hashes_to_join_with
	eventually is 1 told_to_extensions
	# Containers on the worker were not touched.
	is "$container" kn get pod probe -o 'jsonpath={.status.containerStatuses[0].containerID}'
	eventually reached
	beats n1 n3
	pod later n3 pause
	rm -f "$old".* "$log.new.crt"
}
it 'the CAs of a cluster are rotated while it runs' authorities_are_replaced
