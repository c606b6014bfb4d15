# shellcheck shell=bash
# shellcheck disable=SC2016,SC2154 # for the shells of the nodes; run sets nodes, ns and log
# The hardening of a new cluster on real nodes; units still do their work within their sandbox.

failing() { first bootstrap verify --cis --output json | jq -r '.controls[] | select(.ours == "fail") | "\(.id) \(.why)"'; }

controls_are_kept() {
	is '' failing
	# Prove that the check can fail.
	first chmod 644 /var/lib/kubelet/config.yaml
	is '4.1.9 /var/lib/kubelet/config.yaml 0644' failing
	not first bootstrap verify --cis
	first chmod 600 /var/lib/kubelet/config.yaml
}
it 'a new control plane passes the controls of the CIS benchmark except for stated reasons, and verify finds one that fails' controls_are_kept

audited() { first sh -c "grep -h '\"name\":\"$1\"' /var/log/kubernetes/audit/audit*.log | grep -q '\"verb\":\"create\"'"; }

actions_are_logged() {
	kn create secret generic told --from-literal=key=a-secret-value
	eventually audited told
	not first sh -c "grep -rq -e a-secret-value -e $(printf a-secret-value | base64) /var/log/kubernetes/audit"
	if first grep -q 'policy = "/etc/roost/audit.yaml"' /etc/roost/cluster.toml; then
		echo 'the test of changed settings ran before: the policy is a user'"'"'s'
	else
		not first sh -c "grep -h '\"resource\":\"leases\"' /var/log/kubernetes/audit/audit.log | grep -q kube-node-lease"
	fi
	is 600 first stat -c %a /var/log/kubernetes/audit/audit.log
}
it 'the audit log shows who created a Secret, but not its content' actions_are_logged

external_addresses_are_refused() {
	local service='{"apiVersion":"v1","kind":"Service","metadata":{"name":"takes-over"},"spec":{"ports":[{"port":80}],"externalIPs":["198.51.100.1"]}}'
	not kn create -f - <<<"$service" 2>"$log.said"
	grep -qi 'external IP' "$log.said"
	rm "$log.said"
	not kn get service takes-over
}
it 'a Service cannot take over an address' external_addresses_are_refused

pods_are_confined() {
	pod plain "${nodes[0]}" pause
	is 2 kn exec plain -- awk '/^Seccomp:/ {print $2}' /proc/1/status
	kn apply -f - <<-POD
		apiVersion: v1
		kind: Pod
		metadata: {name: writer}
		spec:
		  nodeName: ${nodes[0]}
		  tolerations: [{operator: Exists}]
		  securityContext: {runAsUser: 1000, runAsGroup: 1000, fsGroup: 2000}
		  containers:
		  - name: main
		    image: $busybox
		    command: [sh, -ec, "echo x >/e/x; ls /h /c; stat -c %a%u%g /e; sleep 3600"]
		    volumeMounts: [{name: e, mountPath: /e}, {name: h, mountPath: /h}, {name: c, mountPath: /c}]
		  volumes:
		  - {name: e, emptyDir: {}}
		  - {name: h, hostPath: {path: /var/tmp/$ns/made, type: DirectoryOrCreate}}
		  - {name: c, configMap: {name: kube-root-ca.crt}}
	POD
	ready pod/writer
	kn logs writer | matches -x 277702000 # the setgid bit
	is 755 first stat -c %a "/var/tmp/$ns/made"
	first rm -r "/var/tmp/$ns"
}
it 'pods have seccomp by default, and the restricted kubelet creates folders that pods of other users can enter' pods_are_confined

units_do_their_work() {
	local unit drop_in=/run/systemd/system/roost-renewal.service.d before
	for unit in roost-renewal roost-snapshot roost-drill; do first systemctl start "$unit.service"; done
	# All certificates, within the unit's sandbox.
	before=$(first openssl x509 -noout -serial -in /etc/kubernetes/pki/apiserver.crt)
	first sh -c "mkdir -p $drop_in; printf '[Service]\nExecStart=\nExecStart=/usr/local/bin/bootstrap certs renew --all\n' >$drop_in/all.conf; systemctl daemon-reload"
	first systemctl start roost-renewal.service
	first sh -c "rm -r $drop_in; systemctl daemon-reload"
	not is "$before" first openssl x509 -noout -serial -in /etc/kubernetes/pki/apiserver.crt
	eventually first bootstrap status
	first systemctl is-active kubelet.service roost-agent.service
	# The kubelet's mounts are visible on the host.
	is "$(first readlink /proc/1/ns/mnt)" first sh -c 'readlink /proc/$(systemctl show -P MainPID kubelet.service)/ns/mnt'
	not first sh -c 'journalctl -b -u kubelet.service -u roost-agent.service | grep -i "operation not permitted"'
}
it 'kubelet, agent, renewal, snapshot and drill work within the sandbox of their units' units_do_their_work

# in_agent NODE COMMAND...: runs it in the namespaces of the node's agent.
in_agent() {
	local node=$1
	shift
	on "$node" -- sh -c 'exec nsenter -m -t "$(systemctl show -P MainPID roost-agent.service)" "$@"' sh "$@"
}

workers_agents_are_shut_out() {
	[ "${#nodes[@]}" -gt 1 ]
	in_agent "${nodes[1]}" touch /etc/kubernetes/may-be-written
	not in_agent "${nodes[1]}" touch /etc/kubernetes/manifests/may-not.yaml
	not in_agent "${nodes[1]}" mv /etc/kubernetes/manifests /etc/kubernetes/other
	on "${nodes[1]}" -- rm /etc/kubernetes/may-be-written
}
it 'the agent of a worker cannot write manifests' workers_agents_are_shut_out
