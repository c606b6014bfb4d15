# shellcheck shell=bash
# Another Kubernetes of the same minor version, as an update of nixpkgs brings it. (The next minor version takes longer:
# `make upgrade-nixos`.)

. "$here/share/generations.sh"

a_patch_release() {
	local next bin
	bin=$("$repo/tests/upstream/build" --dir)
	# The same programs under another path of the store; they are not asked what they are.
	next=$(cluster package n1 kubernetes-next "$bin"/kube-{apiserver,controller-manager,scheduler})
	another_version v1.36.3 v1.36.4 "$next"
}
it 'a generation with another Kubernetes leaves what runs until the upgrade is applied, and a rollback does not go back' a_patch_release
