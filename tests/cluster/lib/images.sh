# shellcheck shell=bash
# Images in the nodes. The containerd folder of the first node that loaded a set of images is kept as a seed in the
# cache; later nodes start from hard links to it, which costs neither time nor space.

# Images that a node has from the start. SOURCE=registry simulates a network: all images, as if they had been pulled.
# Nodes like NixOS have kube-proxy's image: its tool, Debian's nft, does not run by store path alone.
if [ "$SOURCE" = registry ] || [ "$OS" = nixos-shaped ]; then image_groups=(cluster test); else image_groups=(test); fi
mapfile -t -O ${#image_groups[@]} image_groups < <(other_versions)

image_archives() { "$here/images/build" "${image_groups[@]}"; }

# node_import NODE ARCHIVE...: loads image archives into the node's containerd.
node_import() {
	local node=$1 archive log
	shift
	for archive; do
		log=$(node_enter "$node" ctr -n k8s.io images import - 2>&1 <"$archive") || fail "node $node: importing $archive: $log"
	done
}

# load_images NODE: loads the cluster's images that the node does not have yet.
load_images() {
	local mark archive
	mark=$(node_dir "$1")/images
	touch "$mark"
	for archive in $(image_archives); do
		grep -qxF "$archive" "$mark" || { node_import "$1" "$archive" && echo "$archive" >>"$mark"; }
	done
}

# seed_folder: path of the seed of this set of images for this runtime.
seed_folder() {
	local lower
	lower=$("$here/node/image" "$RUNTIME")
	echo "$(dirname "${lower##*:}")/containerd-seed-$(echo "$RUNTIME $(image_archives)" | sha256sum | cut -c1-12)"
}

# seed_node NODE: copies the images of the seed to a new node, if there is a seed.
seed_node() {
	local seed dir
	dir=$(node_dir "$1")
	seed=$(seed_folder)
	if [ ! -d "$seed" ] || [ -n "$(ls -A "$dir/containerd")" ]; then return 0; fi
	link_tree "$seed/containerd" "$dir/containerd"
	cp "$seed/images" "$dir/images"
}

# seed_keep NODE: makes the seed of a node that has loaded its images and run nothing yet.
seed_keep() {
	local seed dir
	dir=$(node_dir "$1")
	seed=$(seed_folder)
	[ ! -d "$seed" ] || return 0
	find "${seed%/*}" -maxdepth 1 -name 'containerd-seed-*' -mmin +1440 -exec rm -rf {} + # what it replaces
	node_enter "$1" systemctl stop containerd.service
	mkdir "$seed.$$"
	link_tree "$dir/containerd" "$seed.$$/containerd"
	rm -rf "$seed.$$"/containerd/*.introspection # the identity of that one containerd
	cp "$dir/images" "$seed.$$/images"
	mv -T "$seed.$$" "$seed" 2>/dev/null || rm -rf "$seed.$$"
	node_enter "$1" systemctl start containerd.service
	# Units that require containerd went with it.
	[ "$OS" = debian ] || node_enter "$1" systemctl start --no-block multi-user.target
}

# link_tree SOURCE TARGET: hard links for files that never change (content, layers), copies of the databases.
link_tree() {
	local database
	cp -al -T "$1" "$2" 2>/dev/null || { rm -rf "$2" && cp -a -T "$1" "$2"; }
	(cd "$1" && find . -name '*.db') | while read -r database; do cp --remove-destination "$1/$database" "$2/$database"; done
}

# lay_archives: the archives of the cluster's own images, in a folder that nodes see as /var/lib/roost/archives.
lay_archives() {
	local archive
	mkdir -p "$state/archives"
	for archive in $("$here/images/build" cluster); do ln -f "$archive" "$state/archives/" 2>/dev/null || cp "$archive" "$state/archives/"; done
}

# lay_programs NODE: the components as programs of the host, pause among them.
lay_programs() {
	local root name
	root=$(node_root "$1")/usr/local/bin
	for name in etcd etcdctl etcdutl kube-apiserver kube-controller-manager kube-scheduler kube-proxy coredns; do put "$bin/$name" "$root/$name"; done
	put "$("$here/images/build" --program pause)" "$root/pause"
}
