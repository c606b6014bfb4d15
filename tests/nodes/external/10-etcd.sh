# shellcheck shell=bash
# A cluster with an external etcd: a plain upstream etcd, which the test runs on n2, with its own CA.

. "$here/share/control-planes.sh"
. "$here/share/openssl.sh"

own=$state/own-etcd

# own_etcd_begins: a new etcd as a unit of n2, and the files of its clients on both nodes.
own_etcd_begins() {
	local url node
	url=https://$(cluster ip n2)
	rm -rf "$own" && mkdir -p "$own"
	authority "$own/ca" '/CN=own-etcd'
	leaf "$own/server" "$own/ca" '/CN=own-etcd' serverAuth,clientAuth "IP:$(cluster ip n2),IP:127.0.0.1"
	leaf "$own/client" "$own/ca" '/CN=own-client' clientAuth
	on n2 -- sh -c 'systemctl stop own-etcd.service; rm -rf /srv/own-etcd; mkdir -p /opt/own-etcd /srv/own-etcd; chmod 700 /srv/own-etcd' 2>/dev/null
	for file in ca.crt server.crt server.key; do cluster copy n2 "$own/$file" "/opt/own-etcd/$file"; done
	cluster copy n2 "$("$repo/tests/upstream/build" --dir)/etcd" /opt/own-etcd/etcd
	on n2 -- systemd-run --unit=own-etcd --property=Restart=always --property=Type=notify /opt/own-etcd/etcd --name=own --data-dir=/srv/own-etcd \
		"--listen-client-urls=$url:2379" "--advertise-client-urls=$url:2379" --cert-file=/opt/own-etcd/server.crt --key-file=/opt/own-etcd/server.key \
		--client-cert-auth --trusted-ca-file=/opt/own-etcd/ca.crt --listen-peer-urls=http://127.0.0.1:12380 --initial-advertise-peer-urls=http://127.0.0.1:12380 \
		--initial-cluster=own=http://127.0.0.1:12380
	for node in n1 n2; do
		on "$node" -- sh -c 'rm -rf /etc/own-etcd && mkdir -m 700 /etc/own-etcd'
		for file in ca.crt client.crt client.key; do cluster copy "$node" "$own/$file" "/etc/own-etcd/$file"; done
	done
}

with_own_etcd() {
	on "$1" -- sh -c "cp /etc/roost/cluster.toml /root/before.toml; printf '\n[etcd]\nendpoints = [\"https://$(cluster ip n2):2379\"]\nca = \"/etc/own-etcd/ca.crt\"\ncertificate = \"/etc/own-etcd/client.crt\"\nkey = \"/etc/own-etcd/client.key\"\n' >>/etc/roost/cluster.toml"
}

client_again() {
	on n1 -- cat /etc/kubernetes/admin.conf >"$state/admin.conf"
	k get namespace "$ns" || k create namespace "$ns"
	eventually k -n "$ns" get serviceaccount default
}

pods_well() {
	k -n kube-system get pods -o json | jq -e --arg node "$1" '[.items[] | select(.spec.nodeName == $node)] |
		length >= 4 and all(any(.status.conditions[]; .type == "Ready" and .status == "True"))'
}
at_rest() { is 0 on "$1" -- sh -c 'bootstrap apply --dry-run --output json | grep -o "\"changed\": *[0-9]*" | grep -o "[0-9]*$"'; }

comes_up_and_is_joined() {
	local node join
	for node in n2 n1; do on "$node" -- bootstrap reset --yes; done
	own_etcd_begins
	with_own_etcd n1
	on n1 -- mv /etc/own-etcd/client.key /root/
	not on n1 -- bootstrap init >"$log.init" 2>&1
	grep 'etcd.key: file /etc/own-etcd/client.key does not exist' "$log.init" || { cat "$log.init" && return 1; }
	rm "$log.init"
	on n1 -- mv /root/client.key /etc/own-etcd/
	on n1 -- bootstrap init
	client_again
	# Settings of etcd that its own settings lack, the other node reads from the cluster; the files exist.
	join=$(on n1 -- bootstrap token create --print-join-command --control-plane)
	# shellcheck disable=SC2086 # a command line
	on n2 -- $join
	for node in n1 n2; do
		eventually api "$node" get --raw /readyz
		eventually node_ready n1 "$node"
		eventually pods_well "$node"
		not on "$node" -- test -e /etc/kubernetes/manifests/etcd.yaml
		not on "$node" -- test -e /etc/kubernetes/pki/etcd
		not on "$node" -- test -e /etc/systemd/system/roost-snapshot.timer
		eventually on "$node" -- bootstrap status
		on "$node" -- bootstrap verify
		at_rest "$node"
	done
	on n1 -- bootstrap init --output json | jq -e '.changed == 0'
	# shellcheck disable=SC2086 # a command line
	on n2 -- $join --output json | jq -e '.changed == 0'
	pod lives n2 pause
	kn exec lives -- /agnhost help >/dev/null
}
it 'a cluster with an external etcd starts, and a control plane joins it' comes_up_and_is_joined

all_files() { on "$1" -- sh -c 'cat /etc/kubernetes/manifests/*.yaml /etc/kubernetes/pki/*.crt' | sha256sum; }

# refused COMMAND...: nothing is changed, and the message says that etcd is external.
refused() {
	local before
	before=$(all_files n1)
	not on n1 -- bootstrap etcd "$@" >"$log.refused" 2>&1
	grep 'etcd.endpoints' "$log.refused" || { cat "$log.refused" && return 1; }
	rm "$log.refused"
	is "$before" all_files n1
}

commands_of_etcd() {
	on n1 -- bootstrap etcd members --output json | jq -e '[.members[].name] == ["own"]'
	on n1 -- bootstrap etcd health --output json | jq -e '[.members[].healthy] == [true]'
	on n1 -- bootstrap etcd snapshot /root/own.db
	on n1 -- test -s /root/own.db
	on n1 -- bootstrap etcd defragment
	refused restore --yes /root/own.db
	refused recover --yes
	refused drill /root/own.db
	refused remove own
	k get --raw /readyz
}
it 'etcd commands work on an external etcd, and leave changes to its operator'"'"'s to do' commands_of_etcd

serial() { on "$1" -- openssl x509 -noout -serial -in /etc/kubernetes/pki/apiserver.crt; }

renewed_and_changed() {
	local before
	on n1 -- bootstrap certs list --output json >"$log.list"
	jq -e '[.certificates[] | select(.path == "/etc/own-etcd/client.crt")] | length == 1 and .[0].renewedHere == false and .[0].fault == null' "$log.list"
	jq -e '[.certificates[].path | select(startswith("/etc/kubernetes/pki/etcd"))] == []' "$log.list"
	rm "$log.list"
	before=$(serial n1)
	on n1 -- bootstrap certs renew --all
	[ "$(serial n1)" != "$before" ]
	eventually api n1 get --raw /readyz
	on n1 -- bootstrap upgrade plan --output json | jq -e '.allowed and .work == []'
	# Another certificate of etcd's client, and another flag.
	leaf "$own/other" "$own/ca" '/CN=other-client' clientAuth
	for file in other.crt other.key; do cluster copy n1 "$own/$file" "/etc/own-etcd/$file"; done
	on n1 -- sed -i 's#client\.crt#other.crt#; s#client\.key#other.key#' /etc/roost/cluster.toml
	not on n1 -- bootstrap verify
	on n1 -- bootstrap apply --set 'args=kube-scheduler = { v = "3" }'
	on n1 -- grep -q -- --etcd-certfile=/etc/own-etcd/other.crt /etc/kubernetes/manifests/kube-apiserver.yaml
	on n1 -- grep -q -- --v=3 /etc/kubernetes/manifests/kube-scheduler.yaml
	on n1 -- bootstrap apply
	at_rest n1
	at_rest n2
	api n1 get --raw /readyz
}
it 'certificates are renewed and settings applied with an external etcd' renewed_and_changed

left_alone_by_reset() {
	kn create configmap kept
	on n2 -- bootstrap reset --yes
	k delete node n2
	on n2 -- systemctl is-active own-etcd.service
	on n2 -- test -d /srv/own-etcd/member
	on n2 -- test -f /etc/own-etcd/client.key
	kn get configmap kept
	on n1 -- bootstrap reset --yes | tee "$log.reset"
	grep 'etcd keeps the data of the cluster' "$log.reset"
	rm "$log.reset"
	on n2 -- systemctl is-active own-etcd.service
	on n2 -- systemctl stop own-etcd.service
	on n1 -- mv /root/before.toml /etc/roost/cluster.toml
	on n1 -- bootstrap init
	client_again
}
it 'a reset does not touch an external etcd' left_alone_by_reset
