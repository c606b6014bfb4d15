# shellcheck shell=bash
# Shared by the scenarios. They run in the virtual machine; lines on the console that begin with "test: " are results.
set -uo pipefail
export KUBECONFIG=/etc/kubernetes/admin.conf PATH=/usr/local/bin:$PATH HOME=/root

say() { echo "test: $*"; }
# over WORD: prints the result and switches the machine off.
over() {
	say "$1"
	sync
	systemctl poweroff
}
fail() {
	say "what is wrong: $*"
	bootstrap status
	journalctl -u kubelet -u containerd -u roost-agent -u roost-renewal -n 80 --no-pager
	over failed
	exit 1
}
# within SECONDS COMMAND...: an emulated machine is slow; these are limits, not measures.
within() {
	local limit=$1 from=$SECONDS told=60
	shift
	until "$@" >/dev/null 2>&1; do
		[ $((SECONDS - from)) -lt "$limit" ] || fail "never: $*"
		if [ $((SECONDS - from)) -gt $told ]; then
			say "$told s of waiting: $*"
			journalctl -u kubelet -u roost-renewal -n 20 --no-pager
			told=$((told + 120))
		fi
		sleep 2
	done
}
init() {
	local try
	say "systemd $(systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p'), kernel $(uname -r)"
	[ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ] || fail 'no unified cgroups'
	# It waits four minutes for the API server, which may be too short on an emulated machine; the next run continues.
	for try in 1 2 3 4 5; do
		if bootstrap init --config /etc/roost/cluster.toml; then break; fi
		[ "$try" -lt 5 ] || fail 'bootstrap init'
	done
	say 'bootstrap init is done'
}
# all_ready NUMBER: at least so many pods exist, and all are Ready.
all_ready() {
	kubectl get pods -A -o json | jq -e --argjson least "$1" '[.items[]]
		| length >= $least and all(any(.status.conditions[]; .type == "Ready" and .status == "True"))'
}
