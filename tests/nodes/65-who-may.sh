# shellcheck shell=bash
# Who gets which certificate: a node only its own, a token none of an existing node, and kubelets none of the cluster's
# CA.

worker=${nodes[1]}
server() { echo "https://$(cluster ip "${nodes[0]}"):6443"; }

# as_worker ARGUMENT...: kubectl with the credentials of the worker's kubelet.
as_worker() { on "$worker" -- kubectl --kubeconfig /etc/kubernetes/kubelet.conf "$@"; }

# csr NAME SIGNER USAGE SUBJECT [SANS]: a request with a new key, on standard output.
csr() {
	local dir
	dir=$(mktemp -d)
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$dir/key" -out "$dir/csr" \
		-subj "$4" ${5:+-addext "subjectAltName=$5"} 2>/dev/null
	cat <<-CSR
		apiVersion: certificates.k8s.io/v1
		kind: CertificateSigningRequest
		metadata: {name: $1}
		spec:
		  signerName: kubernetes.io/$2
		  usages: [digital signature, $3]
		  request: $(base64 -w0 <"$dir/csr")
	CSR
	rm -r "$dir"
}

# denied NAME TEXT: the request was denied with that text, and nothing was signed.
denied() {
	k get csr "$1" -o json | jq -e --arg text "$2" '(.status.certificate == null) and any(.status.conditions[]?; .type == "Denied" and (.message | contains($text)))'
}

asks() { # NAME SANS: requests as the kubelet of the worker
	csr "$1" kubelet-serving 'server auth' "/O=system:nodes/CN=system:node:$worker" "$2" |
		on "$worker" -- kubectl --kubeconfig /etc/kubernetes/kubelet.conf create -f -
}

# claims OTHER: the worker writes names and addresses of others into its own Node, which the kubelet may overwrite
# meanwhile.
claims() {
	as_worker get node "$worker" -o json | jq --arg other "$1" '.status.addresses += [
		{type: "InternalDNS", address: "kubernetes.default.svc"},
		{type: "InternalIP", address: "10.96.0.1"}, {type: "InternalIP", address: $other}]' |
		as_worker replace --raw "/api/v1/nodes/$worker/status" -f -
}
a_node_gets_no_name_of_others() {
	local other
	other=$(cluster ip "${nodes[0]}")
	# It may write anything into its own Node.
	eventually claims "$other"
	asks who-service "DNS:kubernetes.default.svc"
	asks who-address "DNS:$worker,IP:10.96.0.1"
	asks who-node "DNS:${nodes[0]}"
	asks who-other "DNS:$worker,IP:$other"
	eventually denied who-service 'belongs to Services'
	eventually denied who-address 'belongs to Services'
	eventually denied who-node 'belongs to'
	eventually denied who-other 'belongs to'
	k delete csr who-service who-address who-node who-other
}
it "a node that writes other nodes' names into its Node gets no certificate for them" a_node_gets_no_name_of_others

a_token_becomes_no_node_that_is_there() {
	local token name
	token=$(first bootstrap token create)
	for name in "$worker" "${nodes[0]}" kubernetes.default.svc; do
		csr "claim-$name" kube-apiserver-client-kubelet 'client auth' "/O=system:nodes/CN=system:node:$name" |
			"$state/bin/kubectl" --kubeconfig /dev/null --server "$(server)" --insecure-skip-tls-verify --token "$token" create -f -
	done
	eventually denied "claim-$worker" "kubectl delete node $worker"
	eventually denied "claim-${nodes[0]}" "kubectl delete node ${nodes[0]}"
	eventually denied claim-kubernetes.default.svc 'belongs to Services'
	k delete csr "claim-$worker" "claim-${nodes[0]}" claim-kubernetes.default.svc
	first bootstrap token delete "$token"
}
it 'a bootstrap token cannot become an existing node or a Service' a_token_becomes_no_node_that_is_there

kubelets_have_an_authority_of_their_own() {
	local node
	first cat /etc/kubernetes/pki/ca.crt >"$log.ca"
	first cat /etc/kubernetes/pki/kubelet-serving-ca.crt >"$log.serving"
	for node in "${nodes[@]}"; do
		on "$node" -- sed -n '/BEGIN CERT/,/END CERT/p' /var/lib/kubelet/pki/kubelet-server-current.pem >"$log.leaf"
		openssl verify -CAfile "$log.serving" "$log.leaf"
		not openssl verify -CAfile "$log.ca" "$log.leaf"
	done
	rm "$log.ca" "$log.serving" "$log.leaf"
	pod speaks "$worker" netexec
	eventually logs_of speaks
	kn exec speaks -- true
}
it 'certificates of kubelets are not trusted by clients of the CA, and logs and exec work' kubelets_have_an_authority_of_their_own
