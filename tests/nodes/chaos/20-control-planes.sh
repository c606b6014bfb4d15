# shellcheck shell=bash
# Three control planes under a steady load of writes, while processes, machines and links between them fail.

. "$here/share/control-planes.sh"
. "$here/share/load.sh"
. "$here/share/chance.sh"

processes_killed() {
	local round
	load_begins
	for round in $(seq 8); do
		pick "${three[@]}"
		local node=$picked
		pick etcd kube-apiserver kubelet containerd kube-controller kube-scheduler roost-agent
		echo "round $round: $picked of $node"
		case $picked in
		roost-agent | kubelet | containerd) on "$node" -- systemctl kill --signal=KILL --kill-whom=main "$picked.service" ;;
		*) on "$node" -- pkill -KILL "^$picked" || echo 'it was not there' ;;
		esac
		roll 30
		sleep "$((rolled / 10)).$((rolled % 10))"
	done
	load_goes_on
	whole
	load_ends
	note "      processes killed: $load"
	[ "$acknowledged" -gt 20 ]
}
it 'killed processes of control planes cost no acknowledged write' processes_killed

machines_lost() {
	local node
	load_begins
	shuffle "${three[@]}"
	for node in "${shuffled[@]}"; do
		roll 2
		if [ "$rolled" = 0 ]; then
			echo "power cut of $node"
			cluster kill "$node"
			load_goes_on
			cluster start "$node"
		else
			echo "reboot of $node"
			cluster reboot "$node"
		fi
		load_goes_on
		whole
	done
	load_ends
	note "      machines lost one by one: $load"
	[ "$acknowledged" -gt 50 ]
}
it 'a power cut or a reboot of any control plane costs no acknowledged write' machines_lost

quorum_lost_for_a_while() {
	local before
	load_begins
	load_goes_on
	shuffle "${three[@]}"
	cluster kill "${shuffled[0]}"
	cluster kill "${shuffled[1]}"
	sleep 3 # requests in flight have completed after that
	before=$(written)
	sleep 12
	# No write is acknowledged that only one member has.
	[ "$(written)" = "$before" ]
	not on "${shuffled[2]}" -- bootstrap etcd health
	cluster start "${shuffled[1]}"
	load_goes_on
	cluster start "${shuffled[0]}"
	whole
	load_ends
	note "      two of three gone and back: $load"
}
it 'with two of three down nothing is acknowledged, and no acknowledged write is lost' quorum_lost_for_a_while

# sever NODE OTHER...: no packet passes between the node and the others, by firewall rules on the node itself.
sever() {
	local node=$1 other list=
	shift
	for other in "$@"; do list+="${list:+, }$(cluster ip "$other")"; done
	on "$node" -- nft "add table ip chaos; add chain ip chaos in { type filter hook input priority -300; }
		add chain ip chaos out { type filter hook output priority -300; }
		add chain ip chaos over { type filter hook forward priority -300; }
		add rule ip chaos in ip saddr { $list } drop; add rule ip chaos out ip daddr { $list } drop
		add rule ip chaos over ip saddr { $list } drop; add rule ip chaos over ip daddr { $list } drop"
}
heal() { on "$1" -- nft delete table ip chaos; }

leader() { on "$1" -- sh -c 'bootstrap etcd health --output json || true' | jq -r '.members[] | select(.healthy and .id == .leader) | .name'; }

partitioned() {
	local alone
	load_begins
	# The leader is cut off from both others.
	alone=$(leader n1)
	[ -n "$alone" ]
	mapfile -t others < <(printf '%s\n' "${three[@]}" | grep -vx "$alone")
	echo "alone: $alone"
	sever "$alone" "${others[@]}"
	load_goes_on
	beats "${others[0]}" "${others[1]}"
	not on "$alone" -- bootstrap etcd health
	heal "$alone"
	whole
	# Two cannot reach each other, and both reach the third.
	shuffle "${three[@]}"
	echo "between ${shuffled[0]} and ${shuffled[1]}"
	sever "${shuffled[0]}" "${shuffled[1]}"
	load_goes_on
	sleep 10
	load_goes_on
	heal "${shuffled[0]}"
	whole
	load_ends
	note "      partitions: $load"
}
it 'a partition costs no acknowledged write, and the isolated node recovers' partitioned
