# shellcheck shell=bash
# The only control plane is lost with its disk; another one is created as in docs/backup-and-disaster.md.

# runs POD: its container, and its restart count.
runs() { kn get pod "$1" -o 'jsonpath={.metadata.uid} {.status.containerStatuses[0].containerID} {.status.containerStatuses[0].restartCount}'; }
all_ready() { k wait --for=condition=Ready --timeout=5s nodes --all; }
# (Pods that the shutdown of a node ended stay, Succeeded, beside those that took their place.)
all_pods_ready() { k -n kube-system get pods -o json | jq -e '.items | length > 0 and all(.[] | select(.metadata.deletionTimestamp == null and .status.phase != "Succeeded"); any(.status.conditions[]?; .type == "Ready" and .status == "True"))'; }

a_new_machine() {
	local pki=$log.pki.tar.gz settings=$log.settings.tar.gz snapshot=$log.db before begun
	pod lives "${nodes[1]}" pause
	before=$(runs lives)
	begun=$(on "${nodes[1]}" -- sh -c "crictl ps --name main -q 2>/dev/null; pgrep -fx '/agnhost pause'")
	kn create configmap kept
	# What an operator should have stored elsewhere.
	first bootstrap etcd snapshot /root/cluster.db
	first cat /root/cluster.db >"$snapshot"
	first tar -C /etc/kubernetes -czf /root/pki.tar.gz pki
	first cat /root/pki.tar.gz >"$pki"
	first tar -C /etc -czf /root/settings.tar.gz roost # with the files that it names, such as an audit policy
	first cat /root/settings.tar.gz >"$settings"
	kn create configmap after

	cluster replace "${nodes[0]}"
	not first test -e /etc/kubernetes/pki/ca.crt
	not first test -e /var/lib/etcd/member
	cluster copy "${nodes[0]}" "$settings" /root/settings.tar.gz
	first tar -C /etc -xzf /root/settings.tar.gz
	cluster copy "${nodes[0]}" "$snapshot" /root/cluster.db
	cluster copy "${nodes[0]}" "$pki" /root/pki.tar.gz
	not first bootstrap init --snapshot /root/cluster.db # there is no PKI
	not first systemctl is-active kubelet.service
	# As in the guide.
	first mkdir -p /etc/kubernetes
	first tar -C /etc/kubernetes -xzf /root/pki.tar.gz
	first bootstrap init --snapshot /root/cluster.db --dry-run | grep 'restore /root/cluster.db into /var/lib/etcd'
	first bootstrap init --snapshot /root/cluster.db
	first cat /etc/kubernetes/admin.conf >"$state/admin.conf"
	rm "$pki" "$settings" "$snapshot"

	kn get configmap kept
	not kn get configmap after
	eventually all_ready
	eventually all_pods_ready
	# The pod of the worker was not affected.
	is "$before" runs lives
	is "$begun" on "${nodes[1]}" -- sh -c "crictl ps --name main -q 2>/dev/null; pgrep -fx '/agnhost pause'"
	eventually logs_of lives
	not first bootstrap init --snapshot /root/cluster.db # etcd has data
	first bootstrap init --output json | jq -e '.changed == 0'
	first bootstrap verify
	eventually first bootstrap status
	first bootstrap etcd health
	pod new-on-first "${nodes[0]}" pause
	pod new-on-second "${nodes[1]}" pause
	eventually logs_of new-on-first
}
[ "${BOOTSTRAP:-ours}" != ours ] || it 'a new machine takes the place of a lost control plane, and pods of workers live on' a_new_machine
