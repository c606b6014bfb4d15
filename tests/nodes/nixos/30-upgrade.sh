# shellcheck shell=bash
# Another patch version of Kubernetes, as from an update of nixpkgs. (The next minor version takes longer: `make upgrade-nixos`.)

. "$here/share/generations.sh"

a_patch_release() {
	local next bin
	bin=$("$repo/tests/upstream/build" --dir)
	# The same programs at another store path; nothing asks them for their version.
	next=$(cluster package n1 kubernetes-next "$bin"/kube-{apiserver,controller-manager,scheduler})
	another_version v1.36.3 v1.36.4 "$next"
}
it 'a generation with another Kubernetes changes nothing that runs until the upgrade is applied, and a rollback does not downgrade it' a_patch_release
