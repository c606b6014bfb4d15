# shellcheck shell=bash
# The cluster as a user creates it: `bootstrap init` on the first node, `bootstrap join` on the others.

roost_config() {
	cat <<-CONFIG
		mode = "$MODE"

		[cluster]
		kubernetes_version = "$KUBERNETES"

		[components]
		source = "$SOURCE"
	CONFIG
	case $SOURCE in
	archive) echo 'archives = ["/var/lib/roost/archives"]' ;;
	host)
		printf '\n[components.binaries]\n'
		printf '%s\n' pause etcd kube-apiserver kube-controller-manager kube-scheduler kube-proxy coredns | sed 's#.*#& = "/usr/local/bin/&"#'
		;;
	esac
	cat <<-CONFIG

		[node]
		host_programs = ["/usr/local/bin"]

		# The machine has cgroup v1, and its disk and connection table are not the node's to evaluate or size.
		[kubelet]
		failCgroupV1 = false
		shutdownGracePeriod = "40s"
		shutdownGracePeriodCriticalPods = "20s"
		maxPods = $MAX_PODS
		imageGCHighThresholdPercent = 100
		evictionHard = { "memory.available" = "100Mi", "nodefs.available" = "0%", "nodefs.inodesFree" = "0%", "imagefs.available" = "0%" }

		[kube_proxy]
		conntrack = { maxPerCore = 0 }
	CONFIG
}

roost_bootstrap() {
	local node join
	for node in $(node_names); do
		mkdir -p "$(node_root "$node")/etc/roost"
		roost_config >"$(node_root "$node")/etc/roost/cluster.toml"
	done
	logged n1 bootstrap init --config /etc/roost/cluster.toml
	say 'bootstrap init is done'
	for node in $(node_names); do
		if [ "$node" = n1 ] || [ -f "$(node_dir "$node")/joined" ]; then continue; fi
		join=$(roost_join "$node")
		# shellcheck disable=SC2086 # a command line
		logged "$node" $join
		touch "$(node_dir "$node")/joined"
		say "node $node joined"
	done
}

# roost_join NODE: prints the command that joins the node in its role.
roost_join() {
	local role=()
	if is_control_plane "$1"; then role=(--control-plane); fi
	node_enter n1 bootstrap token create --print-join-command "${role[@]}"
}
