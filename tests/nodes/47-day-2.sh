# shellcheck shell=bash
# Settings of an existing node: changed, shown, applied, rolled back.

changes() { on "$1" -- bootstrap apply --output json "${@:2}" | jq .changed; }
at_rest() { is 0 changes "$1" --dry-run; }
pod_has_flag() { k -n kube-system get pod "$1" -o json | jq -e --arg flag "$2" '.spec.containers[0].command | index($flag)'; }
word_of() { kn get secret "$1" -o 'jsonpath={.data.word}' | base64 -d; }
in_etcd() { on n1 -- grep -rqa "$1" /var/lib/etcd/member; }
manifests_of() { on "$1" -- sh -c 'cat /etc/kubernetes/manifests/*.yaml' | sha256sum; }
sans_of() { on "$1" -- openssl x509 -noout -ext subjectAltName -in /etc/kubernetes/pki/apiserver.crt; }
address_of() { k "${@:2}" get node "$1" -o 'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}'; }

settings_are_applied() {
	at_rest n1
	at_rest n2
	kn create secret generic before --from-literal=word=written-in-the-clear
	in_etcd written-in-the-clear
	# shellcheck disable=SC2016 # for the node's shell
	on n1 -- sh -euc '
		cp /etc/roost/cluster.toml /etc/roost/before.toml
		cat >/etc/roost/audit.yaml <<-POLICY
			apiVersion: audit.k8s.io/v1
			kind: Policy
			rules: [{level: Metadata}]
		POLICY
		cat >/etc/roost/encryption.yaml <<-ENCRYPTION
			apiVersion: apiserver.config.k8s.io/v1
			kind: EncryptionConfiguration
			resources:
			- resources: [secrets]
			  providers:
			  - secretbox: {keys: [{name: one, secret: $(head -c 32 /dev/urandom | base64)}]}
			  - identity: {}
		ENCRYPTION
		chmod 600 /etc/roost/encryption.yaml
		cat >>/etc/roost/cluster.toml <<-SETTINGS
			[audit]
			policy = "/etc/roost/audit.yaml"
			[encryption]
			config = "/etc/roost/encryption.yaml"
			[certs]
			sans = ["api.example.org"]
			[node.labels]
			"example.org/rack" = "a"
			[args.kube-scheduler]
			v = "3"
		SETTINGS
	'
	local before
	before=$(manifests_of n1)
	on n1 -- bootstrap apply --dry-run >"$log.plan"
	grep -q '+ --audit-policy-file=/etc/roost/audit.yaml' "$log.plan"
	grep -q '+ --v=3' "$log.plan"
	rm "$log.plan"
	is "$before" manifests_of n1
	on n1 -- bootstrap apply
	at_rest n1
	is 0 changes n1
	eventually pod_has_flag kube-scheduler-n1 --v=3
	sans_of n1 | matches api.example.org
	k get node n1 -o json | jq -e '.metadata.labels["example.org/rack"] == "a"'
	on n1 -- grep -q '"verb":' /var/log/kubernetes/audit/audit.log
	kn create secret generic after --from-literal=word=written-with-a-key
	not in_etcd written-with-a-key
	is written-with-a-key word_of after
	# Existing Secrets follow when they are rewritten.
	kn get secrets -o json | k replace -f -
	# A worker has settings too.
	on n2 -- sh -c 'printf "[node.labels]\n\"example.org/rack\" = \"b\"\n" >>/etc/roost/cluster.toml'
	on n2 -- bootstrap apply
	k get node n2 -o json | jq -e '.metadata.labels["example.org/rack"] == "b"'
	at_rest n2
}
it 'what changes in cluster.toml is shown and applied, once' settings_are_applied

a_wrong_flag_is_taken_back() {
	local before
	before=$(manifests_of n1)
	not on n1 -- bootstrap apply --set 'args=kube-scheduler = { no-such-flag = "1" }' 2>"$log.error"
	grep -q 'kube-scheduler did not become healthy' "$log.error"
	rm "$log.error"
	is "$before" manifests_of n1
	eventually at_rest n1
}
it 'a component that fails with a new flag is rolled back to its previous manifest' a_wrong_flag_is_taken_back

verify_finds_differences() {
	on n1 -- bootstrap verify
	on n2 -- bootstrap verify
	on n1 -- chmod 644 /etc/kubernetes/pki/sa.key
	on n1 -- sed -i 's/--leader-elect=true/--leader-elect=false/' /etc/kubernetes/manifests/kube-scheduler.yaml
	not on n1 -- bootstrap verify --output json >"$log.found"
	jq -e '[.differences[].what] | any(test("mode is 0644")) and any(test("leader-elect=false"))' "$log.found"
	rm "$log.found"
	on n1 -- chmod 600 /etc/kubernetes/pki/sa.key
	on n1 -- bootstrap apply
	on n1 -- bootstrap verify
}
it 'verify finds differences, and none where there are none' verify_finds_differences

node_moves() {
	local old new device
	old=$(cluster ip n1)
	new=${old%.*}.201
	device=$(on n1 -- sh -c "ip -o -4 address show | grep -F '$old/' | cut -d' ' -f2")
	on n1 -- ip address add "$new/24" dev "$device"
	on n1 -- bootstrap apply --set "node.address=$new"
	is 0 changes n1 --set "node.address=$new"
	on n1 -- ip address delete "$old/24" dev "$device"
	on n1 -- ip address add "$new/24" dev "$device" || true # it may be removed with the first one
	eventually k --server "https://$new:6443" get --raw /readyz
	eventually is "$new" address_of n1 --server "https://$new:6443"
	on n1 -- bootstrap etcd members --output json | matches "https://$new:2380"
	# The other node finds it again on its own.
	eventually on n2 -- grep -qF "$new" /var/lib/roost/agent/api-servers.json
	on n1 -- ip address add "$old/24" dev "$device"
	on n1 -- bootstrap apply --set "node.address=$old"
	eventually is "$old" address_of n1
	on n1 -- ip address delete "$new/24" dev "$device"
	at_rest n1
	eventually k wait --for=condition=Ready --timeout=5s nodes --all
}
it 'a control plane changes its address and back' node_moves
