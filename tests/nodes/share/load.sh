# shellcheck shell=bash
# A steady load of API writes, each counted when it is acknowledged. Needs share/control-planes.sh.

control_planes() { k get nodes -l node-role.kubernetes.io/control-plane -o name | cut -d/ -f2; }

# writer SERVER...: creates objects without a pause, through one API server after another, until $log.stop exists.
# Acknowledged ones go to $log.written, failed attempts to $log.errors; a write that two servers refused is in
# $log.lost.
writer() {
	set +e
	local n=0 i server tries servers=("$@")
	while [ ! -e "$log.stop" ]; do
		n=$((n + 1)) tries=0
		for i in "${!servers[@]}"; do
			server=${servers[$(((n + i) % ${#servers[@]}))]}
			if k --server "$server" -n "$ns" create configmap "w-$n" --request-timeout=10s 2>"$log.said"; then
				echo "w-$n" >>"$log.written"
				break
			fi
			# A server that failed after it wrote: the write exists, and was not acknowledged.
			if grep -q "already exists" "$log.said"; then break; fi
			echo "$(date +%T) $server $(head -c 200 "$log.said" | tr '\n' ' ')" >>"$log.errors"
			tries=$((tries + 1))
			if [ "$tries" -ge 2 ]; then echo "w-$n" >>"$log.lost"; fi
		done
	done
}

# load_begins: writes through all current control planes.
load_begins() {
	local name servers=()
	for name in $(control_planes); do servers+=("https://$(cluster ip "$name"):6443"); done
	rm -f "$log".{stop,written,errors,lost}
	touch "$log".{written,errors,lost}
	writer "${servers[@]}" >/dev/null 2>&1 &
	writers=$!
}

written() { wc -l <"$log.written"; }
more_written() { [ "$(written)" -gt "$1" ]; }

# load_goes_on: more writes are acknowledged from now on.
load_goes_on() { eventually more_written $(($(written) + 5)); }

# load_ends: every acknowledged write exists. Sets $acknowledged and $refused (writes that two servers did not accept),
# and $load, which is a text with both.
# shellcheck disable=SC2034 # for the tests
load_ends() {
	touch "$log.stop"
	wait "$writers"
	eventually k -n "$ns" get configmaps -o name
	k -n "$ns" get configmap -o name | sed 's#.*/##' | sort >"$log.there"
	sort "$log.written" >"$log.acknowledged"
	acknowledged=$(wc -l <"$log.acknowledged") refused=$(sort -u "$log.lost" | wc -l)
	load="$acknowledged writes acknowledged, $(wc -l <"$log.errors") attempts failed, $refused writes failed at two servers"
	tail -n 40 "$log.errors"
	# No acknowledged write is lost.
	is '' comm -23 "$log.acknowledged" "$log.there"
	rm -f "$log".{stop,written,errors,lost,said,there,acknowledged}
}
