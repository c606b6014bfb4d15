// Package upstream only pins the modules that upstream's e2e suite needs; the suite itself is
// built with `go test -c k8s.io/kubernetes/test/e2e`.
package upstream

import (
	_ "k8s.io/kubernetes/test/e2e"
	_ "k8s.io/kubernetes/test/e2e/framework"
)
