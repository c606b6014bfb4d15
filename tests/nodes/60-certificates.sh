# shellcheck shell=bash
# Certificates of the kubelet.

# short_lived NODE: a client certificate of the node with five minutes left of an hour, signed by the cluster's CA.
short_lived() {
	on "$1" -- sh -euc '
		dir=/var/lib/kubelet/pki/short
		rm -rf $dir && mkdir -p $dir && cd $dir
		cat >config <<-CONFIG
			[ca]
			default_ca = d
			[d]
			database = $dir/index
			new_certs_dir = $dir
			serial = $dir/serial
			private_key = /etc/kubernetes/pki/ca.key
			certificate = /etc/kubernetes/pki/ca.crt
			default_md = sha256
			policy = p
			x509_extensions = e
			[p]
			organizationName = supplied
			commonName = supplied
			[e]
			keyUsage = digitalSignature
			extendedKeyUsage = clientAuth
		CONFIG
		: >index
		echo 77 >serial
		openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out csr.pem -subj "/O=system:nodes/CN=system:node:$0"
		openssl ca -batch -notext -config config -in csr.pem -out cert.pem \
			-startdate "$(date -u -d -55min +%Y%m%d%H%M%SZ)" -enddate "$(date -u -d +5min +%Y%m%d%H%M%SZ)"
	' "$1"
}

client_certificate_is_renewed() {
	local node=${nodes[0]} user conf=$log.conf
	short_lived "$node"
	on "$node" -- cat /etc/kubernetes/kubelet.conf >"$conf"
	config() { "$state/bin/kubectl" --kubeconfig "$conf" config "$@"; }
	user=$(config view -o 'jsonpath={.contexts[0].context.user}')
	config unset "users"
	config set-credentials "$user" --client-certificate=/var/lib/kubelet/pki/short/cert.pem --client-key=/var/lib/kubelet/pki/short/key.pem
	cluster copy "$node" "$conf" /etc/kubernetes/kubelet.conf
	rm "$conf"
	on "$node" -- rm -f /var/lib/kubelet/pki/kubelet-client-current.pem
	on "$node" -- systemctl restart kubelet
	eventually on "$node" -- openssl x509 -noout -checkend 86400 -in /var/lib/kubelet/pki/kubelet-client-current.pem
	eventually on "$node" -- grep -q kubelet-client-current.pem /etc/kubernetes/kubelet.conf
	on "$node" -- rm -r /var/lib/kubelet/pki/short # nothing reads it any more
	beats "$node"
	on "$node" -- systemctl restart kubelet
	beats "$node"
}
[ "${KUBELET:-ours}" != ours ] || it 'a client certificate near its end is renewed, and the new one is used' client_certificate_is_renewed
