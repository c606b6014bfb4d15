# shellcheck shell=bash
# The kubelet and containerd are killed at random moments while pods are created and deleted. CHAOS_SECONDS=60 bounds
# each test.

. "$here/share/chance.sh"

victim=${nodes[-1]}
on_victim() { on "$victim" -- sh -c "$1"; }

# run NAME KIND COMMAND: a pod that records each start of its container in /root/runs of the node.
run() {
	cat <<-POD
		apiVersion: v1
		kind: Pod
		metadata: {name: $1, labels: {kind: $2}}
		spec:
		  nodeName: $victim
		  restartPolicy: Never
		  terminationGracePeriodSeconds: 2
		  tolerations: [{operator: Exists}]
		  containers:
		  - name: main
		    image: $busybox
		    command: [sh, -c, 'echo started >>/runs/$1; $3']
		    volumeMounts: [{name: runs, mountPath: /runs}, {name: scratch, mountPath: /scratch}]
		  volumes:
		  - {name: runs, hostPath: {path: /root/runs, type: DirectoryOrCreate}}
		  - {name: scratch, emptyDir: {medium: Memory}}
		---
	POD
}

# comings_and_goings: each second one pod that stays, and one that exits with its own code; the older ones are deleted.
comings_and_goings() {
	set +e
	local n=0
	while [ ! -e "$log.stop" ]; do
		n=$((n + 1))
		{ run "stays-$n" stays 'trap "exit 0" TERM; sleep 3600 & wait' && run "ends-$n" ends "sleep 1; exit $((n % 100 + 1))"; } | kn apply -f -
		[ "$n" -le 4 ] || kn delete pod "stays-$((n - 4))" --wait=false
		sleep 1
	done
	echo "$n" >"$log.count"
}

# watch_victim: records the Ready condition and every restart count, as a client sees them.
watch_victim() {
	set +e
	while [ ! -e "$log.stop" ]; do
		k get node "$victim" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}{"\n"}' >>"$log.ready"
		kn get pods -o json | jq -r '.items[] | .metadata.uid as $uid | .status.containerStatuses[]? | "\($uid) \(.restartCount)"' >>"$log.restarts"
		kn get pods -o json | jq -r '.items[].metadata.uid' >>"$log.uids"
		sleep 1
	done
}

gone() { [ -z "$(kn get pods -o name)" ]; }
all_ended() { [ "$(kn get pods -l kind=ends -o json | jq '[.items[] | select(.status.phase == "Failed")] | length')" = "$1" ]; }

# traces: what the node still has of the pods in $log.uids: folders, mounts, cgroups, logs.
traces() {
	sort -u "$log.uids" | on "$victim" -- sh -c 'while read -r uid; do
			ls -d /var/lib/kubelet/pods/$uid 2>/dev/null
			grep -F "$uid" /proc/mounts
			find /sys/fs/cgroup -type d -name "*pod$(echo "$uid" | tr - _)*"
		done
		ls -d /var/log/pods/'"$ns"'_* 2>/dev/null
		true'
}
no_traces() { [ -z "$(traces)" ]; }

# killed PROCESS...: kills them at random moments; nothing is lost.
killed() {
	local begin=$SECONDS rounds=0 working watching count n told again called_off
	rm -f "$log".{ready,restarts,count,uids,stop}
	on_victim 'rm -rf /root/runs'
	comings_and_goings >"$log.applied" 2>&1 &
	working=$!
	watch_victim >/dev/null 2>&1 &
	watching=$!
	while [ $((SECONDS - begin)) -lt "${CHAOS_SECONDS:-60}" ]; do
		roll 60
		sleep "$((rolled / 10)).$((rolled % 10))"
		pick "$@"
		echo "$((SECONDS - begin)) s: $picked"
		on "$victim" -- systemctl kill --signal=KILL --kill-whom=main "$picked.service" || echo "it is just starting"
		rounds=$((rounds + 1))
	done
	touch "$log.stop"
	wait $working $watching
	count=$(cat "$log.count")
	tail -n 3 "$log.applied"
	eventually on "$victim" -- systemctl is-active kubelet.service containerd.service
	# Every pod that was to exit has exited, with its own code.
	eventually all_ended "$count" || { kn get pods -l kind=ends -o wide | grep -v Error && return 1; }
	kn get pods -l kind=ends -o json >"$log.pods"
	for n in $(seq "$count"); do
		told=$(jq -r --arg name "ends-$n" '.items[] | select(.metadata.name == $name) | .status.containerStatuses[0].state.terminated | "\(.exitCode) \(.reason)"' "$log.pods")
		case "$told $*" in
		"$((n % 100 + 1)) Error "*) ;;
		# containerd itself forgets the exit code of a container that it was just starting when it was killed.
		'255 Unknown '*containerd*) echo "ends-$n tells: $told" ;;
		*) echo "ends-$n tells: $told" && return 1 ;;
		esac
	done
	# A start that is cancelled by the death of its caller is repeated; the process may have run for a moment.
	again=$(on_victim 'cd /root/runs; grep -c . *' | awk -F: '{ sum += $2 - 1 } END { print sum + 0 }')
	called_off=$(on_victim "journalctl -u containerd --no-pager | grep -c 'StartContainer for .* failed' || true")
	echo "$again starts again after $called_off that were called off"
	[ "$again" -le "$called_off" ]
	# A container whose start was cancelled is replaced by the next one, which counts as a restart (as upstream does); on a
	# busy machine that happens to one pod more than once.
	counted=$(kn get pods -o json | jq '[.items[].status.containerStatuses[0].restartCount] | add')
	echo "$counted counted as restarts"
	[ "$counted" -le "$called_off" ]
	# The node was Ready all the time, and no count decreased.
	is True sort -u "$log.ready"
	awk '$2 < last[$1] { print "went back:", $0; bad = 1 } { last[$1] = $2 } END { exit bad }' "$log.restarts"
	# When all pods are gone, nothing of them is left.
	kn delete pods --all --wait=false
	eventually gone
	traces
	eventually no_traces
	echo "      $(printf '%s\n' "$@" | sort -u | xargs) killed $rounds times while $((2 * count)) pods came and went" >>"$state/figures"
	rm -f "$log".{ready,restarts,count,uids,pods,applied}
}
kubelet_killed() { killed kubelet; }
it 'kill -9 of the kubelet at random moments loses nothing and leaves nothing' kubelet_killed

kubelet_and_runtime_killed() { killed kubelet kubelet containerd; }
it 'kill -9 of kubelet and containerd at random moments loses no pod and leaves nothing' kubelet_and_runtime_killed
