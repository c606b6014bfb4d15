# shellcheck shell=bash
# Definition of a cluster: the settings from the environment and the paths derived from them.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd) # tests/cluster
repo=$(cd "$here/../.." && pwd)
registry=/run/roost-clusters # one folder for each cluster of this machine, whoever started it

: "${CLUSTER:=roost}"
[[ $CLUSTER =~ ^[a-z][a-z0-9-]{0,19}$ ]] || fail "CLUSTER=$CLUSTER: use up to 20 lower-case letters, digits and dashes" 64

if [ "$CLUSTER" = roost ]; then state=$repo/target/cluster; else state=$repo/target/cluster-$CLUSTER; fi

# The settings that a cluster keeps for its lifetime; after `up` they come from its own file.
kept_settings=(OS NODES CONTROL_PLANES RUNTIME MODE KUBELET SOURCE BOOTSTRAP KUBERNETES MAX_PODS)
if [ -f "$state/settings" ]; then
	while IFS='=' read -r name value; do
		if [ -n "${!name:-}" ] && [ "${!name}" != "$value" ]; then
			[ "${1:-}" != up ] || fail "cluster $CLUSTER is there with $name=$value; run 'cluster down' before 'up' with $name=${!name}" 64
		fi
		printf -v "$name" %s "$value"
	done <"$state/settings"
fi
[ "${OS:=debian}" = debian ] || : "${SOURCE:=host}" # its programs come from its store
[ "${MODE:-}" != systemd ] || : "${SOURCE:=host}" # services run programs of the host
: "${NODES:=2}" "${CONTROL_PLANES:=1}" "${RUNTIME:=current}" "${MODE:=static-pods}"
: "${KUBELET:=ours}" "${SOURCE:=registry}" "${BOOTSTRAP:=ours}" "${PROFILE:=release}" "${KUBERNETES:=v1.36.3}" "${MAX_PODS:=110}"

one_of() { # one_of NAME ALLOWED...
	local name=$1 allowed
	shift
	for allowed; do [ "${!name}" != "$allowed" ] || return 0; done
	fail "$name=${!name}: use one of $*" 64
}
one_of OS debian nixos-shaped
one_of RUNTIME current debian
one_of MODE static-pods systemd
one_of KUBELET ours upstream
one_of SOURCE registry archive host
one_of BOOTSTRAP ours kubeadm none
one_of PROFILE release dev
one_of KUBERNETES v1.36.3 v1.35.4 v1.37.2
if [ "$OS" = nixos-shaped ] && { [ "$SOURCE $KUBELET" != 'host ours' ] || [ "$BOOTSTRAP" = kubeadm ]; }; then
	fail 'OS=nixos-shaped goes with SOURCE=host and programs of ours' 64
fi
[[ $NODES =~ ^[1-9]$ ]] || fail "NODES=$NODES: use 1 to 9" 64
[[ $CONTROL_PLANES =~ ^[1-9]$ && $CONTROL_PLANES -le $NODES ]] || fail "CONTROL_PLANES=$CONTROL_PLANES: use 1 to NODES" 64
[[ $MAX_PODS =~ ^[1-9][0-9]{0,2}$ ]] || fail "MAX_PODS=$MAX_PODS: use 1 to 999" 64

# other_versions: the versions besides v1.36.3 that the cluster has or passes on its way (UPGRADE_TO); groups of programs and images.
other_versions() { printf '%s\n' "$KUBERNETES" "${UPGRADE_TO:-}" | grep -vx -e v1.36.3 -e '' | sort -u || true; }
node_names() { seq -f 'n%g' 1 "$NODES"; }
is_control_plane() { [ "${1#n}" -le "$CONTROL_PLANES" ]; }
node_dir() { echo "$state/nodes/$1"; }
pid_file() { echo "$registry/$CLUSTER/$1.pid"; } # of its nspawn; outlives a deleted target folder
node_root() { echo "$state/nodes/$1/root"; }
