# shellcheck shell=bash
# A cluster whose CA key is on no node: the test signs, on its own machine.

ca=$state/own-ca

kubeconfig() { # kubeconfig PATH SERVER: around PATH.crt and PATH.key
	cat >"$1.conf" <<-CONFIG
		apiVersion: v1
		kind: Config
		clusters:
		- name: kubernetes
		  cluster: {server: "$2", certificate-authority-data: $(base64 -w0 <"$ca/ca.crt")}
		users:
		- name: own
		  user: {client-certificate-data: $(base64 -w0 <"$1.crt"), client-key-data: $(base64 -w0 <"$1.key")}
		contexts:
		- {name: own, context: {cluster: kubernetes, user: own}}
		current-context: own
	CONFIG
	chmod 600 "$1.conf"
}

# pki NODE FIRST: everything that the CA has to sign for a control plane of that address.
pki() {
	local node=$1 dir=$ca/$1 address server
	address=$(cluster ip "$node") server=https://$(cluster ip "$node"):6443
	mkdir -p "$dir"
	leaf "$dir/apiserver" "$ca/ca" /CN=kube-apiserver serverAuth "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,DNS:$node,IP:$address,IP:$(cluster ip n1),IP:127.0.0.1,IP:10.96.0.1${2:-}"
	leaf "$dir/apiserver-kubelet-client" "$ca/ca" /CN=kube-apiserver-kubelet-client clientAuth
	client() { leaf "$dir/$1" "$ca/ca" "$2" clientAuth && kubeconfig "$dir/$1" "${3:-$server}"; }
	client admin /O=kubeadm:cluster-admins/CN=kubernetes-admin
	client super-admin /O=system:masters/CN=kubernetes-super-admin
	client controller-manager /CN=system:kube-controller-manager
	client scheduler /CN=system:kube-scheduler
	client serving-approver /CN=roost:kubelet-serving-approver
	client kubelet "/O=system:nodes/CN=system:node:$node" https://127.0.0.1:6444
}

# bring NODE FILE...: copies files into the PKI folder, or beside it.
bring() {
	local node=$1 file
	shift
	on "$node" -- mkdir -p /etc/kubernetes/pki
	for file; do
		case $file in
		*.conf) cluster copy "$node" "$ca/$node/$file" "/etc/kubernetes/$file" ;;
		*) cluster copy "$node" "$ca/$node/$file" "/etc/kubernetes/pki/$file" ;;
		esac
	done
}
leaves=(apiserver.crt apiserver.key apiserver-kubelet-client.crt apiserver-kubelet-client.key)
configs=(admin.conf controller-manager.conf scheduler.conf serving-approver.conf)

# sign_requests: signs the approved client certificate requests of kubelets. Their serving certificates come from a CA
# whose key the cluster has.
sign_requests() {
	local name
	k get csr -o json | jq -r '.items[] | select(.status.certificate == null and any(.status.conditions[]?; .type == "Approved") and
		.spec.signerName == "kubernetes.io/kube-apiserver-client-kubelet") | .metadata.name' | while read -r name; do
		k get csr "$name" -o json >"$ca/request.json"
		jq -r .spec.request "$ca/request.json" | base64 -d >"$ca/request"
		sign "$ca/request" "$ca/ca" clientAuth '' | base64 -w0 >"$ca/signed"
		jq --rawfile signed "$ca/signed" '.status.certificate = $signed' "$ca/request.json" |
			k replace --raw "/apis/certificates.k8s.io/v1/certificatesigningrequests/$name/status" -f - >/dev/null
	done
}
signs_all() {
	set +ex
	while [ ! -e "$log.stop" ]; do
		sign_requests
		sleep 1
	done
}
comes_up_without_the_key() {
	local node
	for node in n2 n1; do
		on "$node" -- bootstrap reset --yes
		on "$node" -- sh -c 'systemctl stop own-etcd.service 2>/dev/null; ! test -f /root/before.toml || mv /root/before.toml /etc/roost/cluster.toml'
		k delete node "$node" --ignore-not-found || true
	done
	rm -rf "$ca" && mkdir -p "$ca"
	authority "$ca/ca" /CN=own-ca
	pki n1
	cp "$ca/ca.crt" "$ca/n1/"
	bring n1 ca.crt
	# All missing files are listed at once, and nothing is started.
	not on n1 -- bootstrap init >"$log.init" 2>&1
	for file in pki/apiserver.crt pki/apiserver-kubelet-client.crt admin.conf super-admin.conf kubelet.conf controller-manager.conf scheduler.conf serving-approver.conf; do
		grep "/etc/kubernetes/$file (.*does not exist" "$log.init" || { cat "$log.init" && return 1; }
	done
	rm "$log.init"
	not on n1 -- systemctl is-active kubelet.service
	bring n1 "${leaves[@]}" "${configs[@]}" super-admin.conf kubelet.conf
	on n1 -- bootstrap init
	not on n1 -- test -e /etc/kubernetes/pki/ca.key
	client_again
	on n1 -- bootstrap init --output json | jq -e '.changed == 0'
	on n1 -- bootstrap verify
	on n1 -- bootstrap status
	# A kubelet's serving certificate does not need the CA's key.
	pod lives n1 pause
	eventually logs_of lives
}
it 'a cluster starts without the key of its CA, once everything that the CA signs exists' comes_up_without_the_key

a_control_plane_joins() {
	local join
	pki n2
	bring n2 "${leaves[@]}" "${configs[@]}"
	join=$(on n1 -- bootstrap token create --print-join-command --control-plane)
	rm -f "$log.stop"
	signs_all >/dev/null 2>&1 &
	# shellcheck disable=SC2086 # a command line
	on n2 -- $join
	not on n2 -- test -e /etc/kubernetes/pki/ca.key
	for node in n1 n2; do
		eventually api "$node" get --raw /readyz
		eventually node_ready n1 "$node"
		eventually system_pods_ready_on n1 "$node"
		on "$node" -- bootstrap verify
	done
	is 'n1 n2' voters n2
	pod lives-there n2 pause
	eventually logs_of lives-there
	touch "$log.stop"
	wait
	# shellcheck disable=SC2086 # a command line
	on n2 -- $join --output json | jq -e '.changed == 0'
}
it 'a control plane joins a cluster without the key of its CA' a_control_plane_joins

digest() { on "$1" -- sha256sum "/etc/kubernetes/$2" | cut -d' ' -f1; }

renewal_tells_what_it_cannot() {
	local api_server front
	on n1 -- bootstrap certs list | grep '/pki/apiserver.crt .*ok (signed elsewhere)'
	not grep 'signed elsewhere' <<<"$(on n1 -- bootstrap certs list | grep front-proxy)"
	on n1 -- bootstrap certs renew | grep 'nothing is due'
	api_server=$(digest n1 pki/apiserver.crt) front=$(digest n1 pki/front-proxy-client.crt)
	on n1 -- bootstrap certs renew --all >"$log.renew" 2>&1
	grep 'not renewed, because .* not on this node: .*apiserver.crt.*scheduler.conf' "$log.renew" || { cat "$log.renew" && return 1; }
	is "$api_server" digest n1 pki/apiserver.crt
	[ "$(digest n1 pki/front-proxy-client.crt)" != "$front" ]
	# One that has expired: the rest is renewed, and the command fails and names it.
	front=$(digest n1 pki/front-proxy-client.crt)
	on n1 -- sh -c 'cp /etc/kubernetes/scheduler.conf /root/ && sed -i "s/client-certificate-data: .*/client-certificate-data: AAAA}/" /etc/kubernetes/scheduler.conf'
	on n1 -- rm /etc/kubernetes/pki/front-proxy-client.crt
	not on n1 -- bootstrap certs renew >"$log.renew" 2>&1
	grep '/etc/kubernetes/scheduler.conf' "$log.renew" || { cat "$log.renew" && return 1; }
	on n1 -- test -s /etc/kubernetes/pki/front-proxy-client.crt
	on n1 -- cp /root/scheduler.conf /etc/kubernetes/
	on n1 -- bootstrap certs renew
	# Another name has to be signed elsewhere, and is reported before anything is changed.
	not on n1 -- bootstrap apply --set certs.sans=api.example.org >"$log.renew" 2>&1
	grep 'apiserver.crt .*it lacks api.example.org' "$log.renew" || { cat "$log.renew" && return 1; }
	pki n1 ,DNS:api.example.org
	bring n1 apiserver.crt apiserver.key
	on n1 -- bootstrap apply --set certs.sans=api.example.org
	rm "$log.renew"
	eventually api n1 get --raw /readyz
	on n1 -- bootstrap apply
}
it 'renewal does what it can without the key of the CA, and reports the rest' renewal_tells_what_it_cannot

given_back() {
	for node in n2 n1; do on "$node" -- bootstrap reset --yes; done
	not on n1 -- test -e /etc/kubernetes/pki/ca.crt
	on n1 -- bootstrap init
	client_again
	rm -rf "$ca"
}
it 'after a reset the node may create its own CA' given_back
