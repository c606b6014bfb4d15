# shellcheck shell=bash
# SIGKILL of `bootstrap` in each phase of init and of join; the repeated command completes.
# These tests come first: they create the cluster for the other faults.

. "$here/share/control-planes.sh"
. "$here/share/load.sh"
. "$here/share/chance.sh"

# killed_in NODE PHASE PAUSE COMMAND...: runs the command on the node and kills it so long after that phase ended. Fails
# if the command does; returns 9 if it was killed.
killed_in() {
	# shellcheck disable=SC2016 # the node's shell expands it
	on "$1" -- bash -c '
		phase=$1 pause=$2
		shift 2
		"$@" >/root/killed.log 2>&1 & pid=$!
		until [ "$phase" = 0 ] || grep -q "^\[$phase/" /root/killed.log || ! kill -0 $pid 2>/dev/null; do sleep 0.01; done
		sleep "$pause"
		kill -9 $pid 2>/dev/null
		wait $pid
		code=$?
		[ $code != 137 ] || exit 9
		[ $code = 0 ] || cat /root/killed.log
		exit $code' bash "${@:2}"
}

# killed_in_each NODE PHASES FUNCTION: the command that the function prints, killed once in each phase, and repeated
# until it completes. A token for control planes gives the keys once, so that each attempt has its own.
# shellcheck disable=SC2046 # a command line
killed_in_each() {
	local node=$1 phases=$2 printed=$3 phase code kills=0
	for phase in $(seq 0 $((phases - 1))); do
		roll 250
		code=0
		killed_in "$node" "$phase" "0.$(printf %03d "$rolled")" $("$printed") || code=$?
		case $code in
		0) ;;
		9) kills=$((kills + 1)) ;;
		*) return 1 ;;
		esac
	done
	# Although it is fast, it was killed in most phases.
	[ "$kills" -ge $((phases / 2)) ]
	on "$node" -- $("$printed")
	on "$node" -- $("$printed") --output json | jq -e '.changed == 0'
}

well() { on "$1" -- bootstrap status; }
joining() { on n1 -- bootstrap token create --print-join-command "$@"; }
joining_control_plane() { joining --control-plane; }
beginning() { echo bootstrap init --config /etc/roost/cluster.toml; }
client_of_n1() { on n1 -- cat /etc/kubernetes/admin.conf >"$state/admin.conf"; }

init_killed() {
	local node
	for node in n3 n2 n1; do on "$node" -- bootstrap reset --yes; done
	killed_in_each n1 14 beginning
	client_of_n1
	k create namespace "$ns"
	eventually node_ready n1 n1
	eventually well n1
	k -n kube-system wait --for=condition=Ready --timeout=180s pod -l tier=control-plane
	is 1 api_servers n1
	k -n kube-system rollout status --timeout=180s deployment/coredns
	pod lives n1 pause
}
it 'init that is killed in each of its phases creates a complete cluster when it is run again' init_killed

join_killed() {
	killed_in_each n3 6 joining
	eventually node_ready n1 n3
	eventually well n3
	pod lives n3 pause
	on n3 -- bootstrap reset --yes
	k delete node n3
}
it 'join of a worker that is killed in each of its phases creates a complete node when it is run again' join_killed

join_control_plane_killed() {
	local node
	killed_in_each n2 17 joining_control_plane
	is 'n1 n2' voters n1
	# shellcheck disable=SC2046 # a command line
	on n3 -- $(joining_control_plane)
	eventually is 'n1 n2 n3' voters n1
	eventually is 3 api_servers n1
	for node in n1 n2 n3; do
		eventually system_pods_ready_on n1 "$node"
		eventually well "$node"
	done
}
it 'join of a control plane that is killed in each of its phases leaves one member and one vote' join_control_plane_killed
