# shellcheck shell=bash
# A control plane of systemd services on a node like NixOS: the system enables them and declares their users, bootstrap
# writes their units.

. "$here/share/generations.sh"

components='etcd kube-apiserver kube-controller-manager kube-scheduler'
unit() { echo "roost-$1.service"; }
pid() { property n1 "$(unit "$1")" MainPID; }
flags() { on n1 -- sh -c "tr '\\0' '\\n' </proc/$(pid "$1")/cmdline"; }
pods_of_components() { k -n kube-system get pods -l tier=control-plane -o name | wc -l; }
healthy() { k get --raw /readyz && on n1 -- bootstrap status; }

services_of_declared_users() {
	local name
	for name in $components; do
		active n1 "$(unit "$name")"
		is "/etc/systemd-mutable/system/$(unit "$name")" property n1 "$(unit "$name")" FragmentPath
		is enabled on n1 -- systemctl is-enabled "$(unit "$name")"
		is "roost-$name" on n1 -- stat -c %U "/proc/$(pid "$name")"
		[[ $(on n1 -- readlink "/proc/$(pid "$name")/exe") == /nix/store/* ]]
		# The system's own settings for it are in force beside bootstrap's text.
		property n1 "$(unit "$name")" DropInPaths | matches /nix/store/
	done
	[[ $(on n1 -- readlink -f /etc/systemd/system/roost-users.service) == /nix/store/* ]]
	active n1 roost-users.service
	is "$(printf 'roost-%s.service\n' $components | sort)" on n1 -- ls /etc/systemd-mutable/system
	is '' on n1 -- find /run/systemd/system -name 'roost-*'
	is 0 pods_of_components
	healthy
	nothing_to_do n1
}
it 'init creates services with declared users when the folder of units is read-only' services_of_declared_users

upkeep() {
	local name
	for name in snapshot drill renewal; do on n1 -- systemctl start "roost-$name.service"; done
	# A second run finds nothing to do.
	on n1 -- systemctl restart roost-bootstrap.service
	eventually healthy
}
it 'snapshot, drill, renewal and a second run of the bootstrapper work as declared' upkeep

back_after_a_boot() {
	local name
	kn create configmap kept
	cluster reboot n1
	eventually kn get configmap kept
	for name in $components; do eventually active n1 "$(unit "$name")"; done
	eventually active n1 roost-bootstrap.service
	eventually healthy
	is 0 pods_of_components
}
it 'the services work after a reboot, and no command is needed' back_after_a_boot

an_option_there_and_back() {
	local etcd api
	etcd=$(pid etcd) api=$(pid kube-apiserver)
	cluster rebuild n1 'settings.args.kube-scheduler.v = "3";'
	flags kube-scheduler | matches -x -e --v=3
	upkeep_ended n1
	nothing_to_do n1
	cluster rollback n1
	not eval 'flags kube-scheduler | matches -x -e --v=3'
	nothing_to_do n1
	# The others had no reason to restart.
	is "$etcd" pid etcd
	is "$api" pid kube-apiserver
	eventually healthy
}
it 'a rebuild with another option restarts the service that it changes, and a rollback reverts it' an_option_there_and_back

a_refused_flag() {
	local etcd
	etcd=$(pid etcd)
	# switch-to-configuration may see the service failed, or while it restarts.
	cluster rebuild n1 'settings.args.kube-scheduler.nonsense = "1";' || true
	eventually eval 'on n1 -- sh -c "bootstrap status || true" | matches "problem: roost-kube-scheduler.service"'
	kn get configmap kube-root-ca.crt
	cluster rollback n1
	eventually healthy
	is "$etcd" pid etcd
	nothing_to_do n1
}
it 'status reports a component that rejects a flag, and the previous generation restores it' a_refused_flag

a_patch_release() {
	local before next bin etcd
	bin=$("$repo/tests/upstream/build" --dir)
	before=$(programs n1) etcd=$(pid etcd)
	# The same programs at another store path; nothing asks them for their version.
	next=$(cluster package n1 kubernetes-next "$bin"/kube-{apiserver,controller-manager,scheduler})
	retag_proxy v1.36.3 v1.36.4
	cluster rebuild n1 "$(kubernetes_options v1.36.4 "$next")"
	is "$(programs_of "$next")" programs n1
	[[ $(on n1 -- readlink "/proc/$(pid kube-scheduler)/exe") == "$next"/* ]]
	nothing_to_do n1
	cluster rollback n1
	is "$before" programs n1
	is "$etcd" pid etcd
	eventually healthy
}
it 'a generation with another Kubernetes restarts the components with it, and a rollback within the minor version reverts it' a_patch_release
