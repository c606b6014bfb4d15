# shellcheck shell=bash
# What users do with kubectl, through the API server and the kubelet's own server.

logs_are_shown() {
	kn run talker --image="$busybox" -- sh -c 'seq 20; exec sleep 600'
	eventually eval 'kn logs talker | matches -x 20'
	[ "$(kn logs talker --tail=1)" = 20 ]
	[ "$(kn logs talker)" = "$(seq 20)" ]
	kn logs talker --timestamps --limit-bytes=40 | grep "^20..-"
}
it 'kubectl logs shows all lines, the last line, and times' logs_are_shown

logs_follow_to_the_end() {
	kn run counter --image="$busybox" --restart=Never -- sh -c 'for i in 1 2 3; do echo $i; sleep 1; done'
	eventually kn logs counter
	[ "$(timeout 60 "$state/bin/kubectl" --kubeconfig "$state/admin.conf" -n "$ns" logs -f counter | tr -d '\n')" = 123 ]
}
it 'kubectl logs --follow ends when the container exits, and loses no line' logs_follow_to_the_end

exec_passes_streams_and_exit_code() {
	pod target "${nodes[-1]}" pause
	[ "$(echo hello | kn exec -i target -- tr a-z A-Z)" = HELLO ]
	[ "$(kn exec target -- sh -c 'echo out; echo err >&2' 2>/dev/null)" = out ]
	local code=0
	kn exec target -- sh -c 'exit 7' || code=$?
	[ "$code" = 7 ]
	[ "$(head -c 3000000 /dev/zero | kn exec -i target -- wc -c)" = 3000000 ]
}
it 'kubectl exec passes input, output, errors and the exit code' exec_passes_streams_and_exit_code

attach_sees_output() {
	kn run echoer --image="$busybox" --restart=Never --stdin --attach=false -- sh -c 'read line; echo "got $line"'
	ready pod/echoer
	echo word | timeout 60 "$state/bin/kubectl" --kubeconfig "$state/admin.conf" -n "$ns" attach -i echoer || true
	eventually is 'got word' kn logs echoer
}
it 'kubectl attach feeds the input of a container' attach_sees_output

port_forward_carries_requests() {
	pod web "${nodes[-1]}" netexec --http-port=8080
	eventually kn exec web -- curl -sfm 3 http://127.0.0.1:8080/hostname
	local port=$((20000 + RANDOM % 10000)) forward
	"$state/bin/kubectl" --kubeconfig "$state/admin.conf" -n "$ns" port-forward pod/web "$port:8080" &
	forward=$!
	eventually curl -sfm 3 "http://127.0.0.1:$port/hostname"
	local got code=0
	got=$(for _ in 1 2 3; do curl -sfm 5 "http://127.0.0.1:$port/hostname"; done) || code=$?
	kill "$forward"
	[ "$code" = 0 ] && [ "$got" = webwebweb ]
}
it 'kubectl port-forward carries several requests' port_forward_carries_requests

cp_goes_both_ways() {
	pod target "${nodes[-1]}" pause
	local dir
	dir=$(mktemp -d)
	head -c 500000 /dev/urandom >"$dir/there"
	kn cp "$dir/there" target:/tmp/file
	kn cp target:/tmp/file "$dir/back"
	cmp "$dir/there" "$dir/back"
	rm -rf "$dir"
}
it 'kubectl cp copies a file in and out unchanged' cp_goes_both_ways

describe_tells_the_events() {
	kn apply -f - <<-POD
		apiVersion: v1
		kind: Pod
		metadata: {name: target}
		spec:
		  containers: [{name: main, image: $agnhost, args: [pause]}]
	POD
	ready pod/target
	eventually eval 'kn describe pod target | matches "Started .*kubelet"'
	kn describe pod target | matches 'Status: *Running'
	k describe node "${nodes[-1]}" | matches "Kubelet Version: *v1.36"
}
it 'kubectl describe shows what the kubelet did' describe_tells_the_events

delete_waits_for_the_grace_period() {
	kn apply -f - <<-POD
		apiVersion: v1
		kind: Pod
		metadata: {name: slow}
		spec:
		  terminationGracePeriodSeconds: 60
		  volumes: [{name: out, hostPath: {path: /var/tmp/$ns, type: DirectoryOrCreate}}]
		  nodeName: ${nodes[-1]}
		  containers:
		  - name: main
		    image: $busybox
		    command: [sh, -c, 'trap "sleep 1; echo ended > /out/end; exit 0" TERM; echo up; while :; do sleep 0.1; done']
		    volumeMounts: [{name: out, mountPath: /out}]
	POD
	ready pod/slow
	eventually is up kn logs slow
	kn delete pod slow --timeout=120s
	[ "$(on "${nodes[-1]}" -- cat "/var/tmp/$ns/end")" = ended ]
}
it 'kubectl delete lets a container exit on its own first' delete_waits_for_the_grace_period

top_of_the_kubelet_is_reachable() {
	local node
	for node in "${nodes[@]}"; do
		[ "$(k get --raw "/api/v1/nodes/$node/proxy/healthz")" = ok ]
		k get --raw "/api/v1/nodes/$node/proxy/stats/summary" | jq -e --arg node "$node" '.node.nodeName == $node'
		k get --raw "/api/v1/nodes/$node/proxy/pods" | jq -e '.items | length > 0'
	done
}
it 'health, stats and pods of every kubelet are reachable through the API server' top_of_the_kubelet_is_reachable
