# shellcheck shell=bash
# One bridge and one /24 for each cluster, unique among all clusters of the machine.

# claim: registers this cluster under its name and gives it a free network number.
claim() {
	mkdir -p "$registry"
	exec 8>"$registry/.lock"
	flock 8
	local entry=$registry/$CLUSTER
	if [ -f "$entry/owner" ] && [ "$(cat "$entry/owner")" != "$state" ]; then
		! claim_lives || fail "a cluster named $CLUSTER is already up from $(cat "$entry/owner"); choose another CLUSTER="
		bridge_down # its nodes are gone
		rm -rf "$entry"
	fi
	if [ ! -f "$entry/number" ]; then
		mkdir -p "$entry"
		echo "$state" >"$entry/owner"
		local number
		number=$(($(cksum <<<"$CLUSTER" | cut -d' ' -f1) % 250))
		while grep -qsx "$number" "$registry"/*/number || ip link show "roost-$number" >/dev/null 2>&1; do
			number=$(((number + 1) % 250))
		done
		echo "$number" >"$entry/number"
	fi
	exec 8>&-
}

claim_lives() { # one of the nodes in the cluster's entry runs, whoever started them
	local file node
	for file in "$registry/$CLUSTER"/*.pid; do
		node=${file##*/}
		! node_nspawn "${node%.pid}" >/dev/null || return 0
	done
	return 1
}

unclaim() { rm -rf "${registry:?}/$CLUSTER"; }

is_claimed() { [ "$(cat "$registry/$CLUSTER/owner" 2>/dev/null)" = "$state" ]; }
network_number() { cat "$registry/$CLUSTER/number"; }
bridge_name() { echo "roost-$(network_number)"; }
host_address() { echo "10.200.$(network_number).1"; }
node_address() { echo "10.200.$(network_number).$((10 + ${1#n}))"; }

bridge_up() {
	local bridge
	bridge=$(bridge_name)
	ip link show "$bridge" >/dev/null 2>&1 && return
	ip link add "$bridge" type bridge
	ip address add "$(host_address)/24" dev "$bridge"
	ip link set "$bridge" up
}

# The kernel may keep a port whose namespace was detached: remove the ports first.
bridge_down() {
	local port
	for port in $(ip -o link show master "$(bridge_name)" 2>/dev/null | sed 's/^[0-9]*: \([^:@]*\).*/\1/'); do
		ip link delete "$port" 2>/dev/null || true
	done
	ip link delete "$(bridge_name)" 2>/dev/null || true
}

# inotify_room: warns if the machine's inotify instances are too few; the limit is not changed.
inotify_room() {
	local limit used needed=$((NODES * 20 + CONTROL_PLANES * 10))
	limit=$(cat /proc/sys/fs/inotify/max_user_instances)
	used=$(find /proc/[0-9]*/fd -lname anon_inode:inotify 2>/dev/null | wc -l || true)
	[ $((used + needed)) -le "$limit" ] ||
		say "warning: $used of $limit inotify instances are in use and this cluster takes some $needed; take another cluster down first"
}
