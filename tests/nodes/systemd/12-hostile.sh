# shellcheck shell=bash
# The attacks of hostile pods, tokens and strangers against a control plane of services: on the worker, and those that
# concern every node also on the node of the control plane.

# (`run` has its own `file`, by which tests are chosen.)
for shared in 65-who-may.sh 80-hostile.sh 82-floods.sh 85-silent-name-server.sh; do
	# shellcheck disable=SC1090
	. "$here/$shared"
done

# on_the_control_plane FUNCTION: the test with the control plane's node as the victim.
on_the_control_plane() {
	nodes=(n2 n1)
	"$1"
}
for test in extreme_integers deep_folders_go_with_their_pod pull_secrets_of_many_stars_cost_nothing \
	connections_without_credentials random_tokens balancer_flood; do
	eval "${test}_n1() { on_the_control_plane $test; }"
	it "on the node of the control plane: ${test//_/ }" "${test}_n1"
done
