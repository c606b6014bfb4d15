# shellcheck shell=bash
# Renewal on a running control plane.

# served NODE PORT: the serial number of a server's certificate.
# etcd closes the connection for lack of a client certificate, after it has sent its own.
served() { { openssl s_client -connect "$(cluster ip "$1"):$2" </dev/null 2>/dev/null || true; } | openssl x509 -noout -serial; }
new_certificate() { [ -n "$(served "$1" "$2")" ] && [ "$(served "$1" "$2")" != "$3" ]; }
container_of() { api n1 -n kube-system get pod "$1" -o 'jsonpath={.status.containerStatuses[0].containerID}'; }
new_container() { [ -n "$(container_of "$1")" ] && [ "$(container_of "$1")" != "$2" ]; }

renewed_and_loaded() {
	local port manager scheduler
	declare -A serials
	for port in 6443 2379 2380; do serials[$port]=$(served n2 $port); done
	manager=$(container_of kube-controller-manager-n2) scheduler=$(container_of kube-scheduler-n2)
	kept=$(container_of kube-apiserver-n2)$(container_of etcd-n2)

	# Nothing is due: nothing happens.
	on n2 -- bootstrap certs renew --output json | jq -e '.changed == 0'
	is "$manager" container_of kube-controller-manager-n2
	on n2 -- bootstrap certs renew --all
	not on n2 -- test -e /etc/kubernetes/super-admin.conf
	on n2 -- grep -q 'client-certificate: /var/lib/kubelet' /etc/kubernetes/kubelet.conf
	# Servers reload the new certificate themselves; the controllers are restarted.
	for port in 6443 2379 2380; do eventually new_certificate n2 $port "${serials[$port]}"; done
	eventually new_container kube-controller-manager-n2 "$manager"
	eventually new_container kube-scheduler-n2 "$scheduler"
	[ "$(container_of kube-apiserver-n2)$(container_of etcd-n2)" = "$kept" ]
	eventually system_pods_ready_on n1 n2
	eventually is 'n1 n2 n3' voters n2
	api n2 get --raw /readyz
	# The turn is released.
	[ -z "$(k -n kube-system get lease roost-renewal -o 'jsonpath={.spec.holderIdentity}')" ]
}
it 'renewed certificates are loaded without a restart of the API server or etcd' renewed_and_loaded

renewal_waits_for_its_turn() {
	k apply --server-side --force-conflicts -f - <<-LEASE
		apiVersion: coordination.k8s.io/v1
		kind: Lease
		metadata: {name: roost-renewal, namespace: kube-system}
		spec: {holderIdentity: n1, leaseDurationSeconds: 600, renewTime: "$(date -u +%Y-%m-%dT%H:%M:%S.000000Z)"}
	LEASE
	local serial
	serial=$(on n3 -- sha256sum /etc/kubernetes/pki/apiserver.crt)
	not on n3 -- timeout 10 bootstrap certs renew --all
	[ "$(on n3 -- sha256sum /etc/kubernetes/pki/apiserver.crt)" = "$serial" ]
	k -n kube-system patch lease roost-renewal --type=merge -p '{"spec":{"holderIdentity":""}}'
	on n3 -- bootstrap certs renew --all
	[ "$(on n3 -- sha256sum /etc/kubernetes/pki/apiserver.crt)" != "$serial" ]
	eventually system_pods_ready_on n1 n3
}
it 'control planes renew one after another' renewal_waits_for_its_turn
