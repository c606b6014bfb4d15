# shellcheck shell=bash
# The lifecycle of one node: create, boot, enter, stop, remove.

node_nspawn() { # the process id of its systemd-nspawn, if that runs
	local pid
	pid=$(cat "$(pid_file "$1")" 2>/dev/null) || return 1
	grep -qsz -- "--machine=$CLUSTER-$1" "/proc/$pid/cmdline" && echo "$pid"
}

node_leader() { # the node's process 1 as the machine numbers it
	local pid children
	pid=$(node_nspawn "$1") || return 1
	read -ra children <"/proc/$pid/task/$pid/children" || true
	[ ${#children[@]} = 1 ] && grep -qsx systemd "/proc/${children[0]}/comm" && echo "${children[0]}"
}

# node_enter NODE COMMAND...: runs a command in the node, in the node's cgroups.
node_enter() {
	local node=$1 leader
	shift
	leader=$(node_leader "$node") || fail "node $node is not running"
	(
		cgroups_enter "$node"
		exec nsenter --target "$leader" --all --wdns=/ env -i \
			PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM="${TERM:-dumb}" \
			KUBECONFIG=/etc/kubernetes/admin.conf "$@"
	)
}

# node_make NODE: creates its folders and identity, once; mounts its root.
node_make() {
	local node=$1 dir root lower other
	dir=$(node_dir "$node") root=$(node_root "$node")
	mkdir -p "$dir"/{upper,work,root,containerd,kubelet,etcd} "$state/archives"
	if ! mountpoint -q "$root"; then
		[ -f "$dir/lower" ] || { lower=$("$here/node/image" "$RUNTIME") && echo "$lower" >"$dir/lower"; }
		mount -t overlay "roost-$CLUSTER-$node" -o "lowerdir=$(cat "$dir/lower"),upperdir=$dir/upper,workdir=$dir/work" "$root"
	fi
	[ ! -f "$root/etc/machine-id" ] || return 0
	mkdir -p "$root"/var/lib/{containerd,kubelet,etcd}
	chmod 0700 "$dir/etcd"
	seed_node "$node"
	echo "$node" >"$root/etc/hostname"
	{
		echo '127.0.0.1 localhost'
		for other in $(node_names); do echo "$(node_address "$other") $other"; done
	} >"$root/etc/hosts"
	# A name server at a non-loopback address without a listener: lookups of outside names fail immediately.
	echo "nameserver $(host_address)" >"$root/etc/resolv.conf"
	cat >"$root/etc/systemd/network/10-host0.network" <<-NETWORK
		[Match]
		Name=host0
		[Network]
		Address=$(node_address "$node")/24
		Gateway=$(host_address)
		LinkLocalAddressing=no
		IPForward=ipv4
	NETWORK
	[ "$OS" = debian ] || nixos_make "$node"
	tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
}

node_boot() {
	local node=$1 dir root more=()
	dir=$(node_dir "$node") root=$(node_root "$node")
	[ "$OS" = debian ] || more=(--bind-ro="$dir/nix:/nix" --setenv=SYSTEMD_UNIT_PATH=/etc/systemd/system:/etc/systemd-mutable/system:)
	! node_nspawn "$node" >/dev/null || return 0
	node_make "$node"
	cgroups_create "$node"
	(
		cgroups_enter "$node"
		close_other_files
		exec setsid systemd-nspawn --quiet --directory="$root" --machine="$CLUSTER-$node" --hostname="$node" \
			--register=no --keep-unit --link-journal=no --resolv-conf=off --timezone=off --console=read-only \
			--kill-signal=SIGRTMIN+3 --network-bridge="$(bridge_name)" \
			--capability=all --system-call-filter='add_key keyctl bpf' \
			--bind="$dir/containerd:/var/lib/containerd" --bind="$dir/kubelet:/var/lib/kubelet" --bind="$dir/etcd:/var/lib/etcd" \
			--bind-ro="$state/archives:/var/lib/roost/archives" "${more[@]}" \
			/usr/local/sbin/node-init
	) </dev/null >"$dir/console.log" 2>&1 &
	echo $! >"$(pid_file "$node")"
	disown
	wait_until 60 "node $node: containerd" node_answers "$node"
}

# close_other_files: a node must not inherit open files of its starter, for example a lock.
close_other_files() {
	local fd
	for fd in /proc/"$BASHPID"/fd/*; do
		fd=${fd##*/}
		if [ "$fd" -gt 2 ] && [ "$fd" -lt 255 ]; then eval "exec $fd>&-"; fi
	done
}

node_answers() { node_enter "$1" systemctl is-active --quiet containerd.service; }
node_is_down() { ! node_nspawn "$1"; }

# node_stop NODE: an orderly power-off, as by the power button.
node_stop() {
	local node=$1 leader
	leader=$(node_leader "$node") || { node_kill "$node"; return 0; }
	kill -s RTMIN+4 "$leader"
	wait_until 120 "node $node: power-off" node_is_down "$node"
	node_kill "$node"
}

# node_kill NODE: a power cut.
node_kill() {
	local node=$1 pid leader
	if pid=$(node_nspawn "$node"); then
		if leader=$(node_leader "$node"); then kill -KILL "$leader" 2>/dev/null || true; fi
		kill -KILL "$pid" 2>/dev/null || true
		wait_until 30 "node $node: end of its nspawn" node_is_down "$node"
	fi
	# Its network may outlive it for a while, and would keep the next boot from creating it.
	ip link delete "vb-$CLUSTER-$node" 2>/dev/null || true
	cgroups_remove "$node"
	rm -f "$(pid_file "$node")"
}

# node_remove NODE: removes the node and all its files.
node_remove() {
	local node=$1 root
	node_kill "$node"
	for root in "$(node_root "$node")" "$(node_dir "$node")"; do # a node may have a disk of its own
		while mountpoint -q "$root" 2>/dev/null; do umount -R "$root" 2>/dev/null || umount -R -l "$root"; done
	done
	rm -rf "$(node_dir "$node")"
}
