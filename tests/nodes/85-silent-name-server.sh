# shellcheck shell=bash
# A name server that drops every query, on a node whose own name is in no file: the kubelet has one thread.
# shellcheck disable=SC2317,SC2329 # functions are called by name, and at the end

# silence NODE: from now on every lookup of a name there hangs for minutes.
silence() {
	on "$1" -- sh -ec '
		for file in hosts resolv.conf nsswitch.conf; do
			[ ! -e /etc/$file ] || [ -e /etc/$file.before ] || cp -P /etc/$file /etc/$file.before
		done
		# Overwritten, not renamed: pods and containerd may have the files open.
		sed "/[[:space:]]$0\([[:space:]]\|$\)/d" /etc/hosts.before >/etc/hosts
		printf "nameserver 192.0.2.53\noptions timeout:30 attempts:5\n" >/etc/resolv.conf
		echo "hosts: files dns" >/etc/nsswitch.conf
		# Dropped on input: a query that is dropped on output returns an error to its sender, which gives up at once.
		ip address replace 192.0.2.53/32 dev lo
		nft -f - <<-RULES
			table inet silence {}
			flush table inet silence
			table inet silence {
				chain in {
					type filter hook input priority 0
					ip daddr 192.0.2.53 drop
				}
			}
		RULES
	' "$1"
	# Check the setup: the query hangs, and does not merely fail.
	is 124 on "$1" -- sh -c "timeout 3 getent ahosts $1; echo \$?"
}

# speak NODE: reverts it.
speak() {
	on "$1" -- sh -c '
		for file in hosts resolv.conf nsswitch.conf; do
			if [ -e /etc/$file.before ]; then cat /etc/$file.before >/etc/$file; rm /etc/$file.before; fi
		done
		nft delete table inet silence 2>/dev/null
		ip address delete 192.0.2.53/32 dev lo 2>/dev/null
		rm -rf /run/systemd/system/kubelet.service.d
		systemctl daemon-reload
		systemctl restart kubelet
	'
}

lease() { k -n kube-node-lease get lease "$1" -o 'jsonpath={.spec.renewTime}'; }
renewed() { [ "$(lease "$1")" != "$2" ]; }
condition() { k get node "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'; }
starts() { on "$1" -- systemctl show kubelet -p NRestarts -p ExecMainPID; }
not_ready_pods() {
	k get pods -A -o json --field-selector "spec.nodeName=$1" | jq -r '.items[] |
		select(.metadata.name != "asks") | select(any(.status.conditions[]?;
			.type == "Ready" and .status != "True" and .reason != "PodCompleted")) | .metadata.name'
}

# goes_on NODE: the lease is renewed six times, which takes more than a minute and longer than the watchdog's timeout;
# node and pods are Ready each time.
goes_on() {
	local last
	for _ in 1 2 3 4 5 6; do
		last=$(lease "$1")
		eventually renewed "$1" "$last"
		[ "$(condition "$1")" = True ]
		[ -z "$(not_ready_pods "$1")" ]
	done
}

silent_name_server_stops_nothing() {
	local node=${nodes[-1]} before
	pod web "$node" netexec --http-port=8080
	kn apply -f - <<-POD
		apiVersion: v1
		kind: Pod
		metadata: {name: probed}
		spec:
		  nodeName: $node
		  tolerations: [{operator: Exists}]
		  terminationGracePeriodSeconds: 1
		  containers:
		  - name: main
		    image: $agnhost
		    args: [netexec, --http-port=8080]
		    readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
	POD
	ready pod/probed
	# Pods that probe a host by name: their lookups hang, without affecting others.
	kn apply -f - <<-POD
		apiVersion: v1
		kind: Pod
		metadata: {name: asks}
		spec:
		  nodeName: $node
		  tolerations: [{operator: Exists}]
		  terminationGracePeriodSeconds: 1
		  containers:
		  - name: main
		    image: $agnhost
		    args: [pause]
		    startupProbe: {tcpSocket: {host: nobody.example, port: 80}, periodSeconds: 1, failureThreshold: 1000}
	POD
	# expanded now, used at the end
	trap "code=\$?; speak $node; finish \$code" EXIT
	before=$(starts "$node")
	silence "$node"
	goes_on "$node"
	[ "$(starts "$node")" = "$before" ]
	kn exec web -- true
	kn logs probed >/dev/null

	# Without --node-ip the name has to be looked up: then the address of the default route is used.
	on "$node" -- sh -ec '
		mkdir -p /run/systemd/system/kubelet.service.d
		{ echo "[Service]"; echo ExecStart=; systemctl cat kubelet | sed -n "/^ExecStart=\\//,/[^\\\\]\$/p" | grep -v -e --node-ip=; } \
			>/run/systemd/system/kubelet.service.d/50-no-address.conf
		systemctl daemon-reload
		systemctl restart kubelet
	'
	before=$(starts "$node")
	goes_on "$node"
	[ "$(starts "$node")" = "$before" ]
	pod late "$node" pause
}
[ "${KUBELET:-ours}" != ours ] || it 'a name server that swallows questions stops no lease, no probe and no pod' silent_name_server_stops_nothing
