// Package upstream only pins the modules that upstream's node suite needs; the suite itself is
// built with `go test -c k8s.io/kubernetes/test/e2e_node`.
package upstream

import _ "k8s.io/kubernetes/test/e2e_node"
