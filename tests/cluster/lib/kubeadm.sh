# shellcheck shell=bash
# The reference: the same nodes bootstrapped by upstream's kubeadm, with a pod network that the harness sets up. kubeadm
# needs a balancer in front of several API servers and has none: here the first node takes its place.

kubeadm_config() { # kubeadm_config NODE
	cat <<-CONFIG
		apiVersion: kubeadm.k8s.io/v1beta4
		kind: InitConfiguration
		localAPIEndpoint: {advertiseAddress: $(node_address "$1")}
		nodeRegistration: {criSocket: "unix:///run/containerd/containerd.sock"}
		---
		apiVersion: kubeadm.k8s.io/v1beta4
		kind: ClusterConfiguration
		kubernetesVersion: v1.36.3
		controlPlaneEndpoint: $(node_address n1):6443
		networking: {podSubnet: 10.244.0.0/16, serviceSubnet: 10.96.0.0/12}
		---
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		cgroupDriver: systemd
		failCgroupV1: false
		shutdownGracePeriod: 40s
		shutdownGracePeriodCriticalPods: 20s
		maxPods: $MAX_PODS
		resolvConf: /etc/resolv.conf
		# The disk belongs to the whole machine: its usage says nothing about the node.
		imageGCHighThresholdPercent: 100
		evictionHard: {memory.available: 100Mi, nodefs.available: "0%", nodefs.inodesFree: "0%", imagefs.available: "0%"}
		---
		apiVersion: kubeproxy.config.k8s.io/v1alpha1
		kind: KubeProxyConfiguration
		mode: nftables
		conntrack: {maxPerCore: 0} # the table is the whole machine's, not the node's to size
	CONFIG
}

kubeadm_install() { # kubeadm_install NODE
	local root
	root=$(node_root "$1")
	put "$bin/kubeadm" "$root/usr/local/bin/kubeadm"
	put "$bin/kubectl" "$root/usr/local/bin/kubectl"
	cp "$here/node/kubelet.service" "$root/etc/systemd/system/kubelet.service"
	node_enter "$1" systemctl daemon-reload
	node_enter "$1" systemctl enable --quiet kubelet.service
}

kubeadm_bootstrap() {
	local node join
	for node in $(node_names); do kubeadm_install "$node"; done
	if [ ! -f "$(node_root n1)/etc/kubernetes/admin.conf" ]; then
		kubeadm_config n1 >"$(node_root n1)/etc/kubeadm.yaml"
		logged n1 kubeadm init --config /etc/kubeadm.yaml --ignore-preflight-errors=all
		say 'kubeadm init is done'
	fi
	for node in $(node_names); do
		[ ! -f "$(node_root "$node")/etc/kubernetes/kubelet.conf" ] || continue
		join=$(kubeadm_join "$node")
		# shellcheck disable=SC2086 # a command line
		logged "$node" $join
		say "node $node joined"
	done
	for node in $(node_names); do pod_network "$node"; done
}

# kubeadm_join NODE: prints the command that joins the node in its role.
kubeadm_join() {
	local role=
	if is_control_plane "$1"; then
		role="--control-plane --certificate-key $(node_enter n1 kubeadm init phase upload-certs --upload-certs 2>/dev/null | tail -n 1)"
	fi
	echo "$(node_enter n1 kubeadm token create --print-join-command 2>/dev/null) --ignore-preflight-errors=all $role"
}

# pod_network NODE: the CNI configuration of the node, and its routes to the other nodes' pods, also after a reboot.
pod_network() {
	local node=$1 root other range
	root=$(node_root "$node")
	mkdir -p "$root/etc/cni/net.d" "$root/etc/systemd/network/10-host0.network.d"
	for other in $(node_names); do
		wait_until 120 "node $other: its pod CIDR" has_pod_cidr "$other"
		range=$(pod_cidr "$other")
		[ "$other" != "$node" ] || continue
		node_enter "$node" ip route replace "$range" via "$(node_address "$other")"
		printf '[Route]\nDestination=%s\nGateway=%s\n' "$range" "$(node_address "$other")"
	done >"$root/etc/systemd/network/10-host0.network.d/pods.conf"
	cat >"$root/etc/cni/net.d/10-pods.conflist" <<-CONFLIST
		{"cniVersion": "1.0.0", "name": "pods", "plugins": [
		  {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
		   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$(pod_cidr "$node")"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
		  {"type": "portmap", "capabilities": {"portMappings": true}}]}
	CONFLIST
}

pod_cidr() { node_enter n1 kubectl get node "$1" -o 'jsonpath={.spec.podCIDR}'; }
has_pod_cidr() { [ -n "$(pod_cidr "$1")" ]; }
