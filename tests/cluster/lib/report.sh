# shellcheck shell=bash
# Progress and failure lines.

started=$SECONDS

# say TEXT: one progress line with the time since the command began.
say() { printf '%3d:%02d  %s\n' $(((SECONDS - started) / 60)) $(((SECONDS - started) % 60)) "$*" >&2; }

# fail TEXT [EXIT CODE]
fail() {
	printf 'cluster: %s\n' "$1" >&2
	exit "${2:-1}"
}

# wait_until SECONDS DESCRIPTION COMMAND...: polls until the command succeeds.
wait_until() {
	local limit=$1 what=$2 from=$SECONDS
	shift 2
	until ("$@") >/dev/null 2>&1; do
		[ $((SECONDS - from)) -lt "$limit" ] || fail "$what: not within $limit seconds"
		sleep 0.2
	done
}
