# shellcheck shell=bash
# A separate cgroup for each node in every hierarchy, so that no node sees another node's pods.

cgroup_paths() { # cgroup_paths NODE: its folder in each hierarchy of the machine
	local type target
	while read -r _ target type _; do
		case $type in cgroup | cgroup2) [[ $target != /sys/fs/cgroup/* && $target != /sys/fs/cgroup ]] || echo "$target/roost.$CLUSTER.$1" ;; esac
	done </proc/mounts
}

cgroups_create() {
	local path file
	for path in $(cgroup_paths "$1"); do
		mkdir -p "$path"
		for file in cpuset.cpus cpuset.mems; do # a new v1 cpuset is empty and takes no process
			[ ! -f "$path/$file" ] || [ -n "$(cat "$path/$file")" ] || cat "$path/../$file" >"$path/$file"
		done
	done
}

# cgroups_enter NODE: moves the calling shell into the node's cgroups.
cgroups_enter() {
	local path
	for path in $(cgroup_paths "$1"); do
		[ ! -d "$path/payload" ] || path=$path/payload # what nspawn makes the node's own root
		echo "$BASHPID" >"$path/cgroup.procs"
	done
}

# cgroups_remove NODE: kills what is left in the node's cgroups and removes them.
cgroups_remove() {
	local path pid tries file
	for path in $(cgroup_paths "$1"); do
		# What a runtime left frozen cannot be killed.
		while read -r file; do
			case $file in
			*/freezer.state) echo THAWED >"$file" ;;
			*) echo 0 >"$file" ;;
			esac 2>/dev/null || true
		done < <(find "$path" -name freezer.state -o -name cgroup.freeze 2>/dev/null)
	done
	for path in $(cgroup_paths "$1"); do
		for tries in $(seq 100); do # a process takes a moment to leave its cgroup
			[ -d "$path" ] || break
			[ "$tries" = 1 ] || sleep 0.1
			find "$path" -name cgroup.procs -exec cat {} + 2>/dev/null | while read -r pid; do kill -KILL "$pid" 2>/dev/null || true; done
			find "$path" -depth -type d -exec rmdir {} \; 2>/dev/null || true
		done
		[ ! -d "$path" ] || say "cgroup $path could not be removed"
	done
}
