# shellcheck shell=bash
# Floods of connections and of tokens: authorized clients still get through.

# flood NODE UID ADDRESS PORT: 1100 silent connections from that node by that uid, for the duration of the test.
flood() {
	on "$1" -- setpriv --reuid "$2" --clear-groups bash -c '
		ulimit -n 4096
		for _ in $(seq 1100); do exec {fd}<>"/dev/tcp/$0/$1" || true; done
		echo flooding
		sleep 120
	' "$3" "$4" >"$log.flood" 2>/dev/null &
	eventually grep -q flooding "$log.flood"
}

# stop_flood NODE UID
stop_flood() {
	on "$1" -- pkill -u "$2" -f /dev/tcp/ || true
	rm -f "$log.flood"
}

# flood_tls ADDRESS PORT: 1100 TLS sessions from here, without a credential and silent, for the duration of the test.
# Ten handshakes at a time; refused and closed connections are not an error here.
flood_tls() {
	python3 - "$1" "$2" >"$log.flood" <<-'PYTHON' &
		import concurrent.futures, resource, socket, ssl, sys, time
		resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
		context = ssl._create_unverified_context()
		def session(_):
		    try:
		        return context.wrap_socket(socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=10))
		    except OSError:
		        return None
		with concurrent.futures.ThreadPoolExecutor(10) as pool:
		    sessions = list(pool.map(session, range(1100)))
		print("flooding with", sum(one is not None for one in sessions), flush=True)
		time.sleep(120)
	PYTHON
	flood_tls=$!
	eventually grep -q flooding "$log.flood"
	cat "$log.flood"
}

sessions_without_credentials() {
	local node=${nodes[-1]} flood_tls
	pod listener "$node" netexec
	flood_tls "$(cluster ip "$node")" 10250
	for _ in 1 2 3; do
		is hello timeout 20 "$state/bin/kubectl" --kubeconfig "$state/admin.conf" -n "$ns" exec listener -- echo hello
		timeout 20 "$state/bin/kubectl" --kubeconfig "$state/admin.conf" -n "$ns" logs listener --tail=1 >/dev/null
	done
	kill -0 "$flood_tls" # it ran all the time
	kill "$flood_tls"
}
it '1100 idle TLS sessions without credentials do not block logs and exec' sessions_without_credentials

connections_without_credentials() {
	local node=${nodes[0]} address
	address=$(cluster ip "$node")
	pod talker "$node" netexec
	kn logs -f talker >"$log.stream" &
	flood "${nodes[-1]}" 65534 "$address" 10250
	for _ in 1 2 3; do
		is hello timeout 30 "$state/bin/kubectl" --kubeconfig "$state/admin.conf" -n "$ns" exec talker -- echo hello
		timeout 30 "$state/bin/kubectl" --kubeconfig "$state/admin.conf" -n "$ns" logs talker --tail=1 >/dev/null
	done
	jobs -r | matches 'logs -f' # the stream that was open before continues
	stop_flood "${nodes[-1]}" 65534
}
it '1100 idle connections without credentials do not block logs and exec' connections_without_credentials

token_reviews() {
	k get --raw /metrics | awk '/^apiserver_request_total/ && /resource="tokenreviews"/ { n += $NF } END { print n + 0 }'
}

random_tokens() {
	local address before after
	address=$(cluster ip "${nodes[-1]}")
	before=$(token_reviews)
	for n in $(seq 300); do
		curl -skm 10 -o /dev/null -H "Authorization: Bearer random-$n-$RANDOM" "https://$address:10250/metrics" || true
	done
	after=$(token_reviews)
	echo "reviews: $((after - before))"
	# The API server's own counters may lag, and others send reviews too; each token once would be 300.
	[ $((after - before)) -lt 150 ]
	k get --raw "/api/v1/nodes/${nodes[-1]}/proxy/metrics" | matches '^kubelet_'
}
[ "${KUBELET:-ours}" != ours ] || it '300 random tokens cost the API server few reviews' random_tokens

balancer_flood() {
	local node=${nodes[-1]}
	flood "$node" 65534 127.0.0.1 6444
	beats "$node"
	beats "$node"
	pod newcomer "$node" pause # the kubelet receives pods, and reports them
	stop_flood "$node" 65534
}
[ "${BOOTSTRAP:-ours}" != ours ] || it 'a uid that floods the balancer of a node does not cut its kubelet off' balancer_flood
